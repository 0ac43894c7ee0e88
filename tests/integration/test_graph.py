"""A graph of models answers as one version: what it computes, what it holds, what it refuses.

What could break: an answer that is not what the nodes' answers make, rows that come back in another
order, a graph that changes when a node's champion does, a fallback nobody hears of.
"""
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api import Api, golden_rows, read, register_triage
from server import PATIENCE

ROWS, NEW = golden_rows()
_, OLD = golden_rows("golden_v1.csv")
CLOSE = {"rel": 1e-5, "abs": 1e-6}

AVERAGE = b"""graph: 1
nodes:
  old: {model: triage, version: 1}
  new: {model: triage, alias: champion}
  both: {ensemble: average, of: [old, new], weights: [1, 3]}
outputs: {probability: both}
"""


def scores(reply):
    return [row["probabilities"]["malignant"] for row in reply["predictions"]]


@pytest.fixture
def graph(server):
    """Two versions of the example, and their weighted average as a graph with their contract."""
    api = Api(server.url)
    register_triage(api)
    api.register("both", AVERAGE, read("contract.yaml"))
    return api


def test_average_is_that_of_the_reference(graph):
    got = scores(graph.predict("both", {"rows": ROWS}))
    assert got == pytest.approx([(a + 3 * b) / 4 for a, b in zip(OLD, NEW)], **CLOSE)


def infer(api, model, request_id=None, **columns):
    """Rows of one FP32 matrix, by feature order; the outputs by name."""
    rows = list(zip(*columns.values()))
    body = {"inputs": [{
        "name": api.get(f"/v2/models/{model}").json()["inputs"][0]["name"], "datatype": "FP32",
        "shape": [len(rows), len(columns)], "data": [x for row in rows for x in row]}]}
    headers = {"X-Request-Id": request_id} if request_id else {}
    return api.post(f"/v2/models/{model}/infer", body, headers=headers).json()


def outputs(reply):
    return {output["name"]: output["data"] for output in reply["outputs"]}


def echo(columns):
    """A model that answers with its features."""
    return f"echo:\n  inputs:\n    - {{name: x, datatype: FP32, shape: [-1, {columns}]}}\n".encode()


SWITCH = b"""graph: 1
features: [a, b]
nodes:
  plain: {model: one, columns: [a]}
  twice: {model: two, columns: [b, a]}
  first: {ensemble: sum, of: ["twice[0]"]}
  wide: {ensemble: sum, of: [plain]}
  route:
    switch:
      - {if: a > 10, then: first}
      - {if: b is missing, then: -1}
    default: wide
  parts:
    split: {model: one, rows: [[a], [b], [a]]}
    aggregate: sum
  both: {ensemble: concat, of: [route, parts, 7]}
outputs: {route: route, parts: parts, both: both}
"""


def test_rows_part_and_come_together_in_order(server):
    """a > 10 takes b, a missing b takes -1, every other row takes a."""
    api = Api(server.url)
    api.register("one", echo(1))
    api.register("two", echo(2))
    api.register("routed", SWITCH)
    a, b = [1.0, 11.0, 2.0, 12.0, 3.0], [5.0, 6.0, 7.0, 8.0, 9.0]
    got = outputs(infer(api, "routed", a=a, b=b))
    assert got["route"] == [1.0, 6.0, 2.0, 8.0, 3.0]
    assert got["parts"] == [2 * x + y for x, y in zip(a, b)]
    assert got["both"] == [x for row in zip(got["route"], got["parts"], [7.0] * 5) for x in row]


