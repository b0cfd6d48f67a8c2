"""A small file beside the stores with the numbers of this process's lanes: bounds what a restored copy can hide.

While the target cannot be reached, nothing else shows that the source is older than it was.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.records.lanes import Positions

NAME = "last-seen"


class LastSeen:
    """The file in the data directory; for one installation and its source. None where the source does not last."""

    def __init__(self, directory: Path | None) -> None:
        self.path = None if directory is None else directory / NAME
        self._written: Mapping[int, int] = {}

    def installation(self) -> str | None:
        """The installation that was last seen here; None where none was, or where the file is damaged."""
        found = self._read().get("installation")
        return found if isinstance(found, str) else None

    def is_ahead_of(self, positions: Positions, *, installation: str) -> bool:
        """Whether this process's predecessor saw lanes of this installation's source beyond where they stand now."""
        facts = self._read()
        if facts.get("installation") != installation:
            return False
        lanes = facts.get("lanes", {})
        return any(positions.number_of(int(lane)) < number for lane, number in lanes.items())

    def note(self, numbers: Mapping[int, int], *, installation: str) -> None:
        """Replaces the file, unless it says the same. Raises OSError."""
        if self.path is None or numbers == self._written or not self.path.parent.is_dir():
            return
        facts = {
            "installation": installation,
            "lanes": {str(lane): number for lane, number in numbers.items()},
        }
        partial = self.path.with_name(f"{NAME}.partial")
        partial.touch(0o600)
        partial.write_text(json.dumps(facts))
        partial.replace(self.path)
        self._written = dict(numbers)

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            facts = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}
