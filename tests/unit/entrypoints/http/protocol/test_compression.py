import gzip

import pytest

from entrypoints.http.protocol.compression import LOOP_BYTES_MAX, PLAIN_BYTES_MAX
from tests.unit.entrypoints.http.service import Service

ACCEPTED = [
    ("gzip", True),
    ("GZIP", True),
    ("x-gzip", True),
    ("br, gzip;q=0.5", True),
    ("gzip ; q=1.000", True),
    ("*", True),
    ("*;q=0.1", True),
    ("gzip;q=0.5, identity;q=0.5", True),
    ("gzip;q=0", False),
    ("gzip;q=0.000, *", False),
    ("*;q=0", False),
    ("identity", False),
    ("identity, gzip;q=0.5", False),
    ("br, deflate", False),
    ("gzip;q=2", False),
    ("gzip;q=many", False),
    ("gzip;level=9", False),
    ("", False),
    (",;,", False),
]


async def large_task(service: Service, *, size: int = 4_000) -> str:
    made = await service.made("/v1/tasks", {"title": "Dig", "description": "deep " * (size // 5)})
    return f"/v1/tasks/{made['id']}"


@pytest.mark.parametrize(("accepted", "is_compressed"), ACCEPTED)
async def test_responses_are_compressed_for_those_who_accept_it(
    service: Service, accepted: str, *, is_compressed: bool
) -> None:
    path = await large_task(service)
    plain = await service.call("GET", path, Accept_Encoding="identity")

    answer = await service.call("GET", path, Accept_Encoding=accepted)

    assert answer.content == plain.content
    assert answer.headers.get("content-encoding") == ("gzip" if is_compressed else None)
    assert answer.headers["etag"] == ('"1-gz"' if is_compressed else '"1"')
    assert answer.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert (int(answer.headers["content-length"]) < len(plain.content)) == is_compressed


@pytest.mark.parametrize("size", [4_000, LOOP_BYTES_MAX + 10_000], ids=["on the loop", "in a thread"])
async def test_the_bytes_are_those_of_gzip(service: Service, size: int) -> None:
    path = await large_task(service, size=size)
    headers = service.headers(Accept_Encoding="gzip")
    async with service.client.stream("GET", path, headers=headers) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert len(raw) == int(answer.headers["content-length"])
    assert len(gzip.decompress(raw)) > size


async def test_short_responses_are_sent_as_they_are(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    answer = await service.call("GET", f"/v1/tasks/{made['id']}", Accept_Encoding="gzip")
    assert len(answer.content) <= PLAIN_BYTES_MAX
    assert "content-encoding" not in answer.headers
    assert answer.headers["etag"] == '"1"'


async def test_the_tag_of_a_compressed_response_works_in_all_conditions(service: Service) -> None:
    path = await large_task(service)
    tag = (await service.call("GET", path, Accept_Encoding="gzip")).headers["etag"]

    for accepted in ("gzip", "identity"):
        seen = await service.call("GET", path, Accept_Encoding=accepted, If_None_Match=tag)
        assert (seen.status_code, seen.headers["etag"], seen.content) == (304, tag, b"")
        assert seen.headers["vary"] == "accept-encoding"
    changed = await service.call("PATCH", path, {"title": "Dig deep"}, If_Match=tag, Accept_Encoding="gzip")
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2-gz"')
    assert (await service.call("DELETE", path, If_Match=tag)).status_code == 412


async def test_head_has_the_headers_of_the_compressed_response(service: Service) -> None:
    path = await large_task(service)
    got = await service.call("GET", path, Accept_Encoding="gzip")
    head = await service.call("HEAD", path, Accept_Encoding="gzip")
    names = ("content-length", "content-encoding", "etag", "vary")
    assert [head.headers[name] for name in names] == [got.headers[name] for name in names]
    assert head.content == b""


async def test_tokens_are_never_compressed(service: Service) -> None:
    name = "a" * 200
    answer = await service.client.post(
        "/v1/auth/dev/token",
        json={"email": "a@example.org", "name": name},
        headers={"Accept-Encoding": "gzip"},
    )
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("asset", ["/schema/openapi.json", "/assets/rapidoc.js", "/assets/style.css"])
async def test_files_are_compressed_and_revalidated(service: Service, asset: str) -> None:
    got = await service.client.get(asset, headers={"Accept-Encoding": "gzip"})
    assert got.headers["content-encoding"] == "gzip"
    for tags in (got.headers["etag"], f'"x", W/{got.headers["etag"]}', "*"):
        assert (await service.client.get(asset, headers={"If-None-Match": tags})).status_code == 304


CODINGS = [("br", 415), ("gzip", 415), ("BR", 415), ("identity, br", 415), ("", 415), ("a b", 415)]
CODINGS += [("identity", 201), ("Identity", 201), (" identity , identity", 201)]


@pytest.mark.parametrize(("coding", "status"), CODINGS)
async def test_an_encoded_body_is_rejected(service: Service, coding: str, status: int) -> None:
    before = await service.stored()
    answer = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Content_Encoding=coding)
    assert answer.status_code == status, answer.text
    assert (await service.stored() == before) == (status == 415)


async def test_an_encoded_body_is_rejected_where_none_is_expected(service: Service) -> None:
    path = await large_task(service)
    before = await service.stored()
    for method, address in [
        ("DELETE", path),
        ("GET", path),
        ("POST", f"{path}/restore"),
        ("GET", "/v1/health"),
    ]:
        answer = await service.call(method, address, Content_Encoding="br")
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type"), (
            method,
            address,
        )
    stranger = await service.client.delete(path, headers={"Content-Encoding": "br"})
    assert stranger.status_code == 401
    assert await service.stored() == before
