"""More models than memory: each answers when asked, the longest unused goes, and nobody fails.

What could break: a request lost while its model is loaded or let go, one load per request instead
of one a model, a budget that is not kept, a pinned model or a rollout's version that goes, a
rollback that has to load.
"""
import contextlib
import json
import queue
import re
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as grpc
import websockets.sync.client as websockets

from api import FIELDS, REQUEST, Api, register_triage
from server import Server, free_port

MODELS = [f"m{i}" for i in range(6)]


def metric(api, name):
    text = api.get("/metrics").text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))


@pytest.fixture
def small(tmp_path):
    """Six models, memory for three."""
    with free_port() as port:
        server = Server(tmp_path / "data", port).start()
        server.api = Api(server.url)
        for model in MODELS:
            register_triage(server.api, 1, model)
        one = metric(server.api, "slipway_model_memory_bytes") / len(MODELS)
        server.stop()
        budget = ["--model-memory-bytes-max", int(3.5 * one)]
        server = Server(tmp_path / "data", port, budget).start()
        server.api = Api(server.url)
        yield server
        server.stop()
        server.check_clean()


@pytest.fixture
def pairs(tmp_path):
    """Four models with a champion and one before it; memory for two and a half."""
    with free_port() as port:
        server = Server(tmp_path / "data", port).start()
        server.api = Api(server.url)
        for model in MODELS[:4]:
            register_triage(server.api, 2, model)
        one = metric(server.api, "slipway_model_memory_bytes") / 4
        server.stop()
        budget = ["--model-memory-bytes-max", int(2.5 * one)]
        server = Server(tmp_path / "data", port, budget).start()
        server.api = Api(server.url)
        server.data = tmp_path / "data"
        yield server
        server.stop()
        server.check_clean()


@contextlib.contextmanager
def no_file(server, model, version):
    """The artifact cannot be read: whoever has to load it fails."""
    digest = server.api.get(f"/api/models/{model}/versions/{version}").json()["artifact"]
    path = server.data / "blobs" / digest[:2] / digest
    path.rename(path.with_suffix(".away"))
    yield
    path.with_suffix(".away").rename(path)


def versions_in_memory(api, model):
    text = api.get("/metrics").text
    return {int(version) for version in re.findall(
        rf'^slipway_model_memory_bytes{{model="{model}",version="(\d+)"}}', text, re.M)}


def wait_for(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.01)


def in_memory(api):
    index = api.post("/v2/repository/index", {"ready": True}).json()
    return {entry["name"] for entry in index}


def test_each_model_answers_and_the_budget_holds(small):
    assert len(in_memory(small.api)) <= 3
    for model in MODELS * 2:
        small.api.predict(model, REQUEST)
        assert model in in_memory(small.api)
        assert len(in_memory(small.api)) <= 3
    limit = metric(small.api, "slipway_model_memory_max_bytes")
    assert metric(small.api, "slipway_model_memory_bytes") <= limit
    assert small.api.get("/readyz").status_code == 200


def test_the_longest_unused_goes(small):
    for model in ("m0", "m1", "m2", "m0", "m1", "m3"):
        small.api.predict(model, REQUEST)
    assert in_memory(small.api) == {"m0", "m1", "m3"}


def test_many_who_ask_at_once_wait_for_one_load(small):
    small.api.post("/v2/repository/models/m5/unload", {})
    before = metric(small.api, "slipway_model_loads_total")
    answers = []

    def ask():
        answers.append(Api(small.url).predict("m5", REQUEST)["predictions"][0]["label"])

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["benign"] * 16
    assert metric(small.api, "slipway_model_loads_total") - before == 1


def test_a_pinned_model_stays_and_says_why(small):
    small.api.call("PUT", "/api/models/m0/serving", 200, data="memory: {pin: true}")
    small.api.predict("m0", REQUEST)
    for model in MODELS[1:] * 2:
        small.api.predict(model, REQUEST)
        assert "m0" in in_memory(small.api)
    reply = small.api.call("POST", "/v2/repository/models/m0/unload", 409, json={})
    assert "keeps model 'm0' in memory" in reply.json()["error"]


def test_metadata_loads_and_readiness_does_not(small):
    small.api.post("/v2/repository/models/m4/unload", {})
    assert small.api.get("/v2/models/m4/ready").json()["ready"] is True
    assert "m4" not in in_memory(small.api)
    assert small.api.get("/v2/models/m4").json()["inputs"][0]["shape"] == [-1, 30]
    assert "m4" in in_memory(small.api)


