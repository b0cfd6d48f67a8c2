"""HTML pages: the front page, the API documentation, and an explanation of each problem."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from application.demonstration import DEMO_EMAIL, HasDemonstration
from application.ports.health import ComponentHealth, HealthProbe
from application.ports.synchronisation import SyncMetrics
from domain.errors import NotFound, TandemError
from entrypoints.composition.settings import Settings
from entrypoints.http.health import UP, MirrorReader
from entrypoints.http.protocol.answers import NO_STORE, Answer, encoded
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.preconditions import seen_tag
from entrypoints.http.protocol.problems import KINDS, outcome_of
from entrypoints.http.protocol.request import RawHeaders, Request, header
from entrypoints.http.protocol.resource import Resource

ASSETS = Path(__file__).parent / "assets"
HTML = b"text/html; charset=utf-8"
EXAMPLE_EMAIL = "ada@example.org"
DEMO_SECONDS_MAX = 1.0

_COMPONENTS = {"db": "Source", "target": "Target", "mirror": "Delivery", "cache": "Cache"}

_MEDIA_TYPES = {
    "style.css": b"text/css; charset=utf-8",
    "rapidoc.js": b"text/javascript; charset=utf-8",
    "favicon.svg": b"image/svg+xml",
}
_PLAIN_PAGE = (
    b"default-src 'none'; style-src 'self'; img-src 'self';"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_READER_PAGE = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_KEPT: RawHeaders = ((b"cache-control", b"public, no-cache"),)


class Assets:
    """The files in `assets`, read once; the ETag of each is a digest of its content."""

    def __init__(self, assemble_openapi: Callable[[], dict[str, Any]]) -> None:
        self._assemble_openapi = assemble_openapi
        self._files = {name: (ASSETS / name).read_bytes() for name in _MEDIA_TYPES}
        self._templates = {path.stem: Template(path.read_text("utf-8")) for path in ASSETS.glob("*.html")}
        self._openapi: bytes | None = None

    def answer(self, request: Request, name: str) -> Answer:
        """The answer with one file. Raises NotFound."""
        if name not in self._files:
            raise NotFound("There is nothing at this address.")
        return _kept_answer(request, self._files[name], media_type=_MEDIA_TYPES[name])

    def page(self, name: str, **values: str) -> bytes:
        """The page filled with values that are already HTML."""
        return self._templates[name].substitute(values).encode()

    def openapi(self, request: Request) -> Answer:
        """The answer with the OpenAPI document, which the first request assembles."""
        if self._openapi is None:
            self._openapi = encoded(self._assemble_openapi())
        return _kept_answer(request, self._openapi, media_type=b"application/json")


def _kept_answer(request: Request, content: bytes, *, media_type: bytes) -> Answer:
    digest = hashlib.sha256(content).hexdigest()[:16]
    seen = seen_tag(request.scope, digest)
    if seen is not None:
        return Answer(status=304, headers=((b"etag", seen), *_KEPT))
    headers = ((b"etag", f'"{digest}"'.encode()), *_KEPT)
    return Answer(content, headers=headers, media_type=media_type)


def _html(content: bytes, *, policy: bytes = _PLAIN_PAGE) -> Answer:
    return Answer(content, headers=((b"content-security-policy", policy), *_KEPT), media_type=HTML)


_page = partial(operation, "GET", public=True, free_query=True)


class SiteController(Controller):
    """Pages and the files they need; they load nothing from other hosts."""

    settings: Settings
    mirror: MirrorReader
    health_probe: HealthProbe
    has_demonstration: HasDemonstration
    assets: Assets

    @_page("/")
    async def home(self, request: Request) -> Answer:
        sync, components, email = await asyncio.gather(
            self.mirror.metrics(request.request_id), self.health_probe.components(), self._first_email()
        )
        page = self.assets.page(
            "home",
            components="\n".join(_component_rows(components)),
            stores=_stores(self.settings, sync),
            mirror=_mirror(self.settings, sync),
            rows="\n".join(_sync_rows(sync)),
            steps=_steps(request, self.settings, email=email),
        )
        return Answer(page, headers=((b"content-security-policy", _PLAIN_PAGE), *NO_STORE), media_type=HTML)

    async def _first_email(self) -> str:
        """Whose data a visitor can look at: the demo user's, if there is demo data."""
        try:
            async with asyncio.timeout(DEMO_SECONDS_MAX):
                return DEMO_EMAIL if await self.has_demonstration() else EXAMPLE_EMAIL
        except (TandemError, TimeoutError):
            return EXAMPLE_EMAIL  # the page shows that the store does not answer

    @_page("/docs")
    async def docs(self) -> Answer:
        return _html(self.assets.page("docs"), policy=_READER_PAGE)

    @_page("/schema/openapi.json")
    async def openapi(self, request: Request) -> Answer:
        return self.assets.openapi(request)

    @_page("/assets/{name}")
    async def asset(self, request: Request, name: str) -> Answer:
        return self.assets.answer(request, name)

    @_page("/favicon.svg")
    async def favicon(self, request: Request) -> Answer:
        return self.assets.answer(request, "favicon.svg")

    @_page("/favicon.ico")
    async def old_favicon(self, request: Request) -> Answer:
        return self.assets.answer(request, "favicon.svg")

    @_page("/problems")
    async def problems(self) -> Answer:
        rows = "".join(
            f'<tr><td><a href="/problems/{kind.code}">{kind.code}</a></td><td>{_statuses(kind)}</td>'
            f"<td>{escape(outcome_of(kind).title)}</td></tr>"
            for kind in _distinct_kinds().values()
        )
        head = "<thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead>"
        table = f"<table>{head}<tbody>{rows}</tbody></table>"
        return _html(self.assets.page("problem", title="Problems", content=table))

    @_page("/problems/{code}")
    async def problem(self, code: str) -> Answer:
        kind = _distinct_kinds().get(code)
        if kind is None:
            raise NotFound("There is no problem with this code; /problems lists all of them.")
        content = (
            f"<p>{escape((kind.__doc__ or '').strip())}</p>"
            f"<dl><dt>Code</dt><dd><code>{kind.code}</code></dd><dt>Status</dt><dd>{_statuses(kind)}</dd></dl>"
        )
        return _html(self.assets.page("problem", title=escape(outcome_of(kind).title), content=content))


