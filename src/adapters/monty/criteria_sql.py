"""Criteria as SQL. A condition that SQL cannot express exactly is widened, and MontyDB's matcher decides."""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from adapters.monty.tables import NO_VALUE, Table, has_surrogates, quoted, scope_terms
from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Range,
)
from adapters.records.fields import FieldKind
from adapters.records.indexes import Scope
from adapters.records.record import ID, IS_ERASED
from adapters.records.search import (
    NOTHING,
    Condition,
    Every,
    Except,
    Some,
    Token,
    condition_of,
    whole_part_of,
)

TRUE, FALSE = "1", "0"
PREFIX = " *"
"""Follows a token in an FTS5 query that is the beginning of one."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition with its parameters. If it is not exact, it also holds for rows that do not match the criterion."""

    text: str
    params: tuple[Any, ...] = ()
    is_exact: bool = True


def all_of(parts: list[Sql]) -> Sql:
    """The conjunction."""
    if any(part.text == FALSE for part in parts):
        return Sql(FALSE)
    return _joined(" AND ", parts, TRUE)


def any_of(parts: list[Sql]) -> Sql:
    """The disjunction."""
    if any(part.text == TRUE for part in parts):
        return Sql(TRUE, (), any(part.text == TRUE and part.is_exact for part in parts))
    return _joined(" OR ", parts, FALSE)


def _joined(operator: str, parts: list[Sql], neutral: str) -> Sql:
    texts = [part.text for part in parts if part.text != neutral] or [neutral]
    text = texts[0] if len(texts) == 1 else f"({operator.join(texts)})"
    return Sql(text, params_of(parts), all(part.is_exact for part in parts))


def params_of(parts: list[Sql]) -> tuple[Any, ...]:
    """The parameters of all parts in their order."""
    return tuple(value for part in parts for value in part.params)


def where_of(table: Table, conjuncts: list[Criterion], *, has_words: bool = False) -> Sql:
    """The condition of a whole question, tombstones left out. `has_words`: the caller adds a search to it.

    It repeats the predicates of partial indexes literally, also in each branch of an OR, because SQLite decides for
    every branch separately whether it may use a partial index.
    """
    scopes = [Sql(term) for scope in scopes_of(conjuncts) for term in scope_terms(scope)]
    parts = []
    for one in conjuncts:
        part = condition(table, one)
        if isinstance(one, AnyOf) and scopes and part.text not in (TRUE, FALSE):
            part = any_of([all_of([*scopes, condition(table, branch)]) for branch in one.criteria])
        parts.append(part)
    texts = {part.text for part in parts}
    parts = [scope for scope in scopes if scope.text not in texts] + parts
    if not has_words and not any(map(_excludes_tombstones, conjuncts)):
        parts.append(Sql("gone = 0"))
    return all_of(parts)


def scopes_of(conjuncts: list[Criterion]) -> list[Scope]:
    """The scopes that contain all matching records."""
    return [
        scope
        for scope in Scope
        if scope.held
        and all(any(_pins(one, name, held) for one in conjuncts) for name, held in scope.held.items())
    ]


def _pins(one: Criterion, name: str, held: tuple[Any, ...]) -> bool:
    """Whether the criterion restricts the field to these values; None among them is for null."""
    if isinstance(one, IsNull):
        return one.field == name and None in held
    if not isinstance(one, Equals | OneOf) or one.field != name:
        return False
    values = [
        getattr(value, "value", value) for value in ((one.value,) if isinstance(one, Equals) else one.values)
    ]
    return bool(values) and all(
        any(type(value) is type(other) and value == other for other in held) for value in values
    )


def _excludes_tombstones(one: Criterion) -> bool:
    """Whether the criterion never matches tombstones, whose columns are null and which have no words."""
    if isinstance(one, HasWords):
        return condition_of(one.text, one.rank) is not None
    return isinstance(one, Equals | OneOf | NotNull | Range | Holds) and one.field not in ("id", "version")


def condition(table: Table, criterion: Criterion) -> Sql:
    """The condition of one criterion."""
    match criterion:
        case AllOf(criteria):
            return all_of([condition(table, one) for one in criteria])
        case AnyOf(criteria):
            return any_of([condition(table, one) for one in criteria])
        case HasWords():
            return words_condition(table, criterion)
        case Holds(field, value):
            if field not in table.lists or "\0" in value or has_surrogates(value):
                return Sql(TRUE, is_exact=False)
            return Sql(f"EXISTS (SELECT 1 FROM json_each({quoted(field)}) WHERE value = ?)", (value,))
        case _:
            return _scalar(table, criterion)


def _scalar(table: Table, criterion: Equals | OneOf | IsNull | NotNull | Range) -> Sql:
    name = criterion.field
    if isinstance(criterion, IsNull | NotNull) and name in (ID, IS_ERASED):
        # Every record has an id, and tombstones are left out.
        return Sql(TRUE if isinstance(criterion, NotNull) == (name == ID) else FALSE)
    if name not in table.kinds:
        return Sql(TRUE, is_exact=False)
    match criterion:
        case IsNull() | NotNull():
            return Sql(f"{quoted(name)} IS {'NOT ' * isinstance(criterion, NotNull)}NULL")
        case Equals(_, value):
            return _among(table, name, (value,))
        case OneOf(_, values):
            return _among(table, name, values)
        case Range():
            return _within(table, criterion)


