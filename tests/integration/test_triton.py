"""Triton's extensions with Triton's own clients, unmodified: statistics, configuration, logging,
traces.

What could break: a count that does not add up, a field that a client reads and does not find, a
setting that is taken and does nothing.
"""
import json
import threading

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from api import Api, FIELDS, golden_rows, register_triage
from test_lane import SLOW, register

grpc = pytest.importorskip("grpc")
from tritonclient import grpc as by_grpc  # noqa: E402
from tritonclient import http as by_http  # noqa: E402

ROWS, _ = golden_rows()
MATRIX = np.array([[row[name] for name in FIELDS] for row in ROWS], dtype=np.float32)
needs_slow = pytest.mark.skipif(not SLOW.exists(), reason="build/MODE/slipway-slow is not built")
DURATIONS = ["queue", "compute_input", "compute_infer", "compute_output"]


@pytest.fixture(params=["http", "grpc"])
def client(request, triage):
    yield from open_client(request.param, triage)


def open_client(kind, server):
    module = by_http if kind == "http" else by_grpc
    with module.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        client.module = module
        yield client


def infer(client, rows, model="triage", version="", name="input"):
    tensor = client.module.InferInput(name, list(rows.shape), "FP32")
    tensor.set_data_from_numpy(np.ascontiguousarray(rows))
    return client.infer(model, [tensor], model_version=version)


def as_json(client, method, *args, **kwargs):
    if client.module is by_grpc:
        kwargs["as_json"] = True
    return getattr(client, method)(*args, **kwargs)


def numbers(stats):
    """gRPC's JSON has int64 as text and leaves zeros out."""
    inference = {name: {"count": int(value.get("count", 0)), "ns": int(value.get("ns", 0))}
                 for name, value in stats["inference_stats"].items()}
    sizes = {int(batch["batch_size"]): int(batch["compute_infer"]["count"])
             for batch in stats.get("batch_stats", [])}
    return {"rows": int(stats.get("inference_count", 0)),
            "executions": int(stats.get("execution_count", 0)),
            "last": int(stats.get("last_inference", 0)), "sizes": sizes, **inference}


def statistics(client, model="triage", version="2"):
    answer = as_json(client, "get_inference_statistics", model, version)
    assert len(answer["model_stats"]) == 1
    return numbers(answer["model_stats"][0])


def test_counts_and_times_add_up(client):
    """Five requests of one row and one of three, then one that is refused."""
    before = statistics(client)
    for _ in range(5):
        infer(client, MATRIX[:1], version="2")
    infer(client, MATRIX[:3], version="2")
    with pytest.raises(InferenceServerException):
        infer(client, np.full((1, 30), np.nan, np.float32), version="2")
    after = statistics(client)
    assert after["rows"] - before["rows"] == 5 + 3
    assert after["executions"] - before["executions"] == 6
    assert after["sizes"][1] - before["sizes"].get(1, 0) == 5
    assert after["sizes"][4] - before["sizes"].get(4, 0) == 1
    assert after["success"]["count"] - before["success"]["count"] == 6
    assert after["fail"]["count"] - before["fail"]["count"] == 1
    assert after["fail"]["ns"] > before["fail"]["ns"]
    parts = 0
    for name in DURATIONS:
        assert after[name]["count"] - before[name]["count"] == 6
        parts += after[name]["ns"] - before[name]["ns"]
        assert name == "queue" or after[name]["ns"] > before[name]["ns"]
    assert parts <= after["success"]["ns"] - before["success"]["ns"]
    assert after["last"] >= before["last"] and after["last"] > 1.7e12
    assert after["cache_hit"] == after["cache_miss"] == {"count": 0, "ns": 0}


def test_statistics_of_every_version_and_model(client):
    names = [(entry["name"], entry["version"])
             for entry in as_json(client, "get_inference_statistics", "triage")["model_stats"]]
    assert sorted(names) == [("triage", "1"), ("triage", "2")]
    answer = as_json(client, "get_inference_statistics")
    assert sorted((entry["name"], entry["version"]) for entry in answer["model_stats"]) == sorted(
        names)
    for model, version, words in [("none", "", "unknown model"), ("triage", "99", "99")]:
        with pytest.raises(InferenceServerException) as error:
            client.get_inference_statistics(model, version)
        assert words in str(error.value)


