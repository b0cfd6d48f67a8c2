"""The commands of the unit tests, beside real processes; and processes that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess
from tests.unit.entrypoints.cli.conftest import beads_file, data_dir, tandem

__all__ = ["beads_file", "data_dir", "tandem"]

StartService = Callable[..., ServiceProcess]
StartCommand = Callable[..., TandemProcess]


@pytest.fixture
def processes() -> Iterator[list[TandemProcess]]:
    """Processes that end with the test, whatever its outcome."""
    started: list[TandemProcess] = []
    yield started
    for process in started:
        process.kill()


@pytest.fixture
def start_service(processes: list[TandemProcess], data_directory: Path) -> StartService:
    """Starts `tandem serve` with these settings and returns at once."""

    def start(**variables: str) -> ServiceProcess:
        service = ServiceProcess(
            f"serve-{len(processes)}",
            environment={"DATA_DIR": str(data_directory), **variables},
            directory=data_directory,
        )
        processes.append(service)
        service.start()
        return service

    return start


@pytest.fixture
def start_command(processes: list[TandemProcess], data_directory: Path) -> StartCommand:
    """Starts a command with these settings and returns at once."""

    def start(*words: str, as_json: bool = True, **variables: str) -> TandemProcess:
        command = TandemProcess(
            f"command-{len(processes)}",
            words,
            environment={"DATA_DIR": str(data_directory), **variables},
            directory=data_directory,
            as_json=as_json,
        )
        processes.append(command)
        command.start()
        return command

    return start
