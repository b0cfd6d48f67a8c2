"""Filters say what the criteria mean."""

import re
import sys

import pytest

from adapters.monty.document_query import DocumentQuery, document_query, word_pattern
from adapters.records.criteria import AllOf, AnyOf, Equals, HasWords, Holds, OneOf, Range, words_of


def test_every_letter_is_found_in_every_case_that_words_know() -> None:
    """Each letter of Unicode as a word of its own, and as the end of a longer one."""
    for number in range(sys.maxunicode + 1):
        char = chr(number)
        has_case = char.lower() != char or char.upper() != char
        if not (char.isalnum() and has_case) or char in "σςΣ":
            continue
        for text in (char, f"ab{char} c"):
            for word in words_of(text):
                assert re.search(word_pattern(word), text), (hex(number), word)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("pond", "Dig the POND!"),
        ("pond", "pond"),
        ("pond", "the_pond_"),
        ("7", "no. 7"),
        ("straße", "STRAẞE 4"),
        ("οδος", "ΟΔΟΣ"),
        ("stanbul", "İstanbul"),
        ("i", "İ"),
        ("日本", "日本"),
    ],
)
def test_a_whole_word_is_found(word: str, text: str) -> None:
    assert word in words_of(text)
    assert re.search(word_pattern(word), text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("pond", "ponds"),
        ("pond", "respond"),
        ("pond", "pond7"),
        ("i", "\u0131"),
        ("s", "\u017f"),
        ("k", "kk"),
        ("tan", "İstan"),
    ],
)
def test_part_of_a_word_is_not_found(word: str, text: str) -> None:
    assert word not in words_of(text)
    assert not re.search(word_pattern(word), text)


def test_words_are_looked_for_in_every_text_field() -> None:
    query = document_query(HasWords("dig Pond"), ("title", "description"))
    assert [set(part["$or"][0]) | set(part["$or"][1]) for part in query["$and"]] == [
        {"title", "description"}
    ] * 2


def test_what_matches_everything_is_no_filter() -> None:
    assert document_query(AllOf((HasWords(" - "), AllOf(()))), ("title",)) == {}
    assert document_query(AnyOf((Equals("status", "DONE"), AllOf(()))), ()) == {}


def test_what_matches_nothing_asks_for_no_document() -> None:
    nothing: DocumentQuery = {"_id": {"$in": []}}
    assert document_query(AnyOf(()), ()) == nothing
    assert document_query(OneOf("id", ()), ()) == nothing
    assert document_query(HasWords("word"), ()) == nothing


def test_ids_are_asked_for_under_the_name_documents_have() -> None:
    assert document_query(Range(field="id", above="a"), ()) == {"_id": {"$gt": "a"}}


def test_a_list_question_does_not_match_text() -> None:
    assert document_query(Holds("labelIds", "a"), ()) == {"labelIds": {"$type": "array", "$eq": "a"}}
