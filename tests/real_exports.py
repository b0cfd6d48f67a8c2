"""Where real exports of other tools lie. They are no part of the project; TANDEM_REAL_DATA names their directory."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_DIRECTORY = Path(os.environ.get("TANDEM_REAL_DATA") or ROOT.parent / "shared" / "data")


def real_export(name: str) -> Path:
    """The export of this name; skips the test, saying so in the summary, on a machine without it."""
    path = _DIRECTORY / name
    if not path.is_file():
        pytest.skip(f"{name} is not on this machine; TANDEM_REAL_DATA names its directory")
    return path
