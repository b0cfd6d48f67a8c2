"""An error response becomes the error that the command would raise by itself."""

import json

import pytest

from domain.errors import VIOLATIONS_MAX, AlreadyExists, RuleBroken, StoreUnavailable, Violation
from entrypoints.cli.exits import failure_of
from entrypoints.cli.running_service import error_of
from entrypoints.http.protocol.problems import KINDS, BodyTooLarge, outcome_of, problem

EXIT_CODES = {408: 3, 409: 1, 412: 1, 429: 3, 500: 70, 503: 3}
"""By status; every other one is wrong use."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_interface_keeps_its_code_and_gets_the_exit_code_of_its_status(
    kind: type[RuleBroken],
) -> None:
    status, answer = problem(kind("The reason."), path="/v1/x", request_id="r")
    error = error_of(status, answer)
    failure = failure_of(error)
    assert type(error) is kind
    assert (failure.code, failure.message) == (kind.code, "The reason.")
    assert failure.exit_code == EXIT_CODES.get(outcome_of(kind).status, 2)


def test_every_violation_reaches_the_command() -> None:
    violations = [Violation(f"/{n}", f"must be {n}") for n in range(VIOLATIONS_MAX)]
    status, answer = problem(RuleBroken("Not like this.", violations=violations), path="/", request_id="r")
    assert error_of(status, answer).violations == tuple(violations)
    assert failure_of(error_of(status, answer)).details == [one.message for one in violations]


def test_a_taken_value_is_named() -> None:
    taken = AlreadyExists("It exists.", fields=["email"])
    assert error_of(*problem(taken, path="/", request_id="r")).violations == taken.violations


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(413, 2), (414, 2), (415, 2), (428, 2), (431, 2), (405, 2), (418, 2), (502, 3), (504, 3), (500, 70)],
)
@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", json.dumps({"errors": [1, None], "code": 7}).encode()]
)
def test_an_answer_of_another_server_still_has_the_exit_code_of_its_status(
    status: int, exit_code: int, answer: bytes
) -> None:
    failure = failure_of(error_of(status, answer))
    assert failure.exit_code == exit_code
    assert str(status) in failure.message


def test_a_store_that_does_not_answer_is_told_from_another_temporary_refusal() -> None:
    status, answer = problem(StoreUnavailable(), path="/", request_id="r")
    assert isinstance(error_of(status, answer), StoreUnavailable)


@pytest.mark.parametrize(
    ("bytes_max", "bound"), [(32 * 2**20, "32 MiB"), (2**20, "1 MiB"), (16 * 1024, "16 KiB")]
)
def test_a_body_that_is_too_large_names_the_bound(bytes_max: int, bound: str) -> None:
    assert bound in BodyTooLarge.than(bytes_max).message
