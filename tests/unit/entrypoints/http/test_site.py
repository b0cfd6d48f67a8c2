import re

import pytest

from tests.unit.entrypoints.http.service import Service

FOREIGN = re.compile(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""")


async def test_the_front_page_says_how_it_stores_and_where_to_go(service: Service) -> None:
    page = await service.client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<code>monty</code> owns every write, <code>postgres</code> receives the mirror" in page.text
    assert "1 pending, 0 failed, 3 parked" in page.text
    for address in ("/docs", "/v1/health", "/schema/openapi.json", "/problems"):
        assert f'href="{address}"' in page.text
    assert "curl -s -X POST http://tandem.test/v1/auth/dev/token" in page.text


async def test_the_front_page_in_production_offers_no_sign_in_without_proof() -> None:
    page = await Service(APP_ENV="production").client.get("/")

    assert "/v1/auth/dev/token" not in page.text


async def test_what_the_caller_says_is_shown_as_text(service: Service) -> None:
    page = await service.client.get("/", headers={"Host": "<script>alert(1)</script>"})

    assert "<script>" not in page.text


@pytest.mark.parametrize("path", ["/", "/docs", "/problems", "/problems/not_found"])
async def test_pages_are_whole_without_another_host(service: Service, path: str) -> None:
    page = await service.client.get(path)

    assert FOREIGN.search(page.text) is None
    assert 'lang="en"' in page.text
    for asset in re.findall(r'(?:src|href)="(/(?:assets/[^"]+|favicon[^"]+))"', page.text):
        assert (await service.client.get(asset)).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


async def test_assets_are_sent_once(service: Service) -> None:
    first = await service.client.get("/assets/rapidoc.js")
    again = await service.client.get("/assets/rapidoc.js", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"].startswith("text/javascript")
    assert (again.status_code, again.content) == (304, b"")
