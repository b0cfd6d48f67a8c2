from dataclasses import replace

import pytest

from adapters.records.specs import ENTITY_SPECS
from application.ports.health import ComponentHealth
from tests.unit.entrypoints.http.service import ADMIN, Service, failed_entry


async def test_health_is_up_while_the_store_is(service: Service) -> None:
    answer = await service.client.get("/v1/health")

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "UP", "components": {"db": {"status": "UP"}}},
    )


async def test_health_is_down_with_the_store(service: Service) -> None:
    service.parts.health.parts = {"db": ComponentHealth(up=False, detail="does not answer")}

    answer = await service.client.get("/v1/health")

    assert answer.status_code == 503
    assert answer.json() == {
        "status": "DOWN",
        "components": {"db": {"status": "DOWN", "detail": "does not answer"}},
    }
    ready = await service.client.get("/readyz")
    assert (ready.status_code, ready.json()["detail"]) == (503, "does not answer")
    assert (await service.client.get("/livez")).status_code == 200


async def test_a_target_that_is_down_does_not_take_the_service_down(service: Service) -> None:
    service.parts.health.parts["target"] = ComponentHealth(up=False)

    answer = await service.client.get("/v1/health")

    assert (answer.status_code, answer.json()["status"]) == (200, "UP")
    assert answer.json()["components"]["target"] == {"status": "DOWN"}
    assert (await service.client.get("/readyz")).json() == {"status": "UP"}


async def test_a_degraded_mirror_is_shown_with_its_cause_everywhere(service: Service) -> None:
    service.parts.health.parts["mirror"] = ComponentHealth(
        up=True, is_degraded=True, detail="2 are parked", cause="2 are parked: because of a secret"
    )

    health = await service.client.get("/v1/health")
    page = await service.client.get("/")
    metrics = await service.client.get("/metrics")

    assert health.json()["components"]["mirror"] == {"status": "DEGRADED", "detail": "2 are parked"}
    assert '<span class="bad">DEGRADED</span>: 2 are parked' in page.text
    assert 'tandem_component_up{component="mirror",detail="2 are parked"} 0.5' in metrics.text
    assert "secret" not in health.text + page.text + metrics.text
    assert (await service.client.get("/readyz")).status_code == 200


async def test_a_service_that_is_still_opening_is_alive_and_not_ready(service: Service) -> None:
    service.is_started = False

    statuses = [(await service.client.get(path)).status_code for path in ("/livez", "/startupz", "/readyz")]

    assert statuses == [200, 503, 503]
    assert (await service.client.get("/")).status_code == 200


async def test_metrics_tell_the_state_of_the_mirror(service: Service) -> None:
    answer = await service.client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'tandem_sync_entries{collection="tasks",status="parked"} 3' in answer.text
    assert 'tandem_sync_oldest_pending_seconds{collection="tasks"} 1.500' in answer.text
    assert 'tandem_sync_target_reachable{source="monty",target="postgres",mode="mirror"} 1' in answer.text


async def test_the_mirror_is_for_administrators(service: Service) -> None:
    for method, path in (
        ("GET", "/v1/sync/metrics"),
        ("GET", "/v1/sync/failures"),
        ("GET", f"/v1/sync/status/tasks/{'a' * 24}"),
        ("GET", f"/v1/sync/history/tasks/{'a' * 24}"),
        ("POST", "/v1/sync/failures/retry"),
        ("POST", f"/v1/sync/failures/tasks/{'a' * 24}/retry"),
    ):
        assert (await service.call(method, path)).status_code == 403, path
    assert len(service.parts.mirror.entries) == 3


async def test_metrics_of_the_mirror_have_totals(service: Service) -> None:
    body = (await service.call("GET", "/v1/sync/metrics", by=ADMIN)).json()

    assert (body["source"], body["target"], body["mode"], body["targetReachable"]) == (
        "monty",
        "postgres",
        "mirror",
        True,
    )
    assert body["totals"] == {
        "synced": 4,
        "pending": 1,
        "failed": 0,
        "parked": 3,
        "oldestPendingAgeMs": 1_500,
    }
    assert body["collections"][0]["mirrorLatencyP50Ms"] == 2


async def test_failures_are_paged_and_retried_one_by_one_or_together(service: Service) -> None:
    first = (await service.call("GET", "/v1/sync/failures?limit=2", by=ADMIN)).json()
    rest = await service.call("GET", f"/v1/sync/failures?limit=2&cursor={first['nextCursor']}", by=ADMIN)
    assert [len(first["items"]), len(rest.json()["items"])] == [2, 1]
    assert rest.json()["nextCursor"] is None
    failure = first["items"][0]
    assert (failure["status"], failure["lastError"], failure["attempts"]) == (
        "PARKED",
        "the record does not fit",
        3,
    )

    address = f"{failure['collection']}/{failure['id']}"
    status = (await service.call("GET", f"/v1/sync/status/{address}", by=ADMIN)).json()
    assert (status["status"], status["sourceVersion"], status["targetVersion"]) == ("PARKED", 1, None)
    history = (await service.call("GET", f"/v1/sync/history/{address}", by=ADMIN)).json()["items"]
    assert [(row["version"], row["inSource"], row["inTarget"]) for row in history] == [(1, True, False)]
    retried = (await service.call("POST", f"/v1/sync/failures/{address}/retry", by=ADMIN)).json()
    assert (retried["status"], retried["targetVersion"]) == ("SYNCED", 1)
    assert (await service.call("POST", "/v1/sync/failures/retry", by=ADMIN)).json() == {"requeued": 2}


async def test_collections_and_records_that_do_not_exist_are_not_found(service: Service) -> None:
    for path in (
        f"status/audit_logs/{'a' * 24}",
        f"status/nope/{'a' * 24}",
        "status/tasks/x",
        f"history/tasks/{'a' * 24}",
    ):
        assert (await service.call("GET", f"/v1/sync/{path}", by=ADMIN)).status_code == 404, path


@pytest.mark.parametrize("collection", [spec.collection for spec in ENTITY_SPECS])
async def test_whatever_is_mirrored_can_be_looked_at_and_retried(service: Service, collection: str) -> None:
    entry = replace(failed_entry(7), collection=collection)
    service.parts.mirror.entries = [entry]
    address = f"{collection}/{entry.entity_id}"

    for path in (f"status/{address}", f"history/{address}"):
        assert (await service.call("GET", f"/v1/sync/{path}", by=ADMIN)).status_code == 200, path
    retried = await service.call("POST", f"/v1/sync/failures/{address}/retry", by=ADMIN)

    assert (retried.status_code, retried.json()["collection"]) == (200, collection)
    assert service.parts.mirror.entries == []
