"""Sessions, API tokens and global roles, the same in every store mode."""

import asyncio
import secrets
from dataclasses import replace

import pytest

from domain.role import RoleScope, built_in_id
from tests.integration.journeys.service import JourneyService, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")

ADMINISTRATOR = built_in_id(RoleScope.GLOBAL, "admin")
TABS = 4


async def test_tabs_that_refresh_at_once_all_go_on(service: JourneyService) -> None:
    email = f"{secrets.token_hex(8)}@example.org"
    signed_in = await service.view(None, "POST", "/v1/auth/dev/token", {"email": email})

    async def refreshed(token: str) -> str:
        view = await service.view(None, "POST", "/v1/auth/refresh", {"refreshToken": token})
        return str(view["refreshToken"])

    tabs = await asyncio.gather(*(refreshed(signed_in["refreshToken"]) for _ in range(TABS)))
    later = await asyncio.gather(*(refreshed(tab) for tab in tabs))

    assert len({*tabs, *later}) == 2 * TABS
    for path in ("/v1/auth/logout", "/v1/auth/logout"):
        await service.call(None, "POST", path, {"refreshToken": tabs[0]}, expect=204)
    for token in later:
        await service.call(None, "POST", "/v1/auth/refresh", {"refreshToken": token}, expect=401)
    await service.require_sound()


async def test_a_revoked_administrator_and_a_deleted_token_stop_at_once(
    service: JourneyService, anna: Person
) -> None:
    role = f"/v1/users/{anna.id}/roles/{ADMINISTRATOR}"
    await service.call(service.admin, "PUT", role, expect=204)
    again = await service.view(None, "POST", "/v1/auth/dev/token", {"email": anna.email})
    person = replace(anna, token=again["accessToken"])
    body = {"name": "ci", "scopes": ["write", "admin"]}
    issued = await service.view(person, "POST", "/v1/users/me/tokens", body)
    script = replace(anna, token=issued["token"])
    for caller in (person, script):
        await service.call(caller, "GET", "/v1/admin/trash", expect=200)

    await service.call(service.admin, "DELETE", role, expect=204)
    for caller in (person, script):
        await service.call(caller, "GET", "/v1/admin/trash", expect=403)
        await service.call(caller, "POST", "/v1/labels", {"name": secrets.token_hex(8)}, expect=201)

    await service.call(person, "DELETE", f"/v1/users/me/tokens/{issued['id']}", expect=204)
    await service.call(script, "GET", "/v1/labels", expect=401)
    await service.require_sound()