def kept(api, request_id, model):
    """The record of a request, once the recorder has it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        reply = api.get(f"/api/predictions/{request_id}?model={model}", expect=None)
        if reply.status_code == 200 or time.monotonic() > deadline:
            assert reply.status_code == 200, reply.text
            return reply.json()
        time.sleep(0.05)


def test_a_record_says_how_each_node_answered(graph):
    header = {"X-Request-Id": "whole"}
    graph.predict("both", {"rows": ROWS[:2]}, headers=header)
    for row, one in enumerate(kept(graph, "whole", "both")["predictions"]):
        nodes = one["nodes"]
        assert list(nodes) == ["old", "new", "both"]
        answers = [nodes[name]["answer"] for name in nodes]
        assert answers == pytest.approx(
            [OLD[row], NEW[row], (OLD[row] + 3 * NEW[row]) / 4], **CLOSE)
        assert nodes["old"]["outcome"] == nodes["new"]["outcome"] == "ok"
        assert nodes["old"]["us"] >= 0 and "outcome" not in nodes["both"]


def test_a_graph_stays_when_its_models_move_on(graph):
    def answers():
        return scores(graph.predict("both", {"rows": ROWS[:5]}))

    before = answers()
    graph.set_alias("triage", "champion", 1)
    assert answers() == before
    nodes = graph.get("/api/models/both/versions/1").json()["signature"]["nodes"]
    assert [(n["name"], n.get("model"), n.get("version")) for n in nodes] == [
        ("old", "triage", 1), ("new", "triage", 2), ("both", None, None)]
    moved = graph.register("both", AVERAGE, read("contract.yaml"))
    assert moved["version"] == 2
    graph.set_alias("both", "champion", 2)
    assert answers() == pytest.approx(OLD[:5], **CLOSE)
    graph.rollback("both")
    assert answers() == before


SLOW = b"echo:\n  delay_us: 30000000\n  inputs:\n    - {name: x, datatype: FP32, shape: [-1, 1]}\n"

LATE = b"""graph: 1
features: [a]
nodes:
  slow: {model: slow, version: 1, deadline: 20ms, fallback: %s}
  one: {model: one, version: 1}
  sum: {ensemble: sum, of: [slow, one, 10]}
"""


@pytest.mark.parametrize("fallback, expected", [
    (b"{value: 0.5}", 12.5), (b"{node: one}", 14), (b"skip", 12)])
def test_a_model_that_hangs_in_its_lane_has_its_fallback(server, fallback, expected):
    """Its lane goes on for half a minute; the graph does not wait, nor does the next request."""
    api = Api(server.url)
    api.register("slow", SLOW)
    api.register("one", echo(1))
    api.register("late", LATE % fallback)
    for i in range(3):
        reply = infer(api, "late", f"late-{i}", a=[2.0])
        assert outputs(reply) == {"sum": [expected]}
        assert reply["parameters"]["fallback"] == "slow:late"
    assert kept(api, "late-0", "late")["predictions"][0]["nodes"]["slow"]["outcome"] == "late"
    text = api.get("/metrics").text
    assert 'slipway_graph_node_calls_total{model="late",version="1",node="slow",outcome="late"} 3' \
        in text


def test_a_late_node_without_a_fallback_says_which_it_was(server):
    api = Api(server.url)
    api.register("slow", SLOW)
    api.register("late", b"graph: 1\nnodes:\n"
                         b"  first: {model: slow, version: 1, deadline: 20ms}\n")
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [2.0]}]}
    assert api.post("/v2/models/late/infer", body, 504).json()["error"] == (
        "Request timeout expired: model 'late' version 1: node 'first': "
        "model 'slow' version 1 has not answered within 20 ms")


def test_lanes_of_a_graphs_models_run_at_once(server):
    """Two models of half a second each, ten requests at a time: the nodes' lanes join them."""
    api = Api(server.url)
    api.register("wait", b"echo:\n  delay_us: 500000\n  inputs:\n"
                         b"    - {name: x, datatype: FP32, shape: [-1, 1]}\n")
    api.register("pair", b"graph: 1\nnodes:\n"
                         b"  l: {model: wait, version: 1}\n  r: {model: wait, version: 1}\n"
                         b"  s: {ensemble: sum, of: [l, r]}\n")
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda i: infer(api, "pair", a=[float(i)]), range(10)))
    assert [outputs(reply)["s"] for reply in replies] == [[2.0 * i] for i in range(10)]
    lane = api.get("/metrics").text
    rows = 'slipway_batch_rows_total{model="wait",version="1"} 20'
    assert rows in lane  # the graph's calls went through that lane


