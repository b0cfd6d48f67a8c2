import json
import tracemalloc

import pytest

from domain.repeated_names import repeated_names


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 2}]}', []),
        ('{"a": 1, "a": 2, "a": 3}', ["/a"]),
        ('{"links": [{"kind": 1}, {"kind": 1, "id": 2, "kind": 3}]}', ["/links/1/kind"]),
        ('{"z": {"b/c": {"d": 1, "d": 2}}, "y": [[{"e": 1, "e": 1}]], "z": 1}', ["/z", "/z/b~1c/d", "/y/0/0/e"]),
        ('[{"a": 1, "\\u0061": 2}]', ["/0/a"]),
        ("5", []),
    ],
)  # fmt: skip
def test_each_repeated_name_has_its_pointer(text: str, pointers: list[str]) -> None:
    assert repeated_names(text, most=10) == pointers


def test_the_search_stops_at_a_bound_and_shares_long_names() -> None:
    inner = json.dumps([[]] * 100_000)
    text = '{"a": 1, "a": 1, "' + "k" * 100 + '": ' + '{"x": ' * 200 + inner + "}" * 201
    tracemalloc.start()
    try:
        assert repeated_names(text, most=5) == ["/a"]
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert len(repeated_names('{"a": [' + ",".join(['{"b": 1, "b": 2}'] * 50) + "]}", most=20)) == 20
