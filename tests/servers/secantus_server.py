"""Runs secantusdb with settings that its own command line does not offer."""

import argparse
import logging
from pathlib import Path

from secantus.server import SecantusDBServer

CACHE_SIZE = "64M"


def main() -> None:
    """Serves until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--storage-path", type=Path, required=True)
    parser.add_argument("--transaction-seconds", type=float, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = SecantusDBServer(
        host="127.0.0.1",
        port=arguments.port,
        storage_path=str(arguments.storage_path),
        replica_set_name="secantus",
        cache_size=CACHE_SIZE,
        sync_on_commit=True,
        enable_test_commands=False,
        transaction_lifetime_seconds=arguments.transaction_seconds,
    )
    server.start()
    server.wait()


if __name__ == "__main__":
    main()
