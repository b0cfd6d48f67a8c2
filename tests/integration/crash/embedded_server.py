"""The PostgreSQL server that a service keeps in its DATA_DIR, and that may outlive a killed service for a moment."""

from pathlib import Path

from adapters.embedded_postgres.processes import end_server_processes


class ServersOwnPostgres:
    """The server below one DATA_DIR, whichever process it is at the moment."""

    def __init__(self, data_directory: Path) -> None:
        self._data = data_directory / "postgres" / "data"

    def kill(self) -> None:
        """SIGKILL the server with every backend; harmless where there is none."""
        end_server_processes(self._data)
