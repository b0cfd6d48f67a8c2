"""Tests that take both kinds of source, of which one has its turn in the short form."""

import pytest

SOURCES = ("monty", "mongo")


def sources(fixture: str, *, short: str) -> pytest.MarkDecorator:
    """Both sources for a fixture that takes one, the other one than `short` in the long form of the tests only."""
    cases = [pytest.param(name, marks=() if name == short else pytest.mark.torture) for name in SOURCES]
    return pytest.mark.parametrize(fixture, cases, indirect=True)
