"""The response cache: the same is answered again, and nothing else is.

What could break: an answer of other inputs, outputs, parameters or versions; an answer that nobody
watched, recorded or held; an error that is kept; memory past the budget. How often a model was
asked is what its lane has counted.
"""
import concurrent.futures
import json
import pathlib
import random
import time

import pytest

from api import REQUEST, Api, golden_rows, read, register_triage
from server import PATIENCE
from test_lane import SLOW, infer_body, sums, wait_for

ECHO = """
echo:
  inputs:
  - {name: x, datatype: FP32, shape: [-1, -1]}
  - {name: note, datatype: BYTES, shape: [-1], output: said, optional: true}
  - {name: count, datatype: INT64, shape: [-1], optional: true}
  rows: 0
  delay_us: 200
"""
needs_slow = pytest.mark.skipif(not SLOW.exists(), reason="build/MODE/slipway-slow is not built")


def register_echo(api, cache="{max_bytes: 1M}", name="echo", artifact=ECHO):
    version = api.register(name, artifact.encode())["version"]
    api.set_alias(name, "champion", version)
    set_cache(api, name, cache)


def set_cache(api, name, cache):
    api.call("PUT", f"/api/models/{name}/serving", 200, data=f"cache: {cache}\n".encode())


def computed(api, name="echo"):
    """Requests that the lanes of its versions have run."""
    return sum(v["requests"] for v in api.get(f"/api/models/{name}/serving").json()["versions"])


def counted(api, name="echo"):
    return api.get(f"/api/models/{name}/serving").json()["responses"]


def results(api, name="echo"):
    versions = counted(api, name)["versions"]
    return tuple(sum(v[what] for v in versions) for what in ("hit", "miss", "bypass"))


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def body(data=(1.0, 2.0), shape=(1, 2), parameters=None, outputs=None, *more):
    made = {"inputs": [tensor("x", "FP32", list(shape), list(data)), *more]}
    if parameters:
        made["parameters"] = parameters
    if outputs:
        made["outputs"] = [{"name": name} for name in outputs]
    return made


def ask(api, sent, expect=200, model="echo", headers=None):
    """(what the header says, reply)"""
    reply = api.post(f"/v2/models/{model}/infer", sent, expect, headers=headers)
    return reply.headers.get("X-Cache"), reply


@pytest.fixture
def echo(server):
    server.api = Api(server.url)
    register_echo(server.api)
    return server


def test_the_same_is_answered_again_without_the_model(echo):
    """One is computed; each has an id, a record and a place in the counts of its own."""
    api = echo.api
    sent = body((1.5, -2.0), (1, 2), None, None, tensor("note", "BYTES", [2], ["a", "Grüße"]))
    said, replies = zip(*[ask(api, sent) for _ in range(5)])
    assert said == ("miss", "hit", "hit", "hit", "hit")
    assert {reply.text for reply in replies} == {replies[0].text}
    assert replies[0].json()["outputs"] == [
        tensor("x", "FP32", [1, 2], [1.5, -2.0]), tensor("said", "BYTES", [2], ["a", "Grüße"]),
        tensor("count", "INT64", [0], [])]
    assert computed(api) == 1
    ids = [reply.headers["X-Request-Id"] for reply in replies]
    assert len(set(ids)) == 5
    shown = [api.get(f"/api/predictions/{one}-0").json() for one in ids]
    assert [row["cache"] for row in shown] == [None, "hit", "hit", "hit", "hit"]
    assert {json.dumps(row["prediction"]) for row in shown} == {json.dumps(shown[0]["prediction"])}
    metrics = api.get("/metrics").text
    assert 'slipway_prediction_rows_total{model="echo",version="1"} 5\n' in metrics
    labels = 'model="echo",version="1",result='
    assert f'slipway_response_cache_requests_total{{{labels}"hit"}} 4\n' in metrics
    assert f'slipway_response_cache_requests_total{{{labels}"miss"}} 1\n' in metrics
    assert 'slipway_response_cache_answers{model="echo"} 1\n' in metrics
    export = api.get("/api/models/echo/predictions?format=csv").text.splitlines()
    column = export[0].split(",").index("cache")
    assert sorted(line.split(",")[column] for line in export[1:]) == [""] + ["hit"] * 4


