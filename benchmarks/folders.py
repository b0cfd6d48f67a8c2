"""Folders that the account of PostgreSQL can enter."""

from pathlib import Path


def reachable(folder: str) -> Path:
    """The folder, accessible to the account that runs PostgreSQL if this process is root."""
    path = Path(folder)
    path.chmod(0o755)
    return path