@needs_slow
@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_requests_in_a_lane_have_waited(make_server, kind):
    """Eight at once for a model that takes 20 ms and one call at a time: some waited, and they
    were computed in fewer calls than there were requests."""
    server = make_server(program=SLOW)
    register(Api(server.url), "slow", call_us=20000, instances_max=1)
    for client in open_client(kind, server):
        def ask():
            with client.module.InferenceServerClient(f"127.0.0.1:{server.port}") as own:
                own.module = client.module
                infer(own, np.ones((1, 4), np.float32), "slow", name="x")
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = statistics(client, "slow", "1")
        assert got["success"]["count"] == got["queue"]["count"] == got["rows"] == 8
        assert 1 <= got["executions"] <= 8
        assert sum(got["sizes"].values()) == got["executions"]
        assert got["queue"]["ns"] > 0
        # each request counts its whole batch
        assert got["compute_infer"]["ns"] >= 8 * 20e6 * 0.9


def test_configuration(client):
    config = as_json(client, "get_model_config", "triage")
    config = config.get("config", config)
    assert config["name"] == "triage" and config["platform"] == "xgboost_trees"
    assert config["backend"] == "slipway" and int(config["max_batch_size"]) == 100000
    assert [int(version) for version in config["version_policy"]["specific"]["versions"]] == [2, 1]
    (tensor,) = config["input"]
    assert tensor["name"] == "input" and tensor["data_type"] == "TYPE_FP32"
    assert [int(size) for size in tensor["dims"]] == [30]
    predict = config["output"][0]
    assert predict["name"] == "predict" and [int(size) for size in predict["dims"]] == [1]
    assert predict["reshape"].get("shape", []) == []
    (group,) = config["instance_group"]
    assert group["kind"] == "KIND_CPU" and group["count"] >= 1
    with pytest.raises(InferenceServerException):
        client.get_model_config("none")


@needs_slow
def test_configuration_follows_the_serving_file(make_server):
    server = make_server(program=SLOW)
    register(Api(server.url), "slow", {
        "instances": 3, "batching": {"max_rows": 16, "max_delay": "2ms"},
        "queue": {"max_requests": 20, "timeout": "250ms"}, "priority": 3})
    for kind in ["http", "grpc"]:
        for client in open_client(kind, server):
            config = as_json(client, "get_model_config", "slow")
            config = config.get("config", config)
            batching = config["dynamic_batching"]
            assert batching["preferred_batch_size"] == [16]
            assert int(batching["max_queue_delay_microseconds"]) == 2000
            assert int(batching["default_priority_level"]) == 3
            queue = batching["default_queue_policy"]
            assert int(queue["default_timeout_microseconds"]) == 250000
            assert int(queue["max_queue_size"]) == 20
            assert config["instance_group"][0]["count"] == 3


