import pytest

from entrypoints.composition.health import DETAIL_LENGTH_MAX, down, without_places


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("The disk is full.", "The disk is full."),
        ("It cannot be started in /var/lib/tandem: no room.", "It cannot be started in …: no room."),
        ("No answer from postgresql://anna:secret@db/tandem today", "No answer from … today"),
        ("It failed.\nFATAL: at /x/y", "It failed."),
        ("1/2 of them; and/or more", "1/2 of them; and/or more"),
        ("", ""),
    ],
)  # fmt: skip
def test_everybody_sees_the_reason_without_places(reason: str, shown: str) -> None:
    assert without_places(reason) == shown


def test_a_long_reason_is_cut_for_everybody_and_whole_for_operators() -> None:
    health = down("x" * 1_000)
    assert len(health.detail or "") == DETAIL_LENGTH_MAX
    assert health.reason == "x" * 1_000
    assert health.status == "DOWN"
