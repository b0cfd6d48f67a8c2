"""How many connections the server holds, how long each may take, and which one makes room for a new one."""

import asyncio
import heapq
import resource
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from entrypoints.http.protocol.request import limit_key

FILE_SHARE = 0.75
"""The share of the process's open files that connections may take; the stores need the others."""
ROOM_SHARE = 64
"""When the server is full, one waiting connection in this many is closed, so that newcomers do not each search all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds of connections.

    head_bytes_max, headers_max: The request line and the headers of a request, and the number of its headers.
    request_line_bytes_max: The request line.
    framing_bytes_max: What a chunked body may add beyond 16 times its content: sizes and extensions of its chunks, and
        trailers.
    discarded_bytes_max, discard_seconds_max: What is read and thrown away after a response, so that the client gets it.
    head_seconds_max: From the first byte of a request, or from connecting, to the end of its headers.
    body_seconds_max: From there to the end of its body, without the time in which the service does not read.
    idle_seconds_max: Between two requests.
    stall_seconds_max, stall_bytes_min: A client must read this much of a response in each period of this length.
    per_address_max, total_max: Open connections.
    look_seconds: How often connections are checked.
    """

    head_bytes_max: int = 64 * 1024
    headers_max: int = 256
    request_line_bytes_max: int = 8 * 1024
    framing_bytes_max: int = 64 * 1024
    discarded_bytes_max: int = 64 * 1024 * 1024
    discard_seconds_max: float = 5.0
    head_seconds_max: float = 10.0
    body_seconds_max: float = 25.0
    idle_seconds_max: float = 5.0
    stall_seconds_max: float = 10.0
    stall_bytes_min: int = 10 * 1024
    per_address_max: int = 512
    total_max: int = 4_096
    look_seconds: float = 0.5


class Connection(Protocol):
    """An open connection.

    deadline: When it has to be checked, by the clock of the event loop.
    waiting_since: When it began to wait for the headers of a request; infinity while it has a request.
    """

    deadline: float
    waiting_since: float

    def end_overdue(self) -> None:
        """The deadline has passed."""

    def evict(self) -> None:
        """Closes the connection at once, without a response."""


class Connections:
    """The open connections of a server, by the address that counts for each.

    A server, or an address, with too many connections loses those that have waited longest for the headers of a
    request: half-open ones cannot keep others out. `is_exempt` names peers whose connections stand for many clients.
    """

    def __init__(
        self, bounds: Bounds | None = None, *, is_exempt: Callable[[str], bool] = lambda _address: False
    ) -> None:
        self.bounds = bounds or Bounds()
        self._is_exempt = is_exempt
        self._keys: dict[Connection, str] = {}
        self._by_key: dict[str, dict[Connection, None]] = {}
        self._total_max = min(self.bounds.total_max, _open_files(FILE_SHARE))
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def admit(self, connection: Connection, address: str) -> bool:
        """Adds a connection. False if all others of the server, or of the address, have requests in progress."""
        key = limit_key(address)
        self._keys[connection] = key
        peers = self._by_key.setdefault(key, {})
        peers[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.bounds.look_seconds, self._look)
        has_room = True
        excess = len(peers) - self.bounds.per_address_max
        if excess > 0 and not self._is_exempt(address):
            has_room = self._make_room(peers, excess, newcomer=connection)
        if len(self._keys) > self._total_max:
            count = 1 + self._total_max // ROOM_SHARE
            has_room = self._make_room(self._keys, count, newcomer=connection) and has_room
        return has_room

    def remove(self, connection: Connection) -> None:
        """Forgets a closed connection. Harmless if it was removed before."""
        key = self._keys.pop(connection, None)
        if key is None:
            return
        peers = self._by_key[key]
        del peers[connection]
        if not peers:
            del self._by_key[key]

    def _make_room(
        self, among: dict[Connection, None] | dict[Connection, str], count: int, *, newcomer: Connection
    ) -> bool:
        waiting = [each for each in among if each.waiting_since != inf and each is not newcomer]
        oldest = heapq.nsmallest(count, waiting, key=lambda each: each.waiting_since)
        for connection in oldest:
            self.remove(connection)
            connection.evict()
        return bool(oldest)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self._keys if each.deadline <= now]:
            connection.end_overdue()
        self._timer = loop.call_later(self.bounds.look_seconds, self._look) if self._keys else None


def _open_files(share: float) -> int:
    """This share of the number of files that the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else int(soft * share)
