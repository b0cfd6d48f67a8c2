"""The addresses and keys of a provider that hangs, fails, or answers when asked again."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import pytest

from adapters.auth.provider_client import EXCHANGES_MAX, ProviderClient
from adapters.auth.provider_directory import ProviderDirectory
from application.ports.sign_in import SignInFailed, SignInFailure

TIMEOUT_SECONDS = 0.5
FAILURE_SECONDS = 0.4
"""Shorter than the time-out, as in production."""


class HangingProvider:
    """Accepts every connection, and answers none until `is_well`."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_well = False
        self.is_asked, self.is_idle = asyncio.Event(), asyncio.Event()
        self.writers: set[asyncio.StreamWriter] = set()
        self.address = ""
        self.endpoint = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        self.is_asked.set()
        self.is_idle.clear()
        self.writers.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
            if self.is_well:
                names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
                document = {
                    "issuer": self.address,
                    **dict.fromkeys(names, self.endpoint or f"{self.address}/there"),
                }
                body = json.dumps(document).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            # Ends when the client gives up.
            await reader.read()
        finally:
            writer.close()
            self.writers.discard(writer)
            if not self.writers:
                self.is_idle.set()

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


@asynccontextmanager
async def served(provider: HangingProvider) -> AsyncIterator[None]:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.address = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with server:
        yield
        provider.hang_up()
        await asyncio.wait_for(provider.is_idle.wait(), timeout=10)


@pytest.fixture
async def provider() -> AsyncIterator[HangingProvider]:
    hanging = HangingProvider()
    async with served(hanging):
        yield hanging


@pytest.fixture
def directory(provider: HangingProvider) -> ProviderDirectory:
    client = ProviderClient(timeout_seconds=TIMEOUT_SECONDS)
    return ProviderDirectory(provider.address, client, failure_seconds=FAILURE_SECONDS)


async def test_all_callers_of_a_hanging_provider_share_one_failure(
    provider: HangingProvider, directory: ProviderDirectory
) -> None:
    outcomes = await asyncio.gather(*(directory.addresses() for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [SignInFailed] * 5
    assert provider.asked == 1


async def test_a_failure_is_forgotten_after_a_moment(
    provider: HangingProvider, directory: ProviderDirectory
) -> None:
    with pytest.raises(SignInFailed):
        await directory.addresses()
    provider.is_well = True
    with pytest.raises(SignInFailed) as shared:
        await directory.addresses()
    assert (shared.value.failure, provider.asked) == (SignInFailure.PROVIDER_UNAVAILABLE, 1)

    async with asyncio.timeout(10):
        while provider.asked == 1:
            await asyncio.gather(directory.addresses(), return_exceptions=True)
            await asyncio.sleep(0.02)

    assert (await directory.addresses()).token == f"{provider.address}/there"


@pytest.mark.parametrize(
    ("endpoint", "is_refused"),
    [
        ("ftp://elsewhere.example", True),
        ("[x]", True),
        ("https://[", True),
        ("https://ü.example", True),
        ("HTTPS://elsewhere.example", False),
        ("", False),
    ],
)
async def test_addresses_of_a_provider_are_any_text(
    provider: HangingProvider, directory: ProviderDirectory, *, endpoint: str, is_refused: bool
) -> None:
    provider.is_well, provider.endpoint = True, endpoint
    if is_refused:
        with pytest.raises(SignInFailed) as failed:
            await directory.addresses()
        assert failed.value.failure is SignInFailure.PROVIDER_UNAVAILABLE
        return
    found = await directory.addresses()
    assert found.token == (endpoint or f"{provider.address}/there")


async def test_a_cancelled_caller_does_not_fail_the_others(
    provider: HangingProvider, directory: ProviderDirectory
) -> None:
    gone = asyncio.create_task(directory.addresses())
    await asyncio.wait_for(provider.is_asked.wait(), timeout=10)
    provider.is_well = True
    gone.cancel()

    assert (await directory.addresses()).keys == f"{provider.address}/there"


async def test_a_hanging_provider_does_not_block_the_threads_of_other_work(provider: HangingProvider) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    client = ProviderClient(timeout_seconds=TIMEOUT_SECONDS)
    asked = [asyncio.create_task(client.get(provider.address)) for _ in range(2 * EXCHANGES_MAX)]
    await asyncio.wait_for(provider.is_asked.wait(), timeout=10)

    assert await asyncio.to_thread(lambda: "done") == "done"

    assert not any(task.done() for task in asked)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [SignInFailed] * len(asked)
