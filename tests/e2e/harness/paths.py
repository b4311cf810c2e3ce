"""Where things are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build"
CACHE = BUILD / "e2e-cache"


def yantian() -> Path:
    """The daemon under test: $YANTIAN, else the release build."""
    return Path(os.environ.get("YANTIAN") or BUILD / "yantian").absolute()


def sanitized() -> bool:
    """True for a build with a sanitizer: it is slower and its memory says nothing."""
    return yantian().parent.name in ("asan", "tsan")