def test_a_canary_of_a_graph(graph):
    graph.register("both", AVERAGE.replace(b"[1, 3]", b"[3, 1]"), read("contract.yaml"))
    graph.post("/api/models/both/rollout", {
        "model": "both", "to": 2,
        "steps": [{"do": "canary", "weight": "50%", "min": "1h"}, {"do": "promote"}]}, 201)
    seen = set()
    for row in range(200):
        reply = graph.predict("both", ROWS[row % 10])
        old, new = OLD[row % 10], NEW[row % 10]
        expected = {"1": (old + 3 * new) / 4, "2": (3 * old + new) / 4}[reply["version"]]
        assert scores(reply) == pytest.approx([expected], **CLOSE)
        seen.add(reply["version"])
    assert seen == {"1", "2"}


def test_what_a_graph_needs_is_collected_by_nobody(graph, server):
    """Version 1 of triage is nobody's alias. Only the file as it was uploaded goes."""
    for blob in server.data.glob("blobs/*/*"):
        os.utime(blob, (0, 0))
    assert graph.post("/api/gc", {}).json()["blobs"] == 1
    server.stop()
    api = Api(server.start().url)
    assert scores(api.predict("both", {"rows": ROWS[:3]})) == pytest.approx(
        [(a + 3 * b) / 4 for a, b in zip(OLD[:3], NEW[:3])], **CLOSE)


def test_a_bad_graph_is_refused_and_nothing_changes(graph):
    reply = graph.register("both", AVERAGE.replace(b"of: [old", b"of: [older"),
                           read("contract.yaml"), expect=400)
    assert "node 'both': there is no feature, input or node 'older'" in reply["detail"]
    reply = graph.register("both", AVERAGE.replace(b"version: 1", b"version: 9"),
                           read("contract.yaml"), expect=404)
    assert "node 'old': model 'triage' has no version" in reply["detail"]
    assert graph.get("/api/models/both").json()["latest_version"] == 1


PYTHON = "/usr/bin/python3"
HANGS = """
import time

def predict(rows):
    if rows[0][0] < 0:
        time.sleep(60)
    return [2 * row[0] for row in rows]
"""


@pytest.mark.skipif(not os.access(PYTHON, os.X_OK), reason=f"there is no {PYTHON}")
def test_a_python_model_that_hangs_has_its_fallback(server, tmp_path):
    """The rows that do not make it hang are its own; those that do are the fallback's."""
    api = Api(server.url)
    folder = tmp_path / "hangs"
    folder.mkdir()
    (folder / "model.py").write_text(HANGS)
    (folder / "slipway.yaml").write_text("features: [a]\n")
    server.cli("model", "register", "hangs", folder, "--owner", "me@example.org")
    api.register("safe", b"graph: 1\nnodes:\n  n: {model: hangs, version: 1, deadline: 2s, "
                         b"fallback: {value: -1}}\n")
    assert outputs(infer(api, "safe", a=[4.0, 5.0])) == {"n": [8.0, 10.0]}
    reply = infer(api, "safe", a=[-4.0])
    assert outputs(reply) == {"n": [-1.0]} and reply["parameters"]["fallback"] == "n:late"


def memory(api):
    """Bytes of models in memory, as the budget counts them."""
    text = api.get("/metrics").text
    return sum(float(value) for value in
               re.findall(r"^slipway_model_memory_bytes(?:{.*})? (\S+)$", text, re.M))


def test_models_of_a_graph_stay_in_memory_once(make_server):
    """What the graph holds stays when the model itself is let go, and is loaded once."""
    api = Api(make_server("--model-memory-bytes-max", "256M").url)
    register_triage(api)
    whole = memory(api)
    api.register("both", AVERAGE, read("contract.yaml"))
    with_graph = memory(api)
    assert whole < with_graph < 2 * whole
    api.post("/v2/repository/models/triage/unload", {})
    assert memory(api) == with_graph
    assert scores(api.predict("both", ROWS[0])) == pytest.approx(
        [(OLD[0] + 3 * NEW[0]) / 4], **CLOSE)
    api.post("/v2/repository/models/both/unload", {})
    assert memory(api) == 0
    assert scores(api.predict("both", ROWS[0])) == pytest.approx(
        [(OLD[0] + 3 * NEW[0]) / 4], **CLOSE)
    assert 0 < memory(api) <= with_graph
    assert scores(api.predict("triage", ROWS[0])) == pytest.approx([NEW[0]], **CLOSE)
