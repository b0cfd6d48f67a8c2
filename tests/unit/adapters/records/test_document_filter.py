"""Filters say what the criteria mean."""

from adapters.records.criteria import AllOf, AnyOf, Equals, HasWords, Holds, OneOf, Range
from adapters.records.document_filter import Filter, filter_of

NOTHING: Filter = {"_id": {"$in": []}}


def test_words_are_looked_up_among_the_tokens_and_the_last_one_may_go_on() -> None:
    assert filter_of(HasWords("dig Pon")) == {
        "$and": [{"_words": {"$eq": "dig"}}, {"_words": {"$regex": "^pon"}}]
    }


def test_what_matches_everything_is_no_filter() -> None:
    assert filter_of(AllOf((HasWords(" - "), AllOf(())))) == {}
    assert filter_of(AnyOf((Equals("status", "DONE"), AllOf(())))) == {}


def test_what_matches_nothing_asks_for_no_document() -> None:
    assert filter_of(AnyOf(())) == NOTHING
    assert filter_of(OneOf("id", ())) == NOTHING


def test_ids_are_asked_for_under_the_name_documents_have() -> None:
    assert filter_of(Range(field="id", above="a")) == {"_id": {"$gt": "a"}}


def test_a_list_question_does_not_match_text() -> None:
    assert filter_of(Holds("labelIds", "a")) == {"labelIds": {"$type": "array", "$eq": "a"}}
