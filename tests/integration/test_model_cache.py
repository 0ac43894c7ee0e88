"""More models than memory: each answers when asked, the longest unused goes, and nobody fails.

What could break: a request lost while its model is loaded or let go, one load per request instead
of one a model, a budget that is not kept, a pinned model or a rollout's version that goes.
"""
import re
import threading

import pytest

from api import REQUEST, Api, register_triage
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


def test_without_a_budget_nothing_is_unloaded(triage):
    reply = triage.api.call("POST", "/v2/repository/models/triage/unload", 501, json={})
    assert "--model-memory-bytes-max" in reply.json()["error"]
    assert triage.api.predict("triage", REQUEST)["predictions"][0]["label"] == "benign"
