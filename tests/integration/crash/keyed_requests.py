"""Requests with an Idempotency-Key, and the clients that send them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.crash.tandem_process import ServiceProcess

ANSWER_SECONDS_MAX = 60.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request to send with a key. `entries`: how many audit entries it adds when it is carried out once."""

    method: str
    path: str
    body: Json | None = None
    if_match: str | None = None
    entries: int = 1

    async def send(self, client: httpx.AsyncClient, key: str) -> httpx.Response:
        """Send it with this key and return the answer."""
        headers = {"idempotency-key": key, **({"if-match": self.if_match} if self.if_match else {})}
        return await client.request(self.method, self.path, json=self.body, headers=headers)


@asynccontextmanager
async def clients_of(services: Sequence[ServiceProcess]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One client per process, all signed in as the same person, the first of the installation."""
    clients = [
        httpx.AsyncClient(base_url=service.url, timeout=ANSWER_SECONDS_MAX, trust_env=False)
        for service in services
    ]
    try:
        answer = await clients[0].post("/v1/auth/dev/token", json={"email": "anna@example.org"})
        assert answer.status_code == 200, answer.text
        for client in clients:
            client.headers["authorization"] = f"Bearer {answer.json()['accessToken']}"
        yield clients
    finally:
        for client in clients:
            await client.aclose()


async def entries_written(client: httpx.AsyncClient) -> int:
    """The exact number of audit entries."""
    answer = await client.get("/v1/audit", params={"count": "exact", "limit": 1})
    assert answer.status_code == 200, answer.text
    total: int = answer.json()["total"]
    return total


def is_replayed(answer: httpx.Response) -> bool:
    """Whether the stored answer of an earlier request was returned."""
    return answer.is_success and answer.headers.get("idempotency-replayed") == "true"
