"""Identifiers that sort by the time they were made."""

import secrets
import time

_COUNTER_BITS = 20
_PROCESS_BITS = 28


class SortableIdentifiers:
    """The port Identifiers: 48 bits of milliseconds, a 20-bit counter, 28 random bits of the process.

    A clock that steps back does not: the last instant is kept until time catches up.
    """

    def __init__(self) -> None:
        self._process = secrets.randbits(_PROCESS_BITS)
        self._instant_ms = 0
        self._counter = 0

    def fresh(self) -> str:
        instant_ms = time.time_ns() // 1_000_000
        if instant_ms > self._instant_ms:
            self._instant_ms, self._counter = instant_ms, 0
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._instant_ms, self._counter = self._instant_ms + 1, 0
        number = (((self._instant_ms << _COUNTER_BITS) | self._counter) << _PROCESS_BITS) | self._process
        return f"{number:024x}"
