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

    def add(self, section: str, figure: Figure) -> None:
        """Takes a figure and shows it."""
        if section not in self.sections:
            self.sections[section] = []
            print(f"\n## {section}\n\n{HEADER}", flush=True)
        self.sections[section].append(figure)
        print(figure.row(), flush=True)

    def text(self) -> str:
        """Everything measured, as Markdown."""
        parts = [
            f"\n## {name}\n\n{HEADER}\n" + "\n".join(f.row() for f in rows)
            for name, rows in self.sections.items()
        ]
        return "\n".join(parts) + "\n"


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


def additions_seconds() -> float:
    """How long this machine takes for three million additions, least of three: what absolute times are worth."""
    seconds = []
    for _ in range(3):
        began, total = time.perf_counter(), 0
        for number in range(3_000_000):
            total += number
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def median_of(measure: Callable[[], float], rounds: int) -> float:
    """The median of several rounds."""
    return statistics.median(measure() for _ in range(rounds))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
