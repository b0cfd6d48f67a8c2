"""What the addresses of all servers have in common."""


def is_cut_short(address: str) -> bool:
    """Whether a / of the password ended the account early, so that the path contains the server."""
    server, _, path = address.partition("://")[2].partition("?")[0].partition("/")
    return "@" in path and "@" not in server
