"""Namespaces."""

from adapters.cache.record_cache import CacheNamespace


def test_no_two_namespaces_share_a_prefix() -> None:
    names = ["tandem", "tandem:a", "a:tandem", "a", "", "%3A", ":"]
    namespaces = [
        CacheNamespace(store=store, database=database, identity=identity, epoch=epoch)
        for store in ("mongo", "postgres")
        for database in names
        for identity in names
        for epoch in (1, 2, 11)
    ]
    assert len({namespace.prefix for namespace in namespaces}) == len(namespaces)
