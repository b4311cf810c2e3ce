"""Configurations for the daemon: defaults that make tests quick, and YAML for them."""

import json
import re

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._:\-]*|[0-9]+[A-Za-z]+|[0-9.]+:[0-9]+")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

# Short enough that a test of a deadline takes seconds, long enough for a busy machine.
DEFAULTS = {
    "workers": 2,
    "log": {"level": "debug", "format": "text", "access": True},
    "egress": {"connect_timeout": "2s", "response_timeout": "3s", "stall_timeout": "2s"},
    "client": {"wait_timeout": "8s", "stop_timeout": "10s"},
}


def route(name: str, *urls: str, **keys) -> dict:
    """One OCI route; each upstream is a URL or a mapping with the upstream's own keys."""
    upstreams = [url if isinstance(url, dict) else {"url": url} for url in urls]
    return {"name": name, "protocol": "oci", "upstreams": upstreams, **keys}


def hub(*urls, **keys) -> dict:
    """The route that plays Docker Hub: ns docker.io, and what names no namespace."""
    return route("hub", *urls, **{"namespaces": ["docker.io"], "default": True, **keys})


def merge(base: dict, over: dict) -> dict:
    """base with over's keys put in, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _scalar(value) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
        return value if plain else json.dumps(value)
    return json.dumps(value)


def _lines(value, indent: str):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _entry(f"{indent}{key}:", inner, indent + "  ")
    else:
        for inner in value:
            yield from _item(inner, indent)


def _entry(head: str, inner, indent: str):
    if isinstance(inner, (dict, list)) and inner:
        yield head
        yield from _lines(inner, indent)
    else:
        yield f"{head} {_scalar(inner)}"


def _item(inner, indent: str):
    """A list's element: its first line carries the dash."""
    if isinstance(inner, (dict, list)) and inner:
        first, *rest = _lines(inner, indent + "  ")
        yield f"{indent}- {first.lstrip()}"
        yield from rest
    else:
        yield f"{indent}- {_scalar(inner)}"


def to_yaml(config: dict) -> str:
    """Block-style YAML, as people write it."""
    return "\n".join(_lines(config, "")) + "\n"
