"""What is checked of each answer against the OpenAPI document, and the operations to ask for."""

import json
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.unit.entrypoints.http.openapi_copy import COPY

CHECKS: list[Any] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def names() -> list[str]:
    # The committed copy, which another test compares with what is served: collecting tests starts no application.
    paths = json.loads(COPY.read_text("utf-8"))["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
