from adapters.observability.request_metrics import SERIES_MAX, RequestMetrics
from application.ports.synchronisation import SyncMetrics


def test_durations_fall_into_cumulative_buckets() -> None:
    metrics = RequestMetrics()
    for seconds in (0.0005, 0.001, 0.2, 60.0):
        metrics.observe(route="/x", method="GET", status=200, seconds=seconds)

    text = metrics.render()

    labels = 'route="/x",method="GET",status="200"'
    name = "tandem_http_request_duration_seconds"
    assert f'{name}_bucket{{{labels},le="0.001"}} 2' in text
    assert f'{name}_bucket{{{labels},le="0.25"}} 3' in text
    assert f'{name}_bucket{{{labels},le="10"}} 3' in text
    assert f'{name}_bucket{{{labels},le="+Inf"}} 4' in text
    assert f"{name}_count{{{labels}}} 4" in text
    assert f"{name}_sum{{{labels}}} 60.201500" in text
    assert f"tandem_http_requests_total{{{labels}}} 4" in text


def test_unknown_methods_share_a_series() -> None:
    metrics = RequestMetrics()
    for number in range(50):
        metrics.observe(route="/x", method=f"M{number}", status=405, seconds=0)

    assert 'route="/x",method="OTHER",status="405"} 50' in metrics.render()


def test_the_number_of_series_is_bounded_and_nothing_goes_uncounted() -> None:
    metrics = RequestMetrics()
    for number in range(SERIES_MAX + 10):
        metrics.observe(route=f"/{number}", method="GET", status=200, seconds=0)

    totals = [
        line for line in metrics.render().splitlines() if line.startswith("tandem_http_requests_total{")
    ]
    assert len(totals) == SERIES_MAX + 1
    assert 'tandem_http_requests_total{route="OTHER",method="OTHER",status="200"} 10' in totals


def test_where_nothing_is_mirrored_no_target_is_called_unreachable() -> None:
    single = SyncMetrics(
        source="monty", target=None, mode="single", paused=False, target_reachable=False, collections=[]
    )

    assert "tandem_sync" not in RequestMetrics().render(single)
