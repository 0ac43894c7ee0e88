"""Live rows against the baseline on the real server: a unit bug is named, clean rows say nothing.

What could break: a monitor that cries at nothing, sleeps through a unit bug, forgets at a restart.
"""
import random
import re
import time

import pytest
import yaml

from api import FIELDS, Api, read, register_triage


def profiles():
    """{feature: (edges, counts)} of the example's contract."""
    found = {}
    for field in yaml.safe_load(read("contract.yaml"))["schema"][0]["properties"]:
        custom = {p["property"]: p["value"] for p in field["customProperties"]}
        if field["name"] in FIELDS:
            profile = custom["slipwayReference"]
            found[field["name"]] = (profile["edges"], profile["counts"])
    return found


PROFILES = profiles()


def training_like(rand, factors):
    """A row with each value drawn from the bins of the training rows, times its factor."""
    row = {}
    for name, (edges, counts) in PROFILES.items():
        bin_ = rand.choices(range(len(counts)), counts)[0]
        low = edges[bin_ - 1] if bin_ else edges[0] * 0.95
        high = edges[bin_] if bin_ < len(edges) else edges[-1] * 1.05
        row[name] = (high - (high - low) * rand.random()) * factors.get(name, 1)
    return row


def send(api, count, seed, **factors):
    rand = random.Random(seed)
    rows = [training_like(rand, factors) for _ in range(count)]
    for start in range(0, count, 300):
        api.predict("triage", {"rows": rows[start:start + 300]})


def monitor(api):
    found = api.get("/api/models/triage/monitor").json()["monitors"]
    return found[0] if found else {"windows_total": 0}


def wait_for_window(api, number):
    """The monitor when its window number `number` is closed."""
    for _ in range(200):
        found = monitor(api)
        if found["windows_total"] >= number:
            return found
        time.sleep(0.05)
    pytest.fail(f"window {number} was not judged")


def wait_for_alerts(api):
    for _ in range(200):
        alerts = api.get("/api/alerts").json()["alerts"]
        if alerts:
            return alerts
        time.sleep(0.05)
    return pytest.fail("no alert was raised")


def by_feature(found):
    return {feature["feature"]: feature for feature in found["features"]}


def test_a_unit_bug_is_named_and_clean_rows_say_nothing(make_server, cli):
    server = make_server("--monitor-window-rows", "600", "--monitor-window-ms", "100ms")
    api = Api(server.url)
    register_triage(api, 1)
    send(api, 600, 1)
    clean = wait_for_window(api, 1)
    assert clean["verdict"] == "ok", clean
    assert clean["skew"]["verdict"] == "ok"
    assert {f["verdict"] for f in clean["features"] if not f["is_answer"]} == {"ok"}
    assert by_feature(clean)["score"]["reason"].startswith("the baseline is still learnt")
    assert "5000 rows" in by_feature(clean)["mean_radius"]["long_run"]["refused"]
    assert clean["windows"][0]["traffic"]["requests"] == 2

    send(api, 600, 2, mean_radius=0.1)
    found = wait_for_window(api, 2)
    assert found["verdict"] == "alert"
    radius = by_feature(found)["mean_radius"]
    assert re.fullmatch(r"100 % of rows x0\.1 of the baseline since \d\d:\d\d; unit change\? .*",
                        radius["cause"]), radius
    assert [f["feature"] for f in found["features"] if f["verdict"] in ("warn", "alert")] == \
        ["mean_radius"]
    alert, = wait_for_alerts(api)
    assert alert["key"] == "drift/triage/1/mean_radius" and alert["cause"] == radius["cause"]
    text = api.get("/metrics").text
    assert re.search(r'slipway_drift_verdict\{model="triage",version="1",arm=""\} 2\n', text)

    shown = cli("monitor", "triage", "--server", server.url, check=False)
    assert shown.status == 1 and "mean_radius  alert    drift" in shown.out
    assert "29 features are ok" in shown.out

    server.stop()
    server.start()
    for _ in range(100):
        again = monitor(api)
        if again["windows_total"] >= 2:
            break
        time.sleep(0.05)
    assert [w["verdict"] for w in again["windows"]] == ["alert", "ok"]


def test_each_arm_of_a_rollout_has_windows_of_its_own(make_server):
    server = make_server("--monitor-window-rows", "100", "--monitor-window-ms", "100ms")
    api = Api(server.url)
    register_triage(api, 2)
    api.post("/api/models/triage/rollout",
             {"model": "triage", "to": 1, "prove": [],
              "steps": [{"do": "canary", "weight": "50%", "min": "1h"}, {"do": "promote"}]}, 201)
    rand = random.Random(3)
    for key in range(12):
        rows = [training_like(rand, {}) for _ in range(60)]
        api.predict("triage", {"rows": rows}, headers={"X-Routing-Key": f"k{key}"})
    for _ in range(200):
        found = {m["arm"]: m for m in api.get("/api/models/triage/monitor").json()["monitors"]}
        if sum(m["windows_total"] > 0 for m in found.values()) == 2:
            break
        time.sleep(0.05)
    assert found["canary"]["version"] == 1 and found["stable"]["version"] == 2
    total = sum(m["rows_total"] for m in found.values())
    assert total == 720
    for arm in found.values():
        assert 0 < arm["windows"][-1]["traffic"]["requests"] < 12  # of its own version only