def test_what_differs_in_anything_is_something_else(echo):
    """Each is a miss the first time, a hit the second, and gets its own answer both times."""
    note = tensor("note", "BYTES", [2], ["ab", "c"])
    others = [
        body(), body((1.0, 2.0000002)), body((2.0, 1.0)), body((-0.0, 2.0)), body((0.0, 2.0)),
        body((1.0, 2.0), (2, 1)), body((1.0, 2.0, 1.0, 2.0), (2, 2)),
        body((1.0, 2.0, 1.0, 2.0), (1, 4)), body(outputs=["x"]), body(outputs=["said"]),
        body(parameters={"who": "a"}), body(parameters={"who": "b"}),
        body((1.0, 2.0), (1, 2), None, None, note),
        body((1.0, 2.0), (1, 2), None, None, tensor("note", "BYTES", [2], ["a", "bc"])),
        body((1.0, 2.0), (1, 2), None, None, tensor("note", "BYTES", [1], ["abc"])),
        body((1.0, 2.0), (1, 2), None, None, tensor("count", "INT64", [1], [1])),
        body((1.0, 2.0), (1, 2), None, None, note, tensor("count", "INT64", [1], [1])),
    ]
    first = [ask(echo.api, sent) for sent in others]
    again = [ask(echo.api, sent) for sent in others]
    assert {said for said, _ in first} == {"miss"} and {said for said, _ in again} == {"hit"}
    for sent, (_, one), (_, two) in zip(others, first, again):
        assert one.text == two.text
        outputs = {o["name"]: o for o in two.json()["outputs"]}
        if "outputs" in sent:
            assert list(outputs) == [o["name"] for o in sent["outputs"]]
        if "x" in outputs:
            x = sent["inputs"][0]
            assert outputs["x"]["data"] == x["data"] and outputs["x"]["shape"] == x["shape"]
    assert computed(echo.api) == len(others)
    # What is ours is not the model's: other times and forms are the same question.
    assert ask(echo.api, body(parameters={"timeout": 9000000}))[0] == "hit"
    assert ask(echo.api, body(parameters={"priority": 1, "cache": True}))[0] == "hit"
    assert ask(echo.api, {**body(), "id": "mine"})[0] == "hit"


def test_what_is_not_to_be_kept_is_not(echo):
    api = echo.api
    passed = [({"sequence_id": 7}, {}), ({"sequence_id": "s"}, {}), ({"cache": False}, {}),
              (None, {"Cache-Control": "max-age=5, No-Store"})]
    for parameters, headers in passed:
        for _ in range(2):
            assert ask(api, body(parameters=parameters), headers=headers)[0] == "bypass"
    assert computed(api) == 8 and counted(api)["answers"] == 0
    assert ask(api, body(parameters={"sequence_id": 0}))[0] == "miss"  # no sequence
    refused = ask(api, body(parameters={"cache": "maybe"}), 400)[1]
    assert "cache: expected true or false" in refused.json()["error"]
    assert ask(api, body())[0] == "miss"


def test_a_caller_may_ask_for_a_new_answer(echo):
    """no-cache computes and keeps (RFC 9111, 5.2.1.4); an age in seconds is a bound of its own."""
    api = echo.api
    new = {"Cache-Control": "no-cache"}
    said = [ask(api, body(), headers=h)[0] for h in ({}, new, {"Cache-Control": "max-age=0"}, {},
                                                     {"Cache-Control": "max-age=600"})]
    assert said == ["miss", "miss", "miss", "hit", "hit"]
    assert counted(api)["answers"] == 1 and computed(api) == 3


