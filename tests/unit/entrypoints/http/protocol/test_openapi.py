import json
from typing import Any

from entrypoints.http.app import RESOURCES
from entrypoints.http.protocol import patterns
from entrypoints.http.protocol.openapi import openapi_document
from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.service import ADMIN, Service


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set[str]()
        return own.union(*(references(item) for item in value.values()))
    return set[str]().union(*(references(item) for item in value)) if isinstance(value, list) else set()


async def test_the_served_document_is_the_committed_one(service: Service) -> None:
    served = (await service.client.get("/schema/openapi.json")).json()

    assert served == json.loads(COPY.read_text("utf-8")), (
        "the interface changed; write the copy anew: PYTHONPATH=src python -m tests.unit.entrypoints.http.openapi_copy"
    )


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document(RESOURCES)

    for reference in references(document):
        part: Any = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        assert part


def test_operations_are_named_once_and_say_what_may_go_wrong() -> None:
    document = openapi_document(RESOURCES)
    operations = [operation for path in document["paths"].values() for operation in path.values()]

    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert "500" in operation["responses"]
        assert operation["security"] == [] or "401" in operation["responses"]


async def test_every_route_of_the_interface_is_documented(service: Service) -> None:
    document = openapi_document(RESOURCES)
    pages = {"/", "/docs", "/schema/openapi.json", "/favicon.svg", "/favicon.ico", "/problems"}

    for route in service.app.routes:
        path = route.path_format
        if path not in pages and not path.startswith(("/assets/", "/problems/", "/operator/")):
            told = await service.client.options(
                path.replace("{collection}", "tasks").replace("{", "").replace("}", "")
            )
            methods = {method.lower() for method in told.headers["allow"].split(", ")} - {"options", "head"}
            assert methods == set(document["paths"][path]), path


async def test_the_document_tells_parameters_as_they_are_read(service: Service) -> None:
    document = (await service.call("GET", "/schema/openapi.json", by=ADMIN)).json()
    listing = {each["name"]: each for each in document["paths"]["/v1/tasks"]["get"]["parameters"]}

    assert listing["limit"]["schema"] == {
        "type": "integer",
        "description": "The largest number of items on the page.",
        "minimum": 1,
        "maximum": 200,
        "default": 20,
    }
    assert listing["status"]["schema"]["pattern"] == patterns.STATUSES
    assert "-dueAt" in listing["sort"]["schema"]["enum"]
    assert {"format": "date-time"} in listing["dueBefore"]["schema"]["anyOf"]