def log_settings(client, changes=None):
    """{name: value}, whatever the protocol."""
    if client.module is by_http:
        return client.update_log_settings(changes) if changes else client.get_log_settings()
    answer = (client.update_log_settings(changes) if changes else client.get_log_settings())
    return {name: getattr(value, value.WhichOneof("parameter_choice"))
            for name, value in answer.settings.items()}


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_logging_is_set_while_it_runs(make_server, kind):
    server = make_server()
    api = Api(server.url)
    for client in open_client(kind, server):
        standard = {"log_file": "", "log_info": True, "log_warning": True, "log_error": True,
                    "log_verbose_level": 0, "log_format": "ISO8601"}
        assert log_settings(client) == standard
        quiet = log_settings(client, {"log_info": False})
        assert quiet == {**standard, "log_info": False} == log_settings(client)
        assert log_settings(client, {"log_info": True, "log_verbose_level": 1}) == {
            **standard, "log_verbose_level": 1}
        assert log_settings(client, {"log_info": False, "log_warning": False,
                                     "log_verbose_level": 0})["log_warning"] is False
        for changes, words in [({"log_error": False}, "errors are always logged"),
                               ({"log_info": True, "log_warning": False}, "log_warning"),
                               ({"log_file": "x"}, "log file location can not be updated"),
                               ({"log_format": "default"}, "ISO 8601"),
                               ({"log_all": True}, "log_all")]:
            with pytest.raises(InferenceServerException) as error:
                log_settings(client, changes)
            assert words in str(error.value)
        assert log_settings(client)["log_warning"] is False
    events = [event for event in api.get("/api/audit").json()["events"]
              if event["action"] == "server.logging"]
    levels = [json.loads(event["after"])["level"] for event in events]
    assert levels == ["warn", "debug", "error"]
    assert "log level changed" in server.log_text()


def trace_settings(client, changes=None, model=""):
    if client.module is by_http:
        return (client.update_trace_settings(model, changes) if changes
                else client.get_trace_settings(model))
    answer = (client.update_trace_settings(model, changes) if changes
              else client.get_trace_settings(model))
    got = {name: list(value.value) for name, value in answer.settings.items()}
    return {name: value if name == "trace_level" else value[0] for name, value in got.items()}


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_the_share_that_is_traced(make_server, kind):
    server = make_server("--otlp-endpoint", "http://127.0.0.1:9", "--otlp-sample-ratio", "0.25")
    register_triage(Api(server.url))
    for client in open_client(kind, server):
        standard = {"trace_file": "", "trace_level": ["TIMESTAMPS"], "trace_rate": "4",
                    "trace_count": "-1", "log_frequency": "0", "trace_mode": "opentelemetry"}
        assert trace_settings(client) == standard == trace_settings(client, model="triage")
        assert trace_settings(client, {"trace_rate": "50"})["trace_rate"] == "50"
        off = trace_settings(client, {"trace_level": ["OFF"]})
        assert off["trace_level"] == ["OFF"] == trace_settings(client)["trace_level"]
        with pytest.raises(InferenceServerException, match="while trace_level is OFF"):
            trace_settings(client, {"trace_rate": "50"})
        assert trace_settings(client, {"trace_level": None, "trace_rate": None}) == standard
        for changes, model, words in [
                ({"trace_file": "x"}, "", "trace file location can not be updated"),
                ({"trace_level": ["TENSORS"]}, "", "tensors are not in traces"),
                ({"trace_rate": "0"}, "", "trace_rate"), ({"trace_count": "5"}, "", "trace_count"),
                ({"trace_rate": "9"}, "triage", "one for all models")]:
            with pytest.raises(InferenceServerException) as error:
                trace_settings(client, changes, model)
            assert words in str(error.value)


def test_without_a_collector_nothing_is_traced(triage, client):
    assert trace_settings(client)["trace_level"] == ["OFF"]
    for changes in {"trace_level": ["TIMESTAMPS"]}, {"trace_rate": "50"}:
        with pytest.raises(InferenceServerException) as error:
            trace_settings(client, changes)
        assert "no collector" in str(error.value) and "--otlp-endpoint" in str(error.value)


def test_what_perf_analyzer_asks(triage, client):
    """Its calls around each window, in its order; queue and compute are then printed by request."""
    metadata = as_json(client, "get_server_metadata")
    for extension in ["statistics", "model_configuration", "trace", "logging"]:
        assert extension in metadata["extensions"]
    as_json(client, "get_model_metadata", "triage")
    as_json(client, "get_model_config", "triage")
    before = statistics(client, version="2")
    for _ in range(10):
        infer(client, MATRIX[:2])
    after = statistics(client, version="2")
    count = after["success"]["count"] - before["success"]["count"]
    assert count == 10
    for name in DURATIONS:
        average = (after[name]["ns"] - before[name]["ns"]) / count
        assert 0 <= average < 1e9
