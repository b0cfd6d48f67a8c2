"""What the tests of imports share."""

import pytest

from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from tests.unit.application.interchange.importing import Import, importer


@pytest.fixture
def bring(begin: Begin, clock: Clock) -> Import:
    """Imports a file for the default actor."""
    return importer(begin, clock)
