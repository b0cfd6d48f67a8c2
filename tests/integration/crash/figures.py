"""What the crash tests measured, for the end of the run."""

FIGURES: list[str] = []


def note_figures(test: str, **figures: object) -> None:
    """One line for one scenario."""
    FIGURES.append(f"{test}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
