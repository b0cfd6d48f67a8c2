"""The PostgreSQL server that a service keeps in its DATA_DIR, found by its pid file: it outlives a killed service."""

from pathlib import Path

from adapters.postgres.embedded_process import Postmaster
from tests.servers.processes import Guard, kill_tree


class ServersOwnPostgres:
    """The server below one DATA_DIR, whichever process it is at the moment."""

    def __init__(self, data_directory: Path) -> None:
        self._data = data_directory / "postgres" / "data"
        self._guards: dict[int, Guard] = {}

    @property
    def process_id(self) -> int | None:
        """The postmaster, None while there is none."""
        postmaster = Postmaster.read(self._data)
        if postmaster is None or not postmaster.is_alive(self._data):
            return None
        return postmaster.process_id

    def watch(self) -> None:
        """Makes sure that the present server ends with this test process, however that ends."""
        process_id = self.process_id
        if process_id is not None and process_id not in self._guards:
            self._release_all()
            self._guards[process_id] = Guard(process_id)

    def kill(self) -> None:
        """SIGKILL the server with every backend; harmless where there is none."""
        process_id = self.process_id
        if process_id is not None:
            kill_tree(process_id)
        self._release_all()

    def _release_all(self) -> None:
        for guard in self._guards.values():
            guard.release()
        self._guards.clear()
