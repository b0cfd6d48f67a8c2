import pytest

from tests.integration.journeys.service import JourneyService, Person
pytestmark = pytest.mark.asyncio(loop_scope="session")

async def test_x(service: JourneyService, anna: Person) -> None:
    await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    await service.require_sound()
