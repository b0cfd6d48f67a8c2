"""What SQLite says about a statement of the store."""

from adapters.monty.criteria_sql import Sql
from adapters.monty.sqlite_file import SqliteFile
from adapters.monty.tuning import Tuning


def plan_of(*statements: Sql) -> str:
    """The lines of EXPLAIN QUERY PLAN for statements in an empty database, whose LIMIT is bound where they have one."""
    file = SqliteFile(None, Tuning())
    file.open()
    lines: list[str] = []
    for statement in statements:
        missing = statement.text.count("?") - len(statement.params)
        rows = file.writer.execute(
            f"EXPLAIN QUERY PLAN {statement.text}", (*statement.params, *(20,) * missing)
        )
        lines += [row[3] for row in rows]
    return "\n".join(lines)
