"""`make lab`: scenarios one after the other, with what happened in each. A failing one is repeated by its seed."""

import argparse
import asyncio
import sys
import time
import traceback

from _pytest.outcomes import Failed

from tests.integration.lab.scenario_run import Report, run
from tests.integration.lab.schedule import Scenario, drawn
from tests.servers.directories import RUN

SEEDS = 10
TRACE_LINES_MAX = 60


def main() -> int:
    """0 if every scenario kept every promise, 1 otherwise."""
    arguments = _arguments()
    seeds = (
        [arguments.seed]
        if arguments.seed is not None
        else range(arguments.first, arguments.first + arguments.seeds)
    )
    began = time.monotonic()
    failed: list[int] = []
    writes = 0
    for seed in seeds:
        scenario = drawn(seed, source=arguments.source)
        report = _tried(scenario.without_faults() if arguments.no_faults else scenario)
        if report is None:
            failed.append(seed)
        else:
            writes += report.acknowledged_writes
    RUN.remove()
    minutes = (time.monotonic() - began) / 60
    _say(
        f"{len(seeds)} seeds, {writes} acknowledged writes, {minutes:.1f} minutes, failed: {failed or 'none'}"
    )
    return 1 if failed else 0


def _tried(scenario: Scenario) -> Report | None:
    """The report; None where a promise was broken, with the reason printed."""
    _say(
        f"seed {scenario.seed}, from {scenario.source}: {'; '.join(scenario.described()) or 'no fault'}",
    )
    try:
        report = asyncio.run(run(scenario))
    except (AssertionError, Failed, TimeoutError, BaseExceptionGroup, OSError) as failure:
        lines = "".join(traceback.format_exception(failure)).splitlines()
        _say("\n".join(lines[-TRACE_LINES_MAX:]))
        _say(f"  FAILED. Repeat it: make lab ARGS='--seed {scenario.seed}'")
        return None
    _say(
        f"  kept {report.acknowledged_writes} writes; pauses {list(report.pauses_ms)} ms, longest wait"
        f" {report.longest_wait_ms} ms, {report.lost_answers} answers lost, {report.failed_answers} of 5xx,"
        f" {report.looks} looks at both records,"
        f" refused steps {dict(report.refusals)}, {report.seconds:.0f} s\n  seconds by stage"
        f" {report.seconds_by_stage()}\n  5xx {dict(report.faults)}",
    )
    return report


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many scenarios ({SEEDS})")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one (0)")
    parser.add_argument("--seed", type=int, help="only the scenario of this seed")
    parser.add_argument("--source", choices=("monty", "mongo"), help="the source of all of them")
    parser.add_argument("--no-faults", action="store_true", help="the same load, and nothing goes wrong")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
