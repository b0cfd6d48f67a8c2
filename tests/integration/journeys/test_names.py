"""Names with joiners, selectors and new characters, in every store mode."""

import secrets
from urllib.parse import quote

import pytest

from tests.data.names import GOOD_NAMES
from tests.integration.journeys.service import JourneyService, Person
from tests.unit.application.interchange.importing import beads
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOUND = {
    "\U0002ebf0\U0002ebf1 plan": ("\U0002ebf0", "\U0002ebf0\U0002ebf1"),
    "葛\U000e0100飾区": ("葛飾", "葛\U000e0100飾"),
    "അവന്\u200d വന്നു": ("അവന്", "അവന്\u200d"),
    "🩵 love": ("love", "🩵 love"),
    "ភាសា\u200bខ្មែរ": ("ភាសា", "ភាសាខ្មែរ"),
}
"""Titles, and searches that find them."""
WORDLESS = ("🩵", "🫩", "\ufdd0", "\u200d", "〽\ufe0f", "\uf8ff")


async def test_names_are_stored_changed_and_imported_as_they_are(
    service: JourneyService, anna: Person
) -> None:
    operations = [{"op": "create", "title": name} for name in GOOD_NAMES]
    bulk = {"operations": operations, "atomic": True}
    await service.view(anna, "POST", "/v1/tasks/bulk", bulk)
    made = await service.items(anna, "/v1/tasks?limit=200")
    assert sorted(task["title"] for task in made) == sorted(GOOD_NAMES)

    project = await service.view(anna, "POST", "/v1/projects", {"name": "🩵"})
    path = f"/v1/projects/{project['id']}"
    renamed = await service.view(anna, "PATCH", path, {"name": "葛\U000e0100飾区"})
    assert [project["name"], renamed["name"]] == ["🩵", "葛\U000e0100飾区"]

    issues = [{"id": f"a-{number}", "title": name} for number, name in enumerate(GOOD_NAMES)]
    answer = await service.call(
        anna, "POST", "/v1/imports?format=beads", raw=beads(*issues), kind="application/x-ndjson", expect=200
    )
    report: Json = answer.json()
    imported = await service.items(anna, f"/v1/tasks?projectId={report['project']['id']}&limit=200")
    assert sorted(task["title"] for task in imported) == sorted(GOOD_NAMES)
    assert "title" not in {loss["field"] for loss in report["lost"]}


async def test_new_letters_and_variants_are_found(service: JourneyService, anna: Person) -> None:
    for title in FOUND:
        await service.view(anna, "POST", "/v1/tasks", {"title": title})
    for title, queries in FOUND.items():
        for query in queries:
            found = await service.items(anna, f"/v1/tasks?q={quote(query)}")
            assert [task["title"] for task in found] == [title], ascii(query)
    for query in WORDLESS:
        refused = await service.call(anna, "GET", f"/v1/tasks?q={quote(query)}", expect=400)
        assert pointers(refused) == ["/q"]


async def test_a_label_with_a_new_letter_is_unique(service: JourneyService, anna: Person) -> None:
    name = f"\U0002ebf0 {secrets.token_hex(6)}"
    await service.view(anna, "POST", "/v1/labels", {"name": name})
    await service.call(anna, "POST", "/v1/labels", {"name": name.upper()}, expect=409)
