"""Suites that every adapter of a port passes; a test module subclasses one and supplies its fixture."""

import pkgutil

import pytest

# Suites are no test modules by name, and their failures should explain themselves all the same.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
