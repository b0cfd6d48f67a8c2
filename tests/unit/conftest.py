"""What makes thousands of short tests cheap."""

import gc
from typing import Final

import pytest

YOUNG_OBJECTS_MAX: Final = 20_000
"""How many new objects the garbage collector waits for; with its default of 700 it runs within every test."""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the garbage collector from visiting modules and collected tests, which live until the end of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 20)
