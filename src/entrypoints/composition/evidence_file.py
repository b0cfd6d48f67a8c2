"""The evidence of a finished move: a JSON file whose entries are chained by hashes, so that a later change shows."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.files.directories import make_private_directory
from adapters.files.whole_files import OWNER_ONLY, replace_file
from application.ports.migration import MoveStatus, Verification

BEGINNING = "0" * 64
END = "finished"
"""The name that only the last entry has; without it, the end of the chain could be cut off."""


def write_evidence(
    directory: Path, status: MoveStatus, verification: Verification | None, at: datetime
) -> Path:
    """Writes the file and returns its path. Raises OSError."""
    entries: list[dict[str, Any]] = [asdict(taken) for taken in status.steps]
    if verification is not None:
        entries.append({"verification": asdict(verification)})
    entries.append({END: at, "owner": status.owner, "epoch": status.epoch})
    make_private_directory(directory)
    path = directory / f"move-evidence-{at:%Y%m%dT%H%M%SZ}.json"
    text = json.dumps({"entries": list(chained(entries))}, indent=2, default=str) + "\n"
    replace_file(path, text.encode(), mode=OWNER_ONLY)
    return path


def chained(entries: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Each entry with the hash of the one before it and its own: SHA-256 of its canonical JSON."""
    previous = BEGINNING
    for entry in entries:
        linked = {"previous": previous, **json.loads(json.dumps(entry, default=str))}
        canonical = json.dumps(linked, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(canonical.encode()).hexdigest()
        yield {**linked, "hash": previous}


def is_intact(path: Path) -> bool:
    """Whether no entry of an evidence file was changed, removed or reordered: the last one says that the move ended."""
    previous = BEGINNING
    entries = json.loads(path.read_text())["entries"]
    for entry in entries:
        own = entry.pop("hash", None)
        canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        if entry.get("previous") != previous or hashlib.sha256(canonical.encode()).hexdigest() != own:
            return False
        previous = own
    return bool(entries) and END in entries[-1]
