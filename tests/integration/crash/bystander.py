"""How long this machine makes somebody wait who does next to nothing: what no service can answer for."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

NAP_SECONDS = 0.01


class Bystander:
    """A thread that naps, writes one byte, and waits for the disk; notes each time how long it was held up.

    Writes wait for the same disk, and a busy one holds everybody up now and then for longer than a request may take.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "bystander"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._held_up: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def worst_ms(self, began: float, ended: float) -> float:
        """The longest hold-up that touches this time."""
        return max(
            ((until - since) * 1000 for since, until in self._held_up if since <= ended and until >= began),
            default=0.0,
        )

    def _watch(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._ended.is_set():
                due = time.monotonic() + NAP_SECONDS
                time.sleep(NAP_SECONDS)
                file.write(b".")
                os.fsync(file.fileno())
                self._held_up.append((due, time.monotonic()))
