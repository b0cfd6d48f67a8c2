"""The parts of a write that advance its lane, and that note what it has seen of the lanes of another store."""

from collections.abc import Mapping

from adapters.records.change_set import LaneStamp

HELD = (
    "held AS (SELECT lane FROM tandem_lanes"
    " WHERE lane = %s::bigint AND number = %s::bigint AND is_open FOR UPDATE)"
)
"""The part of a commit that locks its lane: no row where the lane is not as expected. The put depends on it."""
ADVANCE_AFTER_PUT = (
    "UPDATE tandem_lanes AS advanced SET number = advanced.number + 1 FROM held, put"
    " WHERE advanced.lane = held.lane"
)
"""Advances the locked lane where the put was stored, and only there: so the lane shows whether it was."""
ADVANCE = (
    "lane AS (UPDATE tandem_lanes SET number = number + 1"
    " WHERE lane = %s::bigint AND number = %s::bigint AND is_open RETURNING 1),"
    " unheld AS (INSERT INTO tandem_lanes (lane) SELECT NULL WHERE NOT EXISTS (SELECT FROM lane))"
)
"""The part of a mirroring statement that advances a lane, whatever it finds to store. PostgreSQL runs every part that
writes to its end, also one that nothing refers to, so where the lane is not as expected, `unheld` violates a NOT NULL
and the whole statement stores nothing.
"""
ADVANCE_NAMED = ADVANCE.replace("%s", "%(lane)s", 1).replace("%s", "%(lane_number)s", 1)
RAISE_SEEN = (
    "seen AS (INSERT INTO tandem_seen AS stored (lane, number)"
    " SELECT given.lane, given.number FROM unnest({lanes}::bigint[], {numbers}::bigint[]) AS given (lane, number)"
    " WHERE NOT EXISTS"
    " (SELECT FROM tandem_seen AS known"
    " WHERE known.lane = given.lane AND known.number >= least(given.number, known.cut))"
    " ORDER BY given.lane"
    " ON CONFLICT (lane) DO UPDATE SET number = greatest(stored.number, least(excluded.number, stored.cut)),"
    " is_checkpointed = false)"
)
"""Raises what was seen of lanes, never above a cut; rows that would not change are not locked."""


def arrival_parts(*, has_lane: bool, has_seen: bool, is_named: bool = False) -> str:
    """The parts for a statement that mirrors; empty without both."""
    advance = ADVANCE_NAMED if is_named else ADVANCE
    lanes, numbers = ("%(seen_lanes)s", "%(seen_numbers)s") if is_named else ("ARRAY[%s]", "ARRAY[%s]")
    seen = RAISE_SEEN.format(lanes=lanes, numbers=numbers)
    return ", ".join([advance] * has_lane + [seen] * has_seen)


def arrival_parameters(stamp: LaneStamp | None, seen: Mapping[int, int]) -> dict[str, object]:
    """The parameters of the named parts: the stamp of the write, and the highest number of each lane."""
    parameters: dict[str, object] = {}
    if stamp is not None:
        parameters |= {"lane": stamp.lane, "lane_number": stamp.number - 1}
    if seen:
        parameters |= {"seen_lanes": list(seen), "seen_numbers": list(seen.values())}
    return parameters


def laned(statement: str, parts: str) -> str:
    """The statement with these parts before its own; their parameters come first."""
    if not parts:
        return statement
    rest = statement.lstrip()
    return f"WITH {parts}, {rest[5:]}" if rest.startswith("WITH ") else f"WITH {parts} {rest}"