@needs_slow
def test_errors_and_varying_models_are_not_kept(make_server):
    api = Api(make_server(program=SLOW).url)
    for name, settings in (("bad", "poison=666"), ("dice", "varies=1")):
        register_echo(api, name=name, artifact=f"slipway-slow\ncall_us=100\n{settings}\n")
    for _ in range(2):
        said, reply = ask(api, infer_body(first=666.0), 400, "bad")
        assert said is None and "error" in reply.json()
        assert ask(api, infer_body(), model="dice")[0] is None
    assert computed(api, "bad") == 2 and computed(api, "dice") == 2
    assert counted(api, "bad")["answers"] == 0 and counted(api, "dice")["answers"] == 0
    assert counted(api, "dice")["versions"][0]["varies"] is True
    said, reply = ask(api, infer_body(rows=2), model="bad")
    again, hit = ask(api, infer_body(rows=2), model="bad")
    assert (said, again) == ("miss", "hit")
    assert hit.json()["outputs"][0]["data"] == sums(2)


def test_streams_pass_by_and_grpc_is_counted_as_triton_does(echo):
    """A hit is no inference and no execution; ModelStatistics says how long the cache took."""
    grpc = pytest.importorskip("grpc")
    websockets = pytest.importorskip("websockets.sync.client")
    from tritonclient.grpc import service_pb2, service_pb2_grpc
    sent = service_pb2.ModelInferRequest(model_name="echo")
    sent.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1, 2])
    said = []
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(3):
            reply, call = stub.ModelInfer.with_call(sent)
            said.append(dict(call.initial_metadata())["x-cache"])
            assert list(reply.outputs[0].contents.fp32_contents) == [1, 2]
        list(stub.ModelStreamInfer(iter([sent, sent])))
        stats = stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name="echo"))
    assert said == ["miss", "hit", "hit"]
    with websockets.connect(f"ws://127.0.0.1:{echo.port}/v2/models/echo/infer", proxy=None) as ws:
        ws.send(json.dumps(body()))
        assert json.loads(ws.recv())["outputs"][0]["data"] == [1, 2]
    assert results(echo.api) == (2, 1, 3) and computed(echo.api) == 4
    model = stats.model_stats[0]
    assert (model.inference_count, model.execution_count) == (3, 3)
    inference = model.inference_stats
    assert (inference.success.count, inference.cache_hit.count, inference.cache_miss.count) == \
        (5, 2, 1)
    assert 0 < inference.cache_hit.ns < 10**9 and 0 < inference.cache_miss.ns < 10**9
    assert ask(echo.api, body())[0] == "hit"  # the same question in another protocol


LATE = b"""graph: 1
features: [a]
nodes:
  slow: {model: slow, version: 1, deadline: 20ms, fallback: {value: 0.5}}
  one: {model: one, version: 1}
  sum: {ensemble: sum, of: [slow, one]}
"""


def test_an_answer_with_a_fallback_is_for_its_caller_alone(server):
    """A graph without one is kept as any other model."""
    api = Api(server.url)
    node = "echo:\n  inputs:\n    - {name: x, datatype: FP32, shape: [-1, 1]}\n"
    api.register("one", node.encode())
    for name, delay in (("slow", 30000000), ("quick", 0)):
        api.register(name, f"{node}  delay_us: {delay}\n".encode())
        graph = f"late-{name}"
        api.register(graph, LATE.replace(b"model: slow", b"model: " + name.encode()))
        api.set_alias(graph, "champion", 1)
        set_cache(api, graph, "{max_bytes: 1M}")
    matrix = api.get("/v2/models/late-slow").json()["inputs"][0]["name"]
    sent = {"inputs": [tensor(matrix, "FP32", [1, 1], [2.0])]}
    for _ in range(2):
        said, reply = ask(api, sent, model="late-slow")
        assert (said, reply.json()["outputs"][0]["data"]) == ("bypass", [2.5])
    for expected in ("miss", "hit"):
        said, reply = ask(api, sent, model="late-quick")
        assert (said, reply.json()["outputs"][0]["data"]) == (expected, [4.0])


def test_old_answers_are_none(server):
    api = Api(server.url)
    register_echo(api, "{max_bytes: 1M, ttl: 1ms}")
    for _ in range(3):
        assert ask(api, body())[0] == "miss"
        time.sleep(0.005)
    assert counted(api)["ended"]["age"] == 2


