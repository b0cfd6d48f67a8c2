"""`make bench`: measures all sections or the named ones; `--write` writes the report to docs/benchmarks.md.

A number after `drain` is the length of the backlog, one after `backfill` the number of tasks.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    backfill,
    cache,
    creators,
    decisions,
    drain,
    embedded_store,
    http_stack,
    lanes,
    lists,
    mirror,
    request_costs,
    routing,
    signing,
    verification,
    wrapping,
)
from benchmarks.report import Report, additions_seconds, machine

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
MARK = "<!-- figures -->"

SECTIONS: dict[str, Callable[[Report], Awaitable[None]]] = {
    "http": http_stack.measure,
    "mirror": mirror.measure,
    "drain": drain.measure,
    "backfill": backfill.measure,
    "lanes": lanes.measure,
    "verification": verification.measure,
    "monty": embedded_store.measure,
    "lists": lists.measure,
    "requests": request_costs.measure,
    "routing": routing.measure,
    "wrapping": wrapping.measure,
    "signing": signing.measure,
    "permissions": decisions.measure,
    "creators": creators.measure,
    "cache": cache.measure,
    "start": http_stack.measure_start,
    "memory": http_stack.measure_memory,
}


async def main(arguments: list[str]) -> Report:
    """Measures the named sections, or all without names."""
    report = Report()
    lengths = [int(argument) for argument in arguments if argument.isdecimal()]
    names = [argument for argument in arguments if not argument.isdecimal()]
    print(
        f"{machine()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, 3 million additions {additions_seconds():.2f} s"
    )
    for name in names or list(SECTIONS):
        if name == "drain" and lengths:
            await drain.measure(report, entries=lengths[0])
        elif name == "backfill" and lengths:
            await backfill.measure(report, records=lengths[0])
        else:
            await SECTIONS[name](report)
    return report


def keep(report: Report) -> None:
    """Replaces the figures in the document; the text above them stays."""
    text = DOCUMENT.read_text().partition(MARK)[0]
    speed = f"three million additions took {additions_seconds():.2f} s"
    when = f"\nMeasured {datetime.now(UTC):%Y-%m-%d} on {machine()}; {speed}.\n"
    DOCUMENT.write_text(f"{text}{MARK}\n{when}{report.text()}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    measured = asyncio.run(main([name for name in arguments if name != "--write"]))
    if "--write" in arguments:
        keep(measured)
