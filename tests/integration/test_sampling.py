"""Which requests of a model are kept: a share by id, errors, held and differing ones always.

What could break: a request that is kept at one time and not at another, so that its feedback finds
nothing; an error that is gone; a monitor that counts the sample; features that should not be there.
"""
import json
import time

import pytest

from api import Api
from server import PATIENCE
from test_replay import contract, linear, offer, replay

REQUESTS = 400


@pytest.fixture
def priced(server):
    """Version 1 says a + b, version 2 says a + b + a / 10."""
    server.api = Api(server.url)
    server.api.register("price", linear([1.0, 1.0], 0.0), contract())
    server.api.register("price", linear([1.1, 1.0], 0.0), contract() + b"# 2\n")
    server.api.set_alias("price", "champion", 1)
    return server


def set_records(api, text):
    api.call("PUT", "/api/models/price/serving", 200, data=f"records: {text}\n".encode())


def ask(api, i, expect=200, body=None, name="r"):
    return api.post("/predict/price", body or offer(i), expect,
                    headers={"X-Request-Id": f"{name}-{i}"})


def kept(api):
    """{request id: its first row} as exported."""
    lines = api.get("/api/models/price/predictions?limit=100000").text.splitlines()
    return {row["request_id"]: row for row in map(json.loads, reversed(lines))}


def test_a_share_is_chosen_by_id_and_monitors_count_all(priced, cli):
    """400 at 1/4: 100 expected, standard deviation 8.7, six are 52. The tenth lies within them."""
    api = priced.api
    set_records(api, "{share: 0.25, errors: share}")
    for i in range(REQUESTS):
        ask(api, i)
    quarter = kept(api)
    assert 48 < len(quarter) < 152 and {row["share"] for row in quarter.values()} == {0.25}
    assert f'slipway_prediction_rows_total{{model="price",version="1"}} {REQUESTS}\n' in \
        api.get("/metrics").text
    set_records(api, "{share: 0.1, errors: share}")
    for i in range(REQUESTS):
        ask(api, i)
    lines = api.get("/api/models/price/predictions?limit=100000").text.splitlines()
    tenth = {json.loads(line)["request_id"] for line in lines if '"share":0.1,' in line}
    assert 4 < len(tenth) < 76 and tenth < set(quarter)
    # What was kept is found by feedback, what was not is an orphan.
    one, other = next(iter(quarter)), next(f"r-{i}" for i in range(400) if f"r-{i}" not in quarter)
    for name, orphan in ((one, 0), (other, 1)):
        said = {"id": f"{name}-0", "label": 1.0, "at": "2026-01-01T00:00:00Z"}
        assert api.post("/feedback", said).json()["orphan"] == orphan
    quality = api.get("/api/models/price/quality").json()
    assert quality["kept"] == {"share": 0.1, "held_always": True, "differing_always": True}
    told = cli("quality", "price", "--server", priced.url).out
    assert "10 % of requests, and all held ones and that a shadow answers otherwise" in told
    assert api.get(f"/api/predictions/{one}-0").json()["request_id"] == one
    api.get(f"/api/predictions/{other}-0", 404)


def test_errors_and_held_requests_are_kept(priced):
    api = priced.api
    set_records(api, "{share: 0}")
    api.call("PUT", "/api/models/price/review", 200, data=b"blind: 0\nrules: [{name: dear, when: "
             b"a > 7, mode: hold, sla: 1h, on_expiry: reject}]")
    for i in range(10):
        ask(api, i, 202 if i > 7 else 200)
        ask(api, i, 422, {"a": "much"}, "bad")
    found = kept(api)
    assert set(found) == {"r-8", "r-9"} | {f"bad-{i}" for i in range(10)}
    assert {row["share"] for row in found.values()} == {1.0}
    set_records(api, "{share: 0, errors: share, held: share}")
    ask(api, 9, 202, name="late")
    ask(api, 9, 422, {"a": "much"}, "late-bad")
    assert set(kept(api)) == set(found)


def test_inputs_may_be_left_out(priced, cli):
    """Keys and segments stay: they are what outcomes are joined and cut by."""
    api = priced.api
    set_records(api, "{inputs: false}")
    for i in range(5):
        ask(api, i)
    for i, row in enumerate(kept(api).values()):
        assert set(row["inputs"]) == {"customer", "region"}
        assert row["inputs"]["region"] and row["prediction"]["value"] == 3.0 * (4 - i)
    report = replay(cli, priced, "price", "--to", 1, status=2)
    assert report["skipped"]["no_inputs"] == 5
    said = api.post("/feedback", {"key": "c-3", "model": "price", "label": 9.5,
                                  "at": "2026-01-01T00:00:00Z"})
    assert (said.json()["accepted"], said.json()["orphan"]) == (1, 0)


def test_what_a_shadow_answers_otherwise_is_kept(priced):
    """Row i: 3 i and 3.1 i. Row 0 is the same; all others differ by more than a thousandth."""
    api = priced.api
    set_records(api, "{share: 0}")
    rollout = api.post("/api/models/price/rollout", {
        "model": "price", "to": 2, "prove": [], "steps": [
            {"do": "shadow", "for": "1h"}, {"do": "promote"}]}, 201).json()["id"]
    end = time.monotonic() + 10 * PATIENCE
    while api.call("GET", f"/api/models/price/rollouts/{rollout}/shadow").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    for i in range(20):
        ask(api, i)
    api.post("/predict/price", {"rows": [offer(0), offer(1), offer(2)]}, 200,
             headers={"X-Request-Id": "three"})
    wanted = {f"r-{i}" for i in range(1, 20)} | {"three"}
    while set(kept(api)) != wanted:
        assert time.monotonic() < end, set(kept(api)) ^ wanted
        time.sleep(0.05)
    lines = api.get("/api/models/price/predictions").text.splitlines()
    assert sum(json.loads(line)["request_id"] == "three" for line in lines) == 3
    assert {json.loads(line)["share"] for line in lines} == {1.0}