def test_grpc_and_streams_wait_for_a_model_too(small):
    rows = np.array([[REQUEST[name] for name in FIELDS]], dtype=np.float32)
    with grpc.InferenceServerClient(f"127.0.0.1:{small.port}") as client:
        tensor = grpc.InferInput("input", [1, len(FIELDS)], "FP32")
        tensor.set_data_from_numpy(rows)
        client.unload_model("m4")
        assert client.is_model_ready("m4")
        assert client.get_model_metadata("m4").inputs[0].shape == [-1, 30]
        client.unload_model("m4")
        expected = client.infer("m4", [tensor]).as_numpy("predict")
        client.unload_model("m4")
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put(error or result))
        for _ in range(3):
            client.async_stream_infer("m4", [tensor])
        for _ in range(3):
            assert answers.get(timeout=30).as_numpy("predict") == expected
        client.unload_model("m4")
        client.async_stream_infer("m4", [tensor])
        assert answers.get(timeout=30).as_numpy("predict") == expected
        client.stop_stream()
    small.api.post("/v2/repository/models/m3/unload", {})
    with websockets.connect(f"ws://127.0.0.1:{small.port}/predict/m3") as socket:
        socket.send(json.dumps(REQUEST))
        assert json.loads(socket.recv(timeout=30))["predictions"][0]["label"] == "benign"


def test_a_large_request_waits_for_its_model(small):
    """Above 128 KiB a body is read beside the data thread, which then finds no model."""
    small.api.post("/v2/repository/models/m2/unload", {})
    reply = small.api.predict("m2", {"rows": [REQUEST] * 500})
    assert len(reply["predictions"]) == 500


def test_without_a_budget_nothing_is_unloaded(triage):
    reply = triage.api.call("POST", "/v2/repository/models/triage/unload", 501, json={})
    assert "--model-memory-bytes-max" in reply.json()["error"]
    assert triage.api.predict("triage", REQUEST)["predictions"][0]["label"] == "benign"


def test_the_version_before_comes_with_its_model(pairs):
    """Others go for it, as they do for a champion: a rollback reads no file."""
    for model in MODELS[:4] * 2:
        pairs.api.predict(model, REQUEST)
        wait_for(lambda: versions_in_memory(pairs.api, model) == {1, 2})
        wait_for(lambda: metric(pairs.api, "slipway_model_memory_bytes") <=
                 metric(pairs.api, "slipway_model_memory_max_bytes"))
    assert len(in_memory(pairs.api)) == 2
    with no_file(pairs, "m3", 1):
        assert pairs.api.rollback("m3")["to"] == 1
        assert pairs.api.serving("m3") == "1"


def test_a_model_that_is_not_in_memory_is_rolled_back_without_a_load(pairs):
    pairs.api.post("/v2/repository/models/m0/unload", {})
    with no_file(pairs, "m0", 1):
        assert pairs.api.rollback("m0")["to"] == 1
        assert "m0" not in in_memory(pairs.api)
    assert pairs.api.serving("m0") == "1"


def test_who_moves_the_champion_of_a_model_that_is_not_in_memory_can_take_it_back(pairs):
    pairs.api.post("/v2/repository/models/m0/unload", {})
    pairs.api.set_alias("m0", "champion", 1)
    wait_for(lambda: versions_in_memory(pairs.api, "m0") == {1, 2})
    pairs.api.post("/v2/repository/models/m0/unload", {})
    pairs.api.post("/v2/repository/models/m0/load", {})
    assert versions_in_memory(pairs.api, "m0") == {1, 2}


def test_a_version_before_that_does_not_fit_is_loaded_by_its_rollback(tmp_path):
    with free_port() as port:
        server = Server(tmp_path / "data", port).start()
        server.api = Api(server.url)
        register_triage(server.api, 2, "m0")
        both = metric(server.api, "slipway_model_memory_bytes")
        server.stop()
        budget = ["--model-memory-bytes-max", int(0.9 * both)]
        server = Server(tmp_path / "data", port, budget).start()
        server.api = Api(server.url)
        server.api.post("/v2/repository/models/m0/unload", {})
        assert server.api.serving("m0") == "2"
        wait_for(lambda: "a rollback would have to load" in server.log_text())
        assert versions_in_memory(server.api, "m0") == {2}
        assert server.api.rollback("m0")["to"] == 1
        assert server.api.serving("m0") == "1"
        server.stop()
        server.check_clean()
