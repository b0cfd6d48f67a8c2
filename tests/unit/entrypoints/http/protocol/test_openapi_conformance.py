"""Every operation, asked by a machine that has read the document: no answer that the document does not know."""

from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from adapters.system.clock import SystemClock
from tests.data.conformance import CHECKS, OPERATIONS
from tests.unit.entrypoints.http.service import ADMIN, Service

EXAMPLES_MAX = 2


@cache
def service() -> Service:
    # Tokens must not expire between two examples, so this service has the machine's own clock.
    return Service(clock=SystemClock())  # type: ignore[arg-type]


@cache
def operations() -> dict[str, Any]:
    schema: Any = schemathesis.openapi.from_asgi("/schema/openapi.json", service().app)
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_one_that_the_document_knows(name: str) -> None:
    operation = operations()[name]
    headers = service().headers(ADMIN, "admin")

    for mode in schemathesis.GenerationMode:
        if mode.is_negative and not list(operation.iter_parameters()) and not operation.body:
            continue

        @settings(
            max_examples=EXAMPLES_MAX,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        ask()