SITE = Resource(controllers=(SiteController,))


def _distinct_kinds() -> dict[str, type[TandemError]]:
    kinds: dict[str, type[TandemError]] = {}
    for kind in KINDS:
        kinds.setdefault(kind.code, kind)
    return dict(sorted(kinds.items()))


def _statuses(kind: type[TandemError]) -> str:
    found = sorted({outcome_of(other).status for other in KINDS if other.code == kind.code})
    return " or ".join(map(str, found))


def _stores(settings: Settings, sync: SyncMetrics | None) -> str:
    source = escape(sync.source if sync else settings.stores.source)
    target = sync.target if sync else settings.stores.target
    if target is None:
        return f"one store: <code>{source}</code>"
    return f"<code>{source}</code> owns every write, <code>{escape(target)}</code> receives the mirror"


def _mirror(settings: Settings, sync: SyncMetrics | None) -> str:
    if settings.stores.target is None and (sync is None or sync.target is None):
        return "none"
    if sync is None:
        return '<span class="bad">currently unknown</span>'
    paused = ', <span class="bad">paused</span>' if sync.paused else ""
    return f"mode <code>{escape(sync.mode)}</code>{paused}"


def _component_rows(components: Mapping[str, ComponentHealth]) -> Iterator[str]:
    """What /v1/health says, in words."""
    for name, part in components.items():
        css = "good" if part.status == UP else "bad"
        detail = "" if part.detail is None else f": {escape(part.detail)}"
        yield f'<dt>{_COMPONENTS.get(name, escape(name))}</dt><dd><span class="{css}">{part.status}</span>{detail}</dd>'


def _sync_rows(sync: SyncMetrics | None) -> Iterator[str]:
    if sync is None or sync.target is None:
        return
    totals = sync.totals
    waiting = f"{totals.pending} pending, {totals.failed} failed, {totals.parked} parked"
    yield f"<dt>Mirrored</dt><dd>{totals.synced} changes</dd>"
    yield f"<dt>Not yet mirrored</dt><dd>{waiting}</dd>"


def _steps(request: Request, settings: Settings, *, email: str) -> str:
    host = escape((header(request.scope, b"host") or b"127.0.0.1").decode("latin-1"))
    scheme = escape(str(request.scope.get("scheme", "http")))
    address = f"{scheme}://{host}"
    if settings.is_production:
        return "<p>Sign in, then send <code>Authorization: Bearer &lt;access token&gt;</code> with every request.</p>"
    steps = (
        f"TOKEN=$(curl -s -X POST {address}/v1/auth/dev/token -H 'Content-Type: application/json' \\\n"
        f'  -d \'{{"email": "{escape(email)}"}}\' | sed \'s/.*"accessToken":"\\([^"]*\\)".*/\\1/\')\n'
        f'curl -s {address}/v1/tasks -H "Authorization: Bearer $TOKEN"'
    )
    return (
        "<p>Get a token and use it; in an empty installation the first user becomes the administrator:</p>"
        f"<pre><code>{steps}</code></pre>"
    )
