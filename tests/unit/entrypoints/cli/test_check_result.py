"""Each check of `tandem doctor` has one result: what failed, or that it passed."""

from entrypoints.cli.check_result import CheckResult, one_for_each

FINE = CheckResult.passed("mirror", "It was asked and works.")
BLOCKED = CheckResult.failed("mirror", "A table is blocked.", "Type: tandem sync status")
REJECTED = CheckResult.failed(
    "mirror", "2 entries are parked.", "Type: tandem sync failures", is_unreachable=True
)
SOURCE = CheckResult.passed("monty", "It answers.")


def test_a_check_that_failed_did_not_pass_as_well() -> None:
    assert one_for_each([FINE, SOURCE, BLOCKED]) == [BLOCKED, SOURCE]


def test_every_failure_and_every_remedy_of_a_check_is_named_once() -> None:
    (joined,) = one_for_each([BLOCKED, FINE, REJECTED, BLOCKED])
    assert joined.message.splitlines() == ["A table is blocked.", "2 entries are parked."]
    assert joined.remedy == "Type: tandem sync status\nType: tandem sync failures"
    assert (joined.is_fine, joined.is_unreachable) == (False, True)


def test_what_passed_in_several_ways_is_one_result() -> None:
    clock = CheckResult.passed("monty", "Its clock is right.")
    assert one_for_each([SOURCE, clock]) == [CheckResult.passed("monty", "It answers.\nIts clock is right.")]
