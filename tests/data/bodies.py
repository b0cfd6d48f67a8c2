"""Request bodies that are wrong by themselves: what is wrong, the body, and the pointers of its violations."""

import json
from typing import Any

DEEP = b'{"name":' + b"[" * 40 + b"]" * 40 + b"}"

MALFORMED: list[tuple[str, bytes, list[str]]] = [
    ("empty", b"", [""]),
    ("blank", b"  ", [""]),
    ("no JSON", b"{name: 1}", [""]),
    ("cut off", b'{"name": "Gar', [""]),
    ("trailing text", b'{"name": "Garden"} x', [""]),
    ("a list", b"[]", [""]),
    ("null", b"null", [""]),
    ("not UTF-8", b'{"name": "\xff\xfe"}', [""]),
    ("surrogate bytes", b'{"name": "\xed\xa0\x80"}', [""]),
    ("byte order mark", b'\xef\xbb\xbf{"name": "Garden"}', [""]),
    ("raw control character", b'{"name": "a\x00b"}', [""]),
    ("NUL escape", b'{"name": "a\\u0000b"}', ["/name"]),
    ("lone surrogate", b'{"name": "a\\ud800b"}', ["/name"]),
    ("lone low surrogate", b'{"name": "\\uDC00"}', ["/name"]),
    ("two high surrogates", b'{"name": "\\ud800\\ud800"}', ["/name"]),
    ("NUL in an unknown key", b'{"name": "x", "a\\u0000": 1}', ["", "/a\x00"]),
    ("NaN", b'{"name": NaN}', ["/name"]),
    ("infinity", b'{"name": "x", "color": -Infinity}', ["/color"]),
    ("overflowing number", b'{"name": 1e999}', ["/name"]),
    ("integer beyond 63 bits", b'{"name": 9223372036854775808}', ["/name"]),
    ("integer of five thousand digits", b'{"name": ' + b"9" * 5_000 + b"}", [""]),
    ("nested too deeply", DEEP, ["/name"]),
    ("recursion bomb", b'{"name":' * 100_000, [""]),
    ("doubled key", b'{"name": "a", "name": "b"}', ["/name"]),
    ("doubled key behind an escape", b'{"name": "a", "n\\u0061me": "b"}', ["/name"]),
    ("unknown field", b'{"name": "x", "owner": 1}', ["/owner"]),
    ("snake case", b'{"name": "x", "owner_id": "aaaaaaaaaaaaaaaaaaaaaaaa"}', ["/owner_id"]),
    ("pointer that needs escapes", b'{"name": "x", "a/b~c": 1}', ["/a~1b~0c"]),
    ("missing field", b"{}", ["/name"]),
    ("wrong type", b'{"name": 1}', ["/name"]),
    ("null where text is needed", b'{"name": null}', ["/name"]),
    ("too short", b'{"name": ""}', ["/name"]),
    ("too long", json.dumps({"name": "x" * 201}).encode(), ["/name"]),
    ("unknown choice", b'{"name": "x", "status": "OPEN"}', ["/status"]),
    ("no id", b'{"name": "x", "ownerId": "1"}', ["/ownerId"]),
    ("an id and a line break", b'{"name": "x", "ownerId": "aaaaaaaaaaaaaaaaaaaaaaaa\\n"}', ["/ownerId"]),
    ("no colour", b'{"name": "x", "color": "red"}', ["/color"]),
    ("a colour and a line break", b'{"name": "x", "color": "#aabbcc\\n"}', ["/color"]),
    (
        "everything",
        b'{"name": 1, "status": "OPEN", "color": 2, "x": 3}',
        ["/x", "/name", "/status", "/color"],
    ),
]

BAD_TASKS: list[tuple[str, Any, list[str]]] = [
    ("instant without a zone", {"title": "x", "dueAt": "2026-01-01T00:00:00"}, ["/dueAt"]),
    ("no instant", {"title": "x", "dueAt": "tomorrow"}, ["/dueAt"]),
    ("a day that never was", {"title": "x", "dueAt": "2026-02-30T00:00:00Z"}, ["/dueAt"]),
    ("seconds since 1970", {"title": "x", "dueAt": 1_700_000_000}, ["/dueAt"]),
    ("microseconds", {"title": "x", "dueAt": "2026-01-01T00:00:00.123456Z"}, ["/dueAt"]),
    ("before the first year", {"title": "x", "dueAt": "0001-01-01T00:00:00+23:59"}, ["/dueAt"]),
    ("after the last year", {"title": "x", "startedAt": "9999-12-31T23:59:59-01:00"}, ["/startedAt"]),
    ("priority as a rank", {"title": "x", "priority": 1}, ["/priority"]),
    ("text for a flag", {"title": "x", "isAcknowledged": "yes"}, ["/isAcknowledged"]),
    ("too many labels", {"title": "x", "labelIds": ["a" * 24] * 51}, ["/labelIds"]),
    ("one bad label", {"title": "x", "labelIds": ["a" * 24, "b"]}, ["/labelIds/1"]),
    ("labels that are no list", {"title": "x", "labelIds": "a"}, ["/labelIds"]),
    (
        "both instants",
        {"dueAt": "x", "startedAt": "2026-01-01T00:00:00.0001Z"},
        ["/title", "/startedAt", "/dueAt"],
    ),
]
