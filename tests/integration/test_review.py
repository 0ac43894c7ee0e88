"""Corners of the control path: what is told stays true after the next change, and nothing is cut.

What could break: a reply that is truncated JSON with status 200, a golden file that reads outside
the answer, a reason that is forgotten, a text that means less than it says.
"""
import json
import pathlib
import time

import requests

from api import Api, REQUEST, numbered, read, register_triage

CONTRACT = read("contract.yaml")


def damage(server, api, version):
    """Another byte in the middle of a version's artifact, the same size; returns its path."""
    digest = api.get(f"/api/models/triage/versions/{version}").json()["artifact"]
    path, = [p for p in pathlib.Path(server.data).rglob("*") if p.is_file()
             and digest[8:] in str(p).replace("/", "")]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def until_answering(api):
    """Up, though not ready: one of its champions cannot be loaded."""
    for _ in range(200):
        try:
            api.get("/livez")
            return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the server does not answer")


def test_a_golden_column_may_not_point_before_the_answer(api):
    for column in ("predict.-1", "predict.-100000000", "predict.4294967296"):
        golden = read("golden.csv").decode().replace("score", column, 1).encode()
        problem = api.register("triage", read("model.ubj"), CONTRACT, golden, expect=400)
        assert column in problem["detail"], problem


def test_why_a_champion_is_not_loaded_is_told_after_the_next_change_too(make_server):
    server = make_server()
    api = Api(server.url)
    register_triage(api)
    damage(server, api, 2)
    server.stop()
    server.start(wait=False)
    until_answering(api)
    before = api.get("/readyz", 503).text
    assert "triage not-ready version=2" in before and "not loaded yet" not in before
    api.call("PATCH", "/api/models/triage", 200, json={"owner": "other@example.org"})
    assert api.get("/readyz", 503).text == before


def test_a_version_that_could_not_be_loaded_is_unavailable_not_unknown(make_server):
    server = make_server()
    api = Api(server.url)
    register_triage(api)
    damage(server, api, 2)
    server.stop()
    server.start(wait=False)
    until_answering(api)
    for version in ("2", "champion"):
        reply = api.get(f"/v2/models/triage/versions/{version}", 503)
        assert "is not loaded" in reply.json()["error"]
    api.get("/v2/models/triage/versions/3", 404)


def test_a_damaged_previous_version_does_not_stop_a_local_prediction(make_server, cli):
    server = make_server()
    api = Api(server.url)
    register_triage(api)
    damage(server, api, 1)
    server.stop()
    result = cli("predict", "triage", "--data", str(server.data), "--json",
                 json.dumps(REQUEST), check=False)
    assert result.status == 0, result.err


def test_a_text_with_a_nul_is_refused_not_cut(api):
    body = {"owner": "lab@example.org", "artifact": api.upload(read("model.ubj")),
            "alias": "champion\0-not"}
    problem = api.post("/api/models/triage/versions", body, 400).json()
    assert "alias" in problem["detail"]
    api.get("/api/models/triage", 404)


def test_a_reply_that_does_not_fit_is_an_error_not_half_a_document(make_server):
    """150 notes of 4 kB fit the request's memory of 1 MB; each quote is two bytes of the reply."""
    server = make_server("--request-memory-bytes-max", "1M")
    api = Api(server.url)
    for number in range(1, 151):
        api.register("triage", read("model_v1.ubj"), numbered(CONTRACT, number), note='"' * 4096)
    problem = api.get("/api/models/triage/versions?limit=1000", 413).json()
    assert "the reply is larger" in problem["detail"]
    assert len(api.get("/api/models/triage/versions?limit=2").json()["versions"]) == 2
