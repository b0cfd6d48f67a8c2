"""Several services on the same stores, as an installation runs them that has more than one process."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.topologies import variables_of


@contextmanager
def services_on(
    topology: str, request: pytest.FixtureRequest, *, processes: int
) -> Iterator[Sequence[ServiceProcess]]:
    """So many services that are ready and end with the block; MontyDB belongs to one process."""
    with variables_of(topology, request) as variables, ExitStack() as running:
        directory = Path(variables["DATA_DIR"])
        services = [
            ServiceProcess(f"service-{number}", environment=variables, directory=directory)
            for number in range(processes)
        ]
        for service in services:
            running.callback(service.kill)
        # The first prepares the stores and makes the keys that all sign with.
        services[0].start_ready()
        for service in services[1:]:
            service.start()
        for service in services[1:]:
            service.wait_ready()
        yield services
