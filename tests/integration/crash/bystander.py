"""How long this machine makes a process wait that does nothing: what no service can answer for."""

import threading
import time
from types import TracebackType
from typing import Self

NAP_SECONDS = 0.002


class Bystander:
    """A thread that naps and notes when it was woken late, by this process's monotonic clock."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._late: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def worst_ms(self, began: float, ended: float) -> float:
        """The longest delay that fell into this time."""
        return max((late for at, late in self._late if began <= at <= ended), default=0.0)

    def _watch(self) -> None:
        while not self._ended.is_set():
            before = time.monotonic()
            time.sleep(NAP_SECONDS)
            now = time.monotonic()
            late_ms = (now - before - NAP_SECONDS) * 1000
            if late_ms > 1.0:
                self._late.append((now, late_ms))
