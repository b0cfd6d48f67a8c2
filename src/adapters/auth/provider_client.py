"""Talks to an identity provider: few, small, bounded exchanges of JSON."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from application.ports.sign_in import SignInFailed, SignInFailure

TIMEOUT_SECONDS = 5.0
ANSWER_BYTES_MAX = 256 * 1024
EXCHANGES_MAX = 8
"""Concurrent exchanges with the provider in this process; each occupies a thread until it ends."""
_CHUNK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """The provider's answer; `document` is empty where the body was no JSON object."""

    status: int
    document: Mapping[str, Any]


class ProviderClient:
    """Exchanges over HTTPS with verified certificates, each on a connection of its own; redirects are not followed.

    Sign-ins are rare and the standard library suffices: one dependency less to trust with secrets.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        # Separate threads: a hanging name server blocks them beyond the timeout, and must not block other work.
        self._threads = ThreadPoolExecutor(EXCHANGES_MAX, thread_name_prefix="provider")

    async def get(self, url: str) -> ProviderAnswer:
        """The document at an address. Raises SignInFailed where the provider does not answer in time."""
        return await self._exchange("GET", url, None)

    async def post(self, url: str, fields: Mapping[str, str]) -> ProviderAnswer:
        """The answer to a form. Raises SignInFailed where the provider does not answer in time."""
        return await self._exchange("POST", url, urlencode(fields).encode())

    async def _exchange(self, method: str, url: str, body: bytes | None) -> ProviderAnswer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                running = asyncio.get_running_loop()
                return await running.run_in_executor(self._threads, self._blocking, method, url, body)
        except (OSError, HTTPException, ValueError) as error:
            raise SignInFailed(SignInFailure.PROVIDER_UNAVAILABLE, type(error).__name__) from error

    def _blocking(self, method: str, url: str, body: bytes | None) -> ProviderAnswer:
        """One exchange; ends soon after the timeout, also when the provider sends byte by byte."""
        ends = time.monotonic() + self._timeout_seconds
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return ProviderAnswer(response.status, _document(_read(response, ends)))
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> HTTPConnection:
        if scheme == "https":
            return HTTPSConnection(host, port, timeout=self._timeout_seconds, context=_trust())
        return HTTPConnection(host, port, timeout=self._timeout_seconds)


@cache
def _trust() -> ssl.SSLContext:
    """The machine's trusted certificates; read once, on first use, since that takes tens of milliseconds."""
    return ssl.create_default_context()


def _read(response: HTTPResponse, ends: float) -> bytes:
    answer = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        answer += chunk
        if len(answer) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
        if time.monotonic() > ends:
            raise TimeoutError("the answer takes too long")
    return bytes(answer)


def _document(raw: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
