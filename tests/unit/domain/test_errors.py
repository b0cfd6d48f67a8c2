from collections.abc import Iterator

from domain.errors import TandemError


def subclasses(error: type[TandemError]) -> Iterator[type[TandemError]]:
    for child in error.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_explains_itself_and_has_a_code_of_its_own() -> None:
    errors = [child for child in subclasses(TandemError) if child.__module__ == "domain.errors"]
    codes = [error.code for error in errors]
    assert len(errors) >= 13
    assert len(set(codes)) == len(codes)
    assert all(error.__doc__ and error().message == error.__doc__.strip() for error in errors)


def test_a_message_that_takes_several_lines_of_the_source_is_shown_as_one() -> None:
    class Long(TandemError):
        """The first line,
        and the second one.
        """

    assert Long().message == "The first line, and the second one."
