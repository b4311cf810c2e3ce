#!/usr/bin/env python3
"""Shows that each check of `make lint` can fail: a bad sample for every rule, and a good one.

Run by `make lint-self-test`, which names the tools in the environment.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from layers import Check

ROOT = Path(__file__).resolve().parents[2]

GOOD_TREE = {
    "include/base/err.h": "#include <stdint.h>\n",
    "include/http/date.h": '#include "base/err.h"\n',
    "include/io/reactor.h": '#include "base/err.h"\n',
    "include/plan.h": '#include "http/date.h"\n',
    "daemon/base/err.c": '#include "base/err.h"\n#include "own.h"\n',
    "daemon/base/own.h": "",
    "daemon/io/reactor.c": '#include <event2/event.h>\n#include "io/reactor.h"\n',
    "daemon/protocol/oci.c": '#include "plan.h"\n',
    "daemon/main.c": '#include "cli/cli.h"\n#include "io/reactor.h"\n',
    "daemon/cli/cli.h": "",
    "storage/index.c": '#include <lmdb.h>\n#include "base/err.h"\n',
}

# What is put into the good tree, and how the complaint about it begins.
BAD_FILES = [
    ("daemon/http/up.c", '#include "io/reactor.h"\n', "daemon/http/up.c:1: http may not use io"),
    ("daemon/base/up.c", '\n#include "http/date.h"\n', "daemon/base/up.c:2: base may not use http"),
    ("storage/up.c", '#include "http/date.h"\n', "storage/up.c:1: storage may not use http"),
    ("daemon/protocol/up.c", '#include "io/reactor.h"\n',
     "daemon/protocol/up.c:1: protocol may not use io"),
    ("include/http/up.h", '#include "plan.h"\n', "include/http/up.h:1: http may not use plan"),
    ("daemon/http/up.c", '#include "plan.h"\n', "daemon/http/up.c:1: http may not use plan"),
    ("daemon/server/x.c", '#include "cli/cli.h"\n',
     'daemon/server/x.c:1: "cli/cli.h" is not in include/'),
    ("daemon/http/x.c", '#include "../base/own.h"\n',
     'daemon/http/x.c:1: "../base/own.h" is not in include/'),
    ("daemon/http/x.c", '#include "own.h"\n',
     'daemon/http/x.c:1: "own.h" does not stand beside this file'),
    ("daemon/io/second.c", "#include <event2/listener.h>\n",
     "daemon/io/second.c:1: libevent is touched by daemon/io/reactor.c too"),
    ("include/base/json.h", "#include <yajl/yajl_parse.h>\n",
     "include/base/json.h:1: yajl in a header"),
    ("daemon/base/z.c", "#include <bzlib.h>\n", "daemon/base/z.c:1: <bzlib.h> is no known header"),
    ("include/base/lonely.h", "", "include/base/lonely.h:1: used by base only"),
    ("daemon/extra/x.c", "", "daemon/extra/x.c:1: folder extra is on no floor"),
]

GOOD_C = "int twice(int n);\nint twice(int n)\n{\n    return 2 * n;\n}\n"
UNUSED = "int twice(int n);\nint twice(int n)\n{\n    int unused;\n    return 2 * n;\n}\n"
ILL_FORMED = "int twice(int n);\nint twice(int n) {\n  return 2*n;\n}\n"
LONG = ("int count(int n);\nint count(int n)\n{\n" + "    n++;\n" * 70 + "    return n;\n}\n")
FORGOTTEN_TEST = ("#include <stdlib.h>\nint first(void);\nint first(void)\n{\n"
                  "    int *p = malloc(4);\n    *p = 1;\n    return 0;\n}\n")


def write_tree(folder: Path, files: dict[str, str]):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def layer_faults(extra: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        write_tree(Path(name), {**GOOD_TREE, **extra})
        return Check(Path(name)).run()


def check_layers() -> list[str]:
    wrong = [f"layers: complains about the good tree: {fault}" for fault in layer_faults({})]
    for name, text, complaint in BAD_FILES:
        if not any(fault.startswith(complaint) for fault in layer_faults({name: text})):
            wrong.append(f"layers: silent about {complaint}")
    return wrong


def passes(argv: list[str], text: str) -> bool:
    """Is a tool content with a C file of this text?"""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        file = Path(name) / "sample.c"
        file.write_text(text)
        done = subprocess.run([str(file) if word == "FILE" else word for word in argv],
                              capture_output=True, cwd=ROOT)
        return done.returncode == 0


def tools() -> dict[str, tuple[list[str], list[str]]]:
    """Check → its command, and samples that it must refuse."""
    flags = [*os.environ["WARN"].split(), "-std=gnu11", "-fsyntax-only"]
    tidy = [os.environ["CLANG_TIDY"], "--quiet", "--config-file=.clang-tidy", "FILE", "--",
            "-std=gnu11"]
    layout = [os.environ["CLANG_FORMAT"], "--dry-run", "-Werror", "--style=file:.clang-format"]
    return {
        "gcc": ([os.environ["CC"], *flags, "FILE"], [UNUSED]),
        "clang": ([os.environ["CLANG"], *flags, "FILE"], [UNUSED]),
        "clang-format": ([*layout, "FILE"], [ILL_FORMED]),
        "clang-tidy": (tidy, [LONG, FORGOTTEN_TEST]),
    }


def check_tools() -> list[str]:
    wrong = []
    for name, (argv, samples) in tools().items():
        if not passes(argv, GOOD_C):
            wrong.append(f"{name}: refuses the good sample")
        wrong += [f"{name}: takes a bad sample:\n{sample[:200]}" for sample in samples
                  if passes(argv, sample)]
    return wrong


def main() -> int:
    (ROOT / "build").mkdir(exist_ok=True)
    wrong = check_layers() + check_tools()
    for text in wrong:
        print(text)
    if not wrong:
        print(f"lint self-test: {len(BAD_FILES)} bad includes and the bad samples of "
              f"{len(tools())} tools are refused")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
