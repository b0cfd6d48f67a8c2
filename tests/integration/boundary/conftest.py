"""One service for all attacks, and its access lines."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.integration.crash.tandem_process import ServiceProcess
from tests.servers.directories import open_directory
from tests.servers.processes import wait_until

LINES_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Attacked:
    """The service under attack."""

    process: ServiceProcess
    token: str

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def authorization(self) -> str:
        """A header line."""
        return f"Authorization: Bearer {self.token}"

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        """The access lines of a request; they are written once a second."""
        found: list[dict[str, Any]] = []

        def is_written() -> bool:
            marked = [line for line in self.log().splitlines() if request_id in line and '"event":' in line]
            found[:] = [json.loads(line) for line in marked]
            return bool(found)

        wait_until(is_written, seconds_max=LINES_SECONDS_MAX, reason="there was no access line")
        return found

    def log(self) -> str:
        """What the service wrote as events, and as access lines."""
        return self.process.log.read_text(errors="replace") + self.process.said()


@pytest.fixture(scope="session")
def attacked() -> Iterator[Attacked]:
    """A service with one user."""
    with open_directory() as directory:
        variables = {"STORE": "monty", "DATA_DIR": str(directory), "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
        process = ServiceProcess("attacked", environment=variables, directory=directory)
        process.start_ready()
        asking = Request(
            f"{process.url}/v1/auth/dev/token",
            data=b'{"email": "anna@example.org"}',
            headers={"Content-Type": "application/json"},
        )
        with urlopen(asking) as response:
            token = json.load(response)["accessToken"]
        yield Attacked(process, token)
        process.stop()
