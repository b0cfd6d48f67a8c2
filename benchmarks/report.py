"""Figures and their report: ratios against ceilings, with raw figures and bounds."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `holds` says whether it is within its bound, None without a bound."""

    name: str
    value: float
    unit: str
    bound: str
    holds: bool | None
    raw: str

    def row(self) -> str:
        """One row of a Markdown table."""
        verdict = {True: "yes", False: "**no**", None: "–"}[self.holds]
        return f"| {self.name} | {self.value:.4g} {self.unit} | {self.bound} | {verdict} | {self.raw} |"


@dataclass(slots=True)
class Report:
    """Figures by section, printed at once and collected for docs/benchmarks.md."""

    sections: dict[str, list[Figure]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, section: str, figure: Figure) -> None:
        """Adds a figure and prints it."""
        if section not in self.sections:
            self.sections[section] = []
            print(f"\n## {section}\n\n{HEADER}", flush=True)
        self.sections[section].append(figure)
        print(figure.row(), flush=True)

    def note(self, section: str, sentence: str) -> None:
        """Adds a remark below the section's figures, such as why something was not measured."""
        self.notes.setdefault(section, []).append(sentence)
        print(f"\n{section}: {sentence}", flush=True)

    def text(self) -> str:
        """The whole report as Markdown."""
        parts = [
            "\n".join(
                (
                    f"\n## {name}\n\n{HEADER}",
                    *(figure.row() for figure in rows),
                    *(f"\n{sentence}" for sentence in self.notes.get(name, ())),
                )
            )
            for name, rows in self.sections.items()
        ]
        return "\n".join(parts) + "\n"


ORDINARY_ADDITIONS_SECONDS = 0.13
"""The time for three million additions on an ordinary machine of 2025, to which bounds in seconds refer."""

HEADER = "| figure | measured | bound | holds | raw |\n|---|---:|---|---|---|"


def at_least(name: str, value: float, bound: float, *, raw: str, unit: str = "") -> Figure:
    """A figure that should not fall below its bound."""
    return Figure(name, value, unit, f"≥ {bound:g}", value >= bound, raw)


def at_most(name: str, value: float, bound: float, *, raw: str, unit: str = "") -> Figure:
    """A figure that should not exceed its bound."""
    return Figure(name, value, unit, f"≤ {bound:g} {unit}".strip(), value <= bound, raw)


def machine() -> str:
    """The machine, in one line."""
    cores = Path("/proc/cpuinfo").read_text().count("processor\t") if Path("/proc/cpuinfo").exists() else 0
    return (
        f"{platform.system()} {platform.machine()}, {cores or '?'} cores, Python {platform.python_version()}"
    )


def additions_seconds(rounds: int = 3) -> float:
    """The time of this machine for three million additions, the least of several rounds, to compare absolute times.

    It is CPU time of the thread, so other load affects it as it affects the measurements.
    """
    seconds = []
    for _ in range(rounds):
        began, total = time.thread_time(), 0
        for number in range(3_000_000):
            total += number
        seconds.append(time.thread_time() - began)
    return min(seconds)


def slowness() -> float:
    """How much slower than an ordinary machine this one is at present."""
    return additions_seconds(1) / ORDINARY_ADDITIONS_SECONDS


def median_of(measure: Callable[[], float], rounds: int) -> float:
    """The median of several rounds."""
    return statistics.median(measure() for _ in range(rounds))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