def _within(table: Table, criterion: Range) -> Sql:
    column = quoted(criterion.field)
    bounds = {">": criterion.above, ">=": criterion.at_least, "<": criterion.below, "<=": criterion.at_most}
    given = {sign: bound for sign, bound in bounds.items() if bound is not None}
    if any(isinstance(bound, str) and has_surrogates(bound) for bound in given.values()):
        return Sql(f"{column} IS NOT NULL", is_exact=False)
    values = {sign: table.sql_value(criterion.field, bound) for sign, bound in given.items()}
    if NO_VALUE in values.values():
        return Sql(FALSE)
    if not values:
        return Sql(f"{column} IS NOT NULL")
    parts = [Sql(f"{column} {sign} ?", (value,)) for sign, value in values.items()]
    if not any(sign.startswith("<") for sign in values):
        # A value of another kind is stored as a BLOB, which sorts above everything else.
        parts.append(Sql(f"{column} < x''"))
    return all_of(parts)


def _among(table: Table, name: str, options: tuple[Any, ...]) -> Sql:
    converted = dict.fromkeys(table.sql_value(name, value) for value in options)
    values = [value for value in converted if value is not NO_VALUE]
    if not values:
        return Sql(FALSE)
    if table.kinds[name] is FieldKind.BOOLEAN:
        # A literal, as in partial indexes, because SQLite does not know the values of parameters when it plans.
        return any_of([Sql(f"{quoted(name)} = {int(value)}") for value in values])
    if len(values) == 1:
        return Sql(f"{quoted(name)} = ?", (values[0],))
    # The number of placeholders is rounded up to a power of two, so that few different statements are prepared.
    size = 1 << (len(values) - 1).bit_length()
    return Sql(f"{quoted(name)} IN ({', '.join('?' * size)})", (*values, *values[-1:] * (size - len(values))))


class WordAccess(Enum):
    """How a statement evaluates a search. FTS5 takes 0.3 µs to list a row, but 60 µs to check whether one is on the
    list, and milliseconds if the list is that of a prefix; reading the row takes 40 µs.
    """

    DRIVE = auto()
    """The statement starts with the rows that FTS5 finds."""
    LIST = auto()
    """The rows that FTS5 finds are listed once, and each candidate is looked up in the list."""
    SIFT = auto()
    """As LIST for the whole words of the search; a candidate on the list is read: for frequent prefixes."""
    PROBE = auto()
    """Each candidate is read: for words so frequent that few candidates fill a page."""


def searches_of(table: Table, conjuncts: list[Criterion]) -> list[HasWords]:
    """The searches among the conjuncts that FTS5 can answer."""
    return [one for one in conjuncts if table.words and isinstance(one, HasWords) and _match_of(one)]


def words_condition(table: Table, search: HasWords, access: WordAccess = WordAccess.DRIVE) -> Sql:
    """The condition of a search. Stale rows, whose words are not indexed yet, are read; there are few of them."""
    if condition_of(search.text, search.rank) is None:
        return Sql(TRUE)
    if not table.words or not _match_of(search):
        return Sql(FALSE)
    name, params, stale = table.words, word_parameters(table, search), f"SELECT n FROM {table.words}_stale"
    if access is WordAccess.PROBE:
        return Sql("has_words(doc, ?, ?)", params[1:])
    if access is WordAccess.SIFT:
        listed = f"SELECT rowid FROM {name} WHERE {name} MATCH ? UNION ALL {stale}"
        part = match_expression(whole_part_of(search.text))
        return Sql(f"(+n IN ({listed}) AND has_words(doc, ?, ?))", (part, *params[1:]))
    # A plus sign keeps SQLite from starting with the list.
    number = "n" if access is WordAccess.DRIVE else "+n"
    indexed = f"SELECT rowid FROM {name} WHERE {name} MATCH ? AND rowid NOT IN ({stale})"
    return Sql(f"{number} IN ({indexed} UNION ALL SELECT s.n {stale_rows(table)})", params)


def stale_rows(table: Table) -> str:
    """The stale rows that contain the words."""
    return f"FROM {table.words}_stale s CROSS JOIN {table.name} t ON t.n = s.n WHERE has_words(t.doc, ?, ?)"


def word_parameters(table: Table, search: HasWords) -> tuple[str, str, int | None]:
    """The FTS5 query, and the arguments of the SQL function `has_words` after the document."""
    # Halves of surrogate pairs separate words as question marks do, and SQLite cannot take them.
    text = search.text.encode("utf-8", "replace").decode()
    return _match_of(search), f"{table.name}:{text}", search.rank


def _match_of(search: HasWords) -> str:
    return match_expression(condition_of(search.text, search.rank))


def match_expression(condition: Condition | None) -> str:
    """The FTS5 query; "" if everything or nothing matches."""
    return "" if condition is None or condition == NOTHING else _match(condition)


def _match(condition: Condition) -> str:
    match condition:
        case Token(text, is_prefix):
            return f'"{text}"{PREFIX * is_prefix}'
        case Every(parts):
            return f"({' AND '.join(map(_match, parts))})"
        case Some(parts):
            return f"({' OR '.join(map(_match, parts))})"
        case Except(found, left_out):
            return f"({_match(found)} NOT {_match(left_out)})"
