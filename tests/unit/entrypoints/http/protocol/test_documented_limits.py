"""docs/reference/limits.md states the bounds that the server has."""

from pathlib import Path

from application.ports.interchange import CONTENT_BYTES_MAX
from entrypoints.http.protocol.admission import FILE_SHARE, Bounds
from entrypoints.http.protocol.connection import FRAMING_PER_BYTE_MAX
from entrypoints.http.protocol.request import BODY_BYTES_MAX
from entrypoints.http.sessions import BODY_BYTES_MAX as SIGN_IN_BYTES_MAX

DOCUMENT = Path(__file__).parents[5] / "docs" / "reference" / "limits.md"
KIB = 1_024
MIB = KIB * KIB


def documented() -> dict[str, str]:
    """The values of the table by the first words of their limit."""
    lines = DOCUMENT.read_text().split("\n\n")[2].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: value for name, value, _ in cells}


def test_every_limit_has_the_value_of_the_server() -> None:
    bounds = Bounds()
    assert documented() == {
        "request line": f"{bounds.request_line_bytes_max // KIB} KiB",
        "headers": f"{bounds.head_bytes_max // KIB} KiB, {bounds.headers_max} headers",
        "body": f"{BODY_BYTES_MAX // MIB} MiB; imports {CONTENT_BYTES_MAX // MIB} MiB;"
        f" sign-in {SIGN_IN_BYTES_MAX // KIB} KiB",
        "what a chunked body adds to its content": f"{bounds.framing_bytes_max // KIB} KiB, and"
        f" {FRAMING_PER_BYTE_MAX} bytes for each byte of content",
        "from connecting, or from the first byte of a request, to the end of its headers": (
            f"{bounds.head_seconds_max:.0f} s"
        ),
        "from the headers to the end of the body": f"{bounds.body_seconds_max:.0f} s",
        "idle between two requests": f"{bounds.idle_seconds_max:.0f} s",
        "reading a response": f"{bounds.stall_bytes_min // KIB} KiB in {bounds.stall_seconds_max:.0f} s",
        "connections from one address": f"{bounds.per_address_max}",
        "connections in total": (
            f"{bounds.total_max}, and {100 * FILE_SHARE:.0f} % of the files that the process may open"
        ),
        "rejected bodies and headers that are read and thrown away, so that the client gets its response": (
            f"{bounds.discarded_bytes_max // MIB} MiB, {bounds.discard_seconds_max:.0f} s"
        ),
    }
