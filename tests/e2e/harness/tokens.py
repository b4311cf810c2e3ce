"""A small token server as the reference registry's token authentication expects it (RS256, x5c)."""

import base64
import datetime
import http.server
import json
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from .net import free_port


@dataclass(frozen=True)
class TokenRequest:
    service: str
    scopes: tuple[str, ...]
    authorization: str
    at: float


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def basic(user: str, password: str) -> str:
    """The value of an Authorization field for Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Signer:
    """A key, its self-signed certificate, and the tokens signed with it."""

    def __init__(self, issuer: str):
        self.issuer = issuer
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        self.certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(self._key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - day).not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256()))

    def write_certificate(self, file: Path):
        file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def token(self, service: str, access: list[dict], seconds: float) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = time.time()
        claims = {"iss": self.issuer, "sub": "", "aud": service, "exp": int(now + seconds),
                  "nbf": int(now) - 10, "iat": int(now), "jti": str(uuid.uuid4()),
                  "access": access}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"


def parse_scope(scope: str) -> dict:
    """`repository:a/b:pull,push` as an access entry."""
    kind, rest = scope.split(":", 1)
    name, actions = rest.rsplit(":", 1)
    return {"type": kind, "name": name, "actions": actions.split(",")}


class TokenServer:
    """Hands out tokens at /token; what it does can be changed between requests."""

    SERVICE = "test-registry"

    def __init__(self, host: str = "127.0.0.1"):
        self.host = host
        self.signer = Signer("test-token-server")
        self.lifetime = 300.0        # what the signature promises
        self.announced = None        # expires_in, if it differs from lifetime
        self.refuse = 0              # a status to answer instead of a token
        self.grants = True           # false: a token that allows nothing
        self.delay = 0.0
        self.account: tuple[str, str] | None = None   # required Basic credentials
        self.requests: list[TokenRequest] = []
        self.issued: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()),
                                                       self._handler())
        self.port = self._server.server_port

    def start(self) -> "TokenServer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def realm(self) -> str:
        return f"http://{self.host}:{self.port}/token"

    def registry_auth(self, folder: Path) -> dict:
        """The registry's `auth` section that trusts this server."""
        bundle = folder / "token-root.pem"
        self.signer.write_certificate(bundle)
        return {"token": {"realm": self.realm, "service": self.SERVICE,
                          "issuer": self.signer.issuer, "rootcertbundle": str(bundle)}}

    def challenge(self, scope: str, error: str = "") -> str:
        """A WWW-Authenticate value that sends the client here."""
        value = f'Bearer realm="{self.realm}",service="{self.SERVICE}",scope="{scope}"'
        return value + (f',error="{error}"' if error else "")

    def scopes(self) -> list[str]:
        return [scope for request in self.requests for scope in request.scopes]

    def _answer(self, request: TokenRequest) -> tuple[int, dict]:
        if self.refuse:
            return self.refuse, {"details": "refused"}
        if self.account and request.authorization != basic(*self.account):
            return 401, {"details": "account unknown"}
        access = [parse_scope(scope) for scope in request.scopes] if self.grants else []
        token = self.signer.token(request.service, access, self.lifetime)
        self.issued.append(token)
        announced = self.lifetime if self.announced is None else self.announced
        return 200, {"token": token, "expires_in": int(announced)}

    def _handler(outer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                query = urllib.parse.parse_qs(url.query)
                request = TokenRequest(query.get("service", [""])[0],
                                       tuple(query.get("scope", [])),
                                       self.headers.get("Authorization", ""), time.monotonic())
                outer.requests.append(request)
                time.sleep(outer.delay)
                status, body = outer._answer(request) if url.path == "/token" else (404, {})
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler
