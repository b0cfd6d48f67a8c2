"""Every operation of the OpenAPI document, and what an answer must conform to."""

import json
from typing import Any, Final

import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.unit.entrypoints.http.openapi_copy import COPY

CHECKS: Final[list[Any]] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

# Read from the committed copy, which another test compares with what is served: collecting tests starts no application.
_PATHS = json.loads(COPY.read_text("utf-8"))["paths"]
OPERATIONS: Final = [f"{method.upper()} {path}" for path, methods in _PATHS.items() for method in methods]
