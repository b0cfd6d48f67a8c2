"""Which servers the tests used, for the summary of the run."""

SERVERS_USED: dict[str, str] = {}


def note(role: str, description: str) -> None:
    """Remember that a server of this role was used; the last description counts."""
    SERVERS_USED[role] = description


def summary_line() -> str:
    """One line that names every server used, or says that none was."""
    return "servers: " + (", ".join(SERVERS_USED[role] for role in sorted(SERVERS_USED)) or "none started")
