"""How a figure is told: as a ratio against a ceiling, with its raw figures and the bound it is held to."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `holds` says whether it keeps its bound, None where it has none."""

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
    """Figures by section, printed as they come and kept for docs/benchmarks.md."""

    sections: dict[str, list[Figure]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, section: str, figure: Figure) -> None:
        """Takes a figure and shows it."""
        if section not in self.sections:
            self.sections[section] = []
            print(f"\n## {section}\n\n{HEADER}", flush=True)
        self.sections[section].append(figure)
        print(figure.row(), flush=True)

    def note(self, section: str, sentence: str) -> None:
        """Says what could not be measured, and why; stands below the section's figures."""
        self.notes.setdefault(section, []).append(sentence)
        print(f"\n{section}: {sentence}", flush=True)

    def text(self) -> str:
        """Everything measured, as Markdown."""
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
"""What three million additions take on an ordinary machine of 2025, on which the bounds in seconds were set."""

HEADER = "| figure | measured | bound | holds | raw |\n|---|---:|---|---|---|"


def at_least(name: str, value: float, bound: float, *, raw: str, unit: str = "") -> Figure:
    """A figure that should not fall below its bound."""
    return Figure(name, value, unit, f"≥ {bound:g}", value >= bound, raw)


def at_most(name: str, value: float, bound: float, *, raw: str, unit: str = "") -> Figure:
    """A figure that should not exceed its bound."""
    return Figure(name, value, unit, f"≤ {bound:g} {unit}".strip(), value <= bound, raw)


def machine() -> str:
    """What this ran on, in one line."""
    cores = Path("/proc/cpuinfo").read_text().count("processor\t") if Path("/proc/cpuinfo").exists() else 0
    return (
        f"{platform.system()} {platform.machine()}, {cores or '?'} cores, Python {platform.python_version()}"
    )


def additions_seconds(rounds: int = 3) -> float:
    """How long this machine takes for three million additions, least of so many: what absolute times are worth.

    CPU time of the thread, so that others at work here slow it as they slow what is measured, and no more.
    """
    seconds = []
    for _ in range(rounds):
        began, total = time.thread_time(), 0
        for number in range(3_000_000):
            total += number
        seconds.append(time.thread_time() - began)
    return min(seconds)


def slowness() -> float:
    """How many times slower than an ordinary machine this one is at this moment."""
    return additions_seconds(1) / ORDINARY_ADDITIONS_SECONDS


def median_of(measure: Callable[[], float], rounds: int) -> float:
    """The median of several rounds."""
    return statistics.median(measure() for _ in range(rounds))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
