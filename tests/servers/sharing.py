"""One server of each kind for a whole test run, however many worker processes pytest-xdist starts.

The process that runs pytest starts a server when the first test asks for it, and closes all of them at the end. Workers
ask over a Unix socket. A server that cannot be started fails each test that needs it, with the reason.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer
from typing import Protocol

import pytest

from tests.servers.directories import RunDirectory
from tests.servers.mongo import start_mongo_server, start_text_mongo_server
from tests.servers.postgres import start_postgres_server
from tests.servers.redis import start_redis_server

WAITING_WORKERS_MAX = 64
START_SECONDS_MAX = 120.0


class Server(Protocol):
    """What is needed to share a server."""

    @property
    def url(self) -> str: ...
    def close(self) -> None: ...


STARTERS: Mapping[str, Callable[[Path], Server]] = {
    "postgres": start_postgres_server,
    "mongo": start_mongo_server,
    "text_mongo": start_text_mongo_server,
    "redis": start_redis_server,
}


class SharedServers(Protocol):
    """The servers of the test run, by kind: the keys of STARTERS."""

    def url(self, kind: str) -> str:
        """Where the server is. Fails the test where it cannot be started."""
        ...


class OwnedServers:
    """The servers themselves, in the process that runs pytest; their data is below `run`."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._servers: dict[str, Server] = {}
        self._failures: dict[str, str] = {}
        self._listener: UnixStreamServer | None = None

    def url(self, kind: str) -> str:
        if kind not in self._servers and kind not in self._failures:
            try:
                self._servers[kind] = STARTERS[kind](self._run.path / kind)
            except pytest.fail.Exception as failure:
                self._failures[kind] = str(failure)
        if kind in self._failures:
            pytest.fail(self._failures[kind])
        return self._servers[kind].url

    def listen(self) -> Path:
        """Let workers ask; they connect to this socket."""
        path = self._run.path / "servers.sock"
        if self._listener is None:
            self._listener = _Listener(self, path)
            # A single thread, so that a server is started once, by a thread that lives as long as the run.
            threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        return path

    def close(self) -> None:
        """Stop every server that was started."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
        while self._servers:
            self._servers.popitem()[1].close()


class _Listener(UnixStreamServer):
    request_queue_size = WAITING_WORKERS_MAX

    def __init__(self, servers: OwnedServers, path: Path) -> None:
        self.servers = servers
        super().__init__(str(path), _Handler)


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        kind = self.rfile.readline().decode().strip()
        assert isinstance(self.server, _Listener)
        try:
            answer = {"url": self.server.servers.url(kind)}
        except pytest.fail.Exception as failure:
            answer = {"failure": str(failure)}
        self.wfile.write(json.dumps(answer).encode())


class AskedServers:
    """The same servers, in a worker process of pytest-xdist."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def url(self, kind: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_SECONDS_MAX)
            connection.connect(str(self._path))
            connection.sendall(f"{kind}\n".encode())
            answer: dict[str, str] = json.loads(connection.makefile("rb").read())
        if "failure" in answer:
            pytest.fail(answer["failure"])
        return answer["url"]
