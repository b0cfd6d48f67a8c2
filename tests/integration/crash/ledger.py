"""The acknowledged writes: every answer that confirmed a write, noted by the client that received it."""

from collections.abc import Iterator
from typing import Any

import httpx

View = dict[str, Any]
RecordKey = tuple[str, str]


class Ledger:
    """Acknowledged versions by record, with the content each was acknowledged with."""

    def __init__(self) -> None:
        self._views: dict[RecordKey, dict[int, View]] = {}
        self.writes = 0

    def note(self, collection: str, answer: httpx.Response) -> View:
        """Notes an answer that carries an entity; its tag must be its version."""
        view: View = answer.json()
        # A compressed answer has a tag of its own.
        assert answer.headers["etag"].replace("-gz", "") == f'"{view["version"]}"'
        self._note(collection, view)
        self.writes += answer.request.method != "GET"
        return view

    def versions(self) -> Iterator[tuple[str, str, int]]:
        """Each (collection, id, version) that was acknowledged."""
        for (collection, id_), views in self._views.items():
            for version in views:
                yield collection, id_, version

    def latest(self) -> Iterator[tuple[RecordKey, View]]:
        """Each record with the content of its highest acknowledged version."""
        for key, views in self._views.items():
            yield key, views[max(views)]

    def _note(self, collection: str, view: View) -> None:
        views = self._views.setdefault((collection, view["id"]), {})
        known = views.setdefault(view["version"], view)
        # One version has one content, whoever reads it and however often the answer is repeated.
        assert known == view, f"{collection} {view['id']} version {view['version']} was answered in two ways"
