"""Searches by word: what FTS5 is asked, and how a statement uses its answer."""

from enum import Enum

from adapters.monty.tables import Table
from adapters.records.criteria import Criterion, HasWords, Lead, words_of


class WordAccess(Enum):
    """How a search takes part in a statement. FTS5 takes 60 µs to say whether one row has a word, 0.3 to list one.

    The values are SQL: a plus sign keeps SQLite from starting with the list.
    """

    DRIVE = "n"
    """The statement starts with the rows that FTS5 finds."""
    LIST = "+n"
    """FTS5's rows are listed once, and each candidate is looked up in the list."""
    PROBE = ""
    """FTS5 is asked about each candidate: for words so frequent that few candidates fill a page."""


def searches_of(table: Table, conjuncts: list[Criterion]) -> list[HasWords]:
    """The searches that every match fulfils and that FTS5 answers."""
    return [one for one in conjuncts if table.words and isinstance(one, HasWords) and words_of(one.text)]


def word_parameter(table: Table, search: HasWords) -> tuple[str, int | None]:
    """What the SQL function `has_words` gets besides the document. Words are clean where a text need not be."""
    return f"{table.name}:{' '.join(words_of(search.text))}", search.lead


def match_expression(words: tuple[str, ...], lead: Lead | None) -> str:
    """What FTS5 is asked. Words are letters and digits, so quotation marks are enough."""
    marked = [f'"{word}"' for word in words]
    every, some = " AND ".join(marked), " OR ".join(marked)
    match lead:
        case Lead.ALL:
            return f"lead : ({every})"
        case Lead.SOME:
            return f"(({every}) AND lead : ({some})) NOT lead : ({every})"
        case Lead.NONE:
            return f"({every}) NOT lead : ({some})"
        case None:
            return every
