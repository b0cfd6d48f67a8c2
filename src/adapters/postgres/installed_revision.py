"""Whether the revision that a database records can be true: somebody may have deleted or changed it by hand."""

# ruff: noqa: S608 - constant names

from collections.abc import Sequence

from adapters.postgres.expected_columns import REVISIONS
from adapters.postgres.installed_columns import Flaw, Run
from adapters.postgres.installed_parts import MIGRATE
from adapters.postgres.installed_schema import HEAD, KNOWN, columns_found, missing_in
from application.ports.schema import SchemaFlaw

_STAMP = f"INSERT INTO {REVISIONS} VALUES ('{HEAD}')"
_STAMP_ANEW = f"DELETE FROM {REVISIONS}; {_STAMP}"


def revision_of(found: Sequence[str]) -> str | None:
    """The revision to go by, of those that the database records; None for none."""
    return HEAD if HEAD in found else min(found, default=None)


async def revision_flaw_of(found: Sequence[str], run: Run) -> Flaw | None:
    """What is wrong with the recorded revisions; None for one that this program knows, and for a database without
    tables. Raises what `run` raises.
    """
    if not found:
        return await _flaw_without_revision(run)
    if len(found) == 1 and found[0] in KNOWN:
        return None
    unknown = sorted(name for name in found if name not in KNOWN)
    run_it = f"Run the version of Tandem that has the migration {' and '.join(unknown)}. " if unknown else ""
    remedy = f"{run_it}If somebody only changed {REVISIONS}, put it back: in psql, type: {_STAMP_ANEW}"
    cause = f"The table {REVISIONS} records {' and '.join(sorted(found))}, and this program needs {HEAD}."
    return Flaw(SchemaFlaw(cause=cause, remedy=remedy), ())


async def _flaw_without_revision(run: Run) -> Flaw | None:
    columns = await columns_found(run)
    if not columns.keys() - {REVISIONS}:
        return None
    cause = f"The table {REVISIONS} has no row although there are tables of Tandem: somebody deleted it."
    missing = missing_in(columns)
    if not missing:
        return Flaw(SchemaFlaw(cause=cause, remedy=MIGRATE), (f"{_STAMP} ON CONFLICT DO NOTHING",))
    remedy = (
        f"{missing[0].cause} So it is not known which version made them: restore the database from a copy, or put back"
        f" the row of that version: in psql, type: INSERT INTO {REVISIONS} VALUES ('…')"
    )
    return Flaw(SchemaFlaw(cause=cause, remedy=remedy), ())
