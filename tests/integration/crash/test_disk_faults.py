"""The disk of the embedded store is full, or must not be written: requests are rejected, and nothing is lost."""

import asyncio
import json
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.integration.crash.ledger import Ledger
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.small_disk import SmallDisk, read_only, small_disk
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess

PROJECTS_MAX = 2_000
"""More than fit on the small disk."""
LARGE = "x" * 9_000
HEALTH_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05


@pytest.fixture
def disk(data_directory: Path) -> Iterator[SmallDisk]:
    with small_disk(data_directory) as disk:
        yield disk


def service_on(
    directory: Path, logs: Path, processes: list[TandemProcess], launcher: Sequence[str] = ()
) -> ServiceProcess:
    """A service whose only store is embedded in this directory, not started yet."""
    settings = {"STORE": "monty", "MONTY_STORAGE": "sqlite", "DATA_DIR": str(directory)}
    name = f"service-{len(processes)}"
    service = ServiceProcess(name, environment=settings, directory=logs, launcher=launcher)
    processes.append(service)
    return service


async def create_project(client: ServiceClient, name: str, description: str = "") -> httpx.Response:
    return await client.ask("POST", "/v1/projects", {"name": name, "description": description})


async def fill_disk(client: ServiceClient, ledger: Ledger) -> httpx.Response:
    """Creates projects until one is rejected, and returns that answer."""
    for number in range(PROJECTS_MAX):
        answer = await create_project(client, f"Project {number}", LARGE)
        if answer.status_code != 201:
            return answer
        ledger.note("projects", answer)
    raise AssertionError(f"{PROJECTS_MAX} projects fit on the disk, so nothing is proven")


def require_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def require_stored(client: ServiceClient, ledger: Ledger) -> None:
    """Every acknowledged project is there as it was acknowledged, and no other."""
    acknowledged = dict(ledger.latest())
    for (_, id_), view in acknowledged.items():
        answer = await client.ask("GET", f"/v1/projects/{id_}")
        assert (answer.status_code, answer.json()) == (200, view)
    listed = (await client.ask("GET", "/v1/projects?limit=1&count=exact")).json()
    assert listed["total"] == len(acknowledged)


async def test_a_full_disk_rejects_writes_and_loses_none_that_was_acknowledged(
    disk: SmallDisk, tmp_path: Path, processes: list[TandemProcess]
) -> None:
    service = service_on(disk.directory, tmp_path, processes, disk.launcher)
    ledger = Ledger()
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        require_unavailable(await fill_disk(client, ledger))
        require_unavailable(await create_project(client, "Another large one", LARGE))
        await require_stored(client, ledger)
    await asyncio.to_thread(service.kill)

    room = disk.make_room()
    service = service_on(room.directory, tmp_path, processes, room.launcher)
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        await require_stored(client, ledger)
        ledger.note("projects", await create_project(client, "Now there is room", LARGE))
        await require_stored(client, ledger)
    assert await asyncio.to_thread(service.stop) == 0


async def test_health_shows_a_full_disk_until_there_is_room(
    disk: SmallDisk, tmp_path: Path, processes: list[TandemProcess]
) -> None:
    service = service_on(disk.directory, tmp_path, processes, disk.launcher)
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        require_unavailable(await fill_disk(client, Ledger()))
        await wait_for_health(client, "DOWN")
        disk.make_room(process_id=service.process_id)
        await wait_for_health(client, "UP")
        assert (await create_project(client, "Now there is room", LARGE)).status_code == 201
    assert await asyncio.to_thread(service.stop) == 0


async def wait_for_health(client: ServiceClient, status: str) -> None:
    deadline = time.monotonic() + HEALTH_SECONDS_MAX
    while (shown := (await client.ask("GET", "/v1/health")).json())["components"]["db"]["status"] != status:
        assert time.monotonic() < deadline, shown
        await asyncio.sleep(POLL_SECONDS)


async def test_a_directory_that_must_not_be_written_is_refused_and_left_as_it_is(
    data_directory: Path, tmp_path: Path, processes: list[TandemProcess]
) -> None:
    data, ledger = data_directory / "data", Ledger()
    service = service_on(data, tmp_path, processes)
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        ledger.note("projects", await create_project(client, "Garden"))
    assert await asyncio.to_thread(service.stop) == 0
    before = contents_of(data)

    with read_only(data) as launcher:
        refused = service_on(data, tmp_path, processes, launcher)
        refused.start()
        code = await asyncio.to_thread(refused.wait_ended)

    error = json.loads(refused.said())["error"]
    assert (code, error["code"]) == (3, "store_refused")
    assert str(data) in error["message"]
    assert "Traceback" not in refused.log.read_text()
    assert contents_of(data) == before
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        await require_stored(client, ledger)
    assert await asyncio.to_thread(service.stop) == 0


def contents_of(directory: Path) -> dict[Path, tuple[str, bytes]]:
    """Every file below a directory with its mode and its bytes."""
    return {
        path: (stat.filemode(path.stat().st_mode), path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
