"""Bad input: each row names what is wrong and where; nothing may change."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.data.bodies import BAD_TASKS, MALFORMED
from tests.unit.entrypoints.http.service import Json, Service, pointers


@pytest.mark.parametrize(
    ("raw", "expected"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
async def test_bad_input_is_named_and_changes_nothing(
    service: Service, raw: bytes, expected: list[str]
) -> None:
    before = await service.stored()

    refused = await service.call("POST", "/v1/projects", raw=raw)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid"), refused.text
    assert pointers(refused) == expected, refused.text
    assert await service.stored() == before


@pytest.mark.parametrize(
    ("body", "expected"), [row[1:] for row in BAD_TASKS], ids=[row[0] for row in BAD_TASKS]
)
async def test_bad_tasks_are_named_and_change_nothing(
    service: Service, body: Any, expected: list[str]
) -> None:
    before = await service.stored()

    refused = await service.call("POST", "/v1/tasks", body)

    assert (refused.status_code, pointers(refused)) == (400, expected), refused.text
    assert await service.stored() == before


@pytest.mark.parametrize(
    "body", [{"name": None}, {"status": None}, {"ownerId": None}, {"id": "x"}, {"version": 3}]
)
async def test_what_cannot_be_cleared_or_set_is_refused_in_a_patch(service: Service, body: Any) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})
    before = await service.stored()

    refused = await service.call("PATCH", f"/v1/projects/{made['id']}", body)

    assert (refused.status_code, pointers(refused)) == (400, [f"/{next(iter(body))}"])
    assert await service.stored() == before


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/json; charset=latin-1", "json", " "]
)
async def test_other_media_types_are_refused(service: Service, kind: str) -> None:
    refused = await service.call("POST", "/v1/projects", {"name": "Garden"}, kind=kind)

    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
    assert (await service.stored())["projects"] == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_media_types_may_name_utf_8(service: Service, kind: str) -> None:
    made = await service.call("POST", "/v1/projects", {"name": "Gärten"}, kind=kind)

    assert (made.status_code, made.json()["name"]) == (201, "Gärten")


async def test_a_merge_patch_creates_nothing(service: Service) -> None:
    kind = "application/merge-patch+json"

    assert (await service.call("POST", "/v1/projects", {"name": "x"}, kind=kind)).status_code == 415


async def test_a_body_over_one_mebibyte_is_refused_however_it_is_sent(service: Service) -> None:
    raw = json.dumps({"name": "x", "description": "y" * (1024 * 1024)}).encode()

    async def pieces() -> Any:
        for start in range(0, len(raw), 65_536):
            yield raw[start : start + 65_536]

    announced = await service.call("POST", "/v1/projects", raw=raw)
    streamed = await service.call("POST", "/v1/projects", raw=pieces())

    for refused in (announced, streamed):
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert (await service.stored())["projects"] == []


async def test_escaped_and_literal_text_mean_the_same(service: Service) -> None:
    escaped = await service.call("POST", "/v1/projects", raw=b'{"name": "\\u00c4\\ud83d\\ude80\\\\u0000"}')

    assert (escaped.status_code, escaped.json()["name"]) == (201, "Ä\N{ROCKET}\\u0000")


async def test_faults_are_told_in_words_of_people(service: Service) -> None:
    body = {
        "name": 1,
        "description": "x" * 10_001,
        "status": "OPEN",
        "color": "red",
        "ownerId": "a",
        "teamId": [],
    }

    faults = (await service.call("POST", "/v1/projects", body)).json()["errors"]

    assert {fault["pointer"]: fault["message"] for fault in faults} == {
        "/name": "must be text, not a whole number",
        "/description": "must have at most 10000 characters",
        "/status": "must be one of ACTIVE, ARCHIVED",
        "/color": "must be a colour written #rrggbb, lower case",
        "/ownerId": "must be an id: 24 lower-case hexadecimal digits",
        "/teamId": "must be text or null, not a list",
    }


def _properties(schema: Json, document: Json) -> Iterator[str]:
    """The names of the fields of a body, also of its alternatives."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("properties", {})
    for option in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        yield from _properties(option, document)


async def test_half_a_surrogate_pair_in_any_field_is_named(service: Service) -> None:
    """No driver and no decoder takes such a text, which JSON can spell."""
    document = (await service.client.get("/schema/openapi.json")).json()
    before, sent = await service.stored(), 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = (
                operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            )
            for kind, body in content.items():
                if "json" not in kind:
                    continue
                for name in set(_properties(body["schema"], document)):
                    sent += 1
                    raw = b'{"%s": "\\ud800"}' % name.encode()
                    refused = await service.call(method.upper(), re.sub(r"{\w+}", "f" * 24, path), raw=raw)
                    assert 400 <= refused.status_code < 500, (method, path, name, refused.text)
    assert sent > 100
    assert await service.stored() == before