def test_answers_are_a_versions_own(server):
    """A promotion and a rollback change who answers at once; what is in memory is still known."""
    api = Api(server.url)
    register_triage(api, 2)
    set_cache(api, "triage", "{max_bytes: 1M}")
    _, scores = golden_rows("golden.csv")
    _, scores_v1 = golden_rows("golden_v1.csv")

    def predict():
        reply = api.post("/predict/triage", REQUEST)
        row = reply.json()["predictions"][0]["probabilities"]["malignant"]
        return reply.headers["X-Cache"], reply.json()["version"], row

    def expect(said, version):
        want = scores[0] if version == "2" else scores_v1[0]
        assert predict() == (said, version, pytest.approx(want, abs=1e-6))

    expect("miss", "2")
    expect("hit", "2")
    api.set_alias("triage", "champion", 1)
    expect("miss", "1")
    expect("hit", "1")
    api.rollback("triage")
    expect("hit", "2")
    # An unloaded version's answers go: no alias names version 1, and nothing rolls back to it.
    api.set_alias("triage", "champion", 2)
    api.register("triage", read("model_v1.ubj"), note="3")
    api.set_alias("triage", "champion", 3)
    api.set_alias("triage", "champion", 2)
    assert counted(api, "triage")["ended"]["version"] == 1
    assert counted(api, "triage")["answers"] == 1


def test_a_broken_contract_is_refused_and_a_hold_holds_each_time(server):
    """The same row twice: both wait for a person, each with an item of its own."""
    rows, scores = golden_rows()
    sure = next(row for row, score in zip(rows, scores) if score > 0.99)
    api = Api(server.url)
    register_triage(api, 1)
    set_cache(api, "triage", "{max_bytes: 1M}")
    api.call("PUT", "/api/models/triage/review", 200, data=b"blind: 0\nrules: [{name: sure, when: "
             b"score(malignant) > 0.99, mode: hold, sla: 1h, on_expiry: reject}]")
    held = [api.post("/predict/triage", sure, 202) for _ in range(2)]
    assert [reply.headers["X-Cache"] for reply in held] == ["miss", "hit"]
    items = [reply.json()["predictions"][0]["item"] for reply in held]
    assert len(set(items)) == 2
    for _ in range(2):
        api.post("/predict/triage", {**REQUEST, "mean_radius": "wide"}, 422)
    assert results(api, "triage") == (1, 1, 0)


def test_the_budget_is_kept_and_comes_back(server):
    """40 MB of answers through 8 MiB; then the cache is turned off."""
    api = Api(server.url)
    register_echo(api, "{max_bytes: 8M}")

    def resident():
        text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    def ask_large(first):
        data = [float(first)] * 25000
        reply = ask(api, body(data, (1, 25000)))
        assert reply[1].json()["outputs"][0]["data"][-1] == float(first)
        return reply[0]

    for i in range(30):
        ask(api, body([float(i)] * 25000, (1, 25000)), headers={"Cache-Control": "no-store"})
    before = resident()
    for i in range(400):
        assert ask_large(i) == "miss"
    assert ask_large(399) == "hit"
    held = counted(api)
    assert 0.8 * 8 * 2**20 < held["bytes"] <= 8 * 2**20 == held["max_bytes"]
    assert held["answers"] + held["ended"]["room"] == 400
    if PATIENCE == 1:
        assert resident() - before < 10 * 2**20
    set_cache(api, "echo", "off")
    assert ask(api, body())[0] is None
    assert "responses" not in api.get("/api/models/echo/serving").json()
    if PATIENCE == 1:
        wait_for(lambda: resident() - before < 4 * 2**20)


def test_many_at_once_get_their_own_answers(server):
    """Eight clients, fifty questions, a cache that has room for few of them."""
    api = Api(server.url)
    register_echo(api, "{max_bytes: 64K}")

    def run(seed):
        own, rand, hits = Api(server.url), random.Random(seed), 0
        for _ in range(150):
            n = rand.randrange(50)
            said, reply = ask(own, body([float(n)] * 100, (1, 100), None, ["x"]))
            assert reply.json()["outputs"][0]["data"] == [float(n)] * 100
            hits += said == "hit"
        return hits

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        hits = sum(pool.map(run, range(8)))
    assert results(api) == (hits, 1200 - hits, 0) and hits > 100
    assert counted(api)["bytes"] <= 64 * 1024
