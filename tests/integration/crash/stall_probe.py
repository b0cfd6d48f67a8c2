"""Measures how long the machine itself stalls a thread that does almost nothing: no service can avoid such delays."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

NAP_SECONDS = 0.01


class StallProbe:
    """A thread that sleeps, writes one byte and waits for the disk; it notes how long each round took beyond the sleep.

    Writes of the service wait for the same disk; a busy one sometimes delays them longer than a request may take.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "stall_probe"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._stalls: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def worst_ms(self, began: float, ended: float) -> float:
        """The longest stall that overlaps this period, in milliseconds."""
        return max(
            ((until - since) * 1000 for since, until in self._stalls if since <= ended and until >= began),
            default=0.0,
        )

    def _watch(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._ended.is_set():
                due = time.monotonic() + NAP_SECONDS
                time.sleep(NAP_SECONDS)
                file.write(b".")
                os.fsync(file.fileno())
                self._stalls.append((due, time.monotonic()))
