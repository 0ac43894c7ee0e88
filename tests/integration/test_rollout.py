"""Rollouts with the real server: traffic is shared, guards decide, people decide.

What could break: a canary that is worse keeps its traffic; a key flips between versions; a restart
or a crash forgets where it was; a rollback waits for something.
"""
import json
import sqlite3
import threading
import time

import pytest

from api import Api
from server import ROOT

CASES = ROOT / "tests/cases"
ROW = {"customer": "C0001", "tenure": 5, "calls": 10, "plan": "basic"}
DEADLINE_SECONDS = 30


def register_churn(api, **changes):
    """Versions 1 (the champion) and 2, whose contract may differ."""
    model, contract = (CASES / "churn.json").read_bytes(), (CASES / "churn.yaml").read_bytes()
    assert api.register("churn", model, contract)["version"] == 1
    for before, after in changes.items():
        assert before.encode() in contract
        contract = contract.replace(before.encode(), after.encode())
    assert api.register("churn", model, contract + b"# 2\n")["version"] == 2


def start(api, expect=201, **fields):
    body = {"model": "churn", "to": 2, "prove": [], **fields}
    return api.post("/api/models/churn/rollout", body, expect).json()


def canary(weight="50%", **fields):
    return {"do": "canary", "weight": weight, "min": "1h", **fields}


PROMOTE = {"do": "promote"}


def status(api):
    return api.get("/api/models/churn/rollout").json()


def ask(api, key, expect=200, **headers):
    headers["X-Routing-Key"] = key
    return api.predict("churn", ROW, expect, headers=headers)["version"]


def wait_until(condition):
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_keys_stay_where_they_are_and_the_canary_only_grows(api):
    register_churn(api)
    start(api, steps=[canary("20%", min="0s", min_keys=0), {"do": "approve", "not_author": False},
                      canary("60%"), PROMOTE])
    keys = [f"customer-{i}" for i in range(100)]
    first = {key: ask(api, key) for key in keys}
    assert first == {key: ask(api, key) for key in keys}
    # 100 keys at 20 %: 20 +- 4 * sqrt(100 * 0.2 * 0.8)
    early = {key for key in keys if first[key] == "2"}
    assert 4 <= len(early) <= 36
    wait_until(lambda: status(api)["state"] == "awaiting approval")
    api.post("/api/models/churn/rollout/approve", {"reason": "looks good"})
    assert status(api)["weight"] == 0.6
    late = {key for key in keys if ask(api, key) == "2"}
    assert early <= late and 40 <= len(late) <= 80
    # A version in the address is no part of the rollout.
    assert api.post("/predict/churn/versions/1", ROW).json()["version"] == "1"
    assert ask(api, "customer-1", **{"X-Request-Id": "seen"}) in "12"


def test_the_key_may_be_a_field_of_the_row(api):
    register_churn(api)
    start(api, key="customer", steps=[canary(), PROMOTE])
    for number in range(20):
        row = dict(ROW, customer=f"C{number:04}")
        seen = {api.predict("churn", row)["version"] for _ in range(4)}
        assert len(seen) == 1, "one customer saw two versions"


def test_a_canary_with_invalid_answers_is_rolled_back_by_itself(api):
    """Version 2 quarantines calls above 5: every row it answers is suspect, none of version 1's."""
    register_churn(api, **{"minimum: 0, maximum: 50": "minimum: 0, maximum: 5"})
    start(api, guards=[{"event": "invalid_output"}], steps=[canary("20%"), PROMOTE])
    wait_until(lambda: "evidence" in status(api))
    for number in range(40):
        ask(api, f"early-{number}")  # the engine has the rollout, and some keys
    number = 0
    while status(api)["state"] == "running":
        ask(api, f"late-{number}")
        number += 1
        assert number < 2000, "nobody noticed"
    rollout = status(api)
    assert rollout["state"] == "rolled back" and rollout["weight"] == 0
    assert "invalid_output" in rollout["reason"]
    assert {ask(api, f"after-{i}") for i in range(30)} == {"1"}
    explained = api.get(f"/api/models/churn/rollouts/{rollout['id']}/explain").json()
    decision = explained["decisions"][-1]
    check = decision["evidence"]["checks"][0]
    assert decision["action"] == "rollback" and decision["actor"] == "slipway:rollout"
    assert check["verdict"] == "fail" and check["e"] >= check["e_needed"]
    assert check["counted"]["canary"] >= 5 and check["counted"]["stable"] == 0


def test_a_canary_that_turns_callers_away_is_rolled_back_by_default(api):
    """Version 2's pattern knows one customer, and says so; no guard is named in the file."""
    register_churn(api, **{"^C[0-9]{4}$": "^C9999$", "status: active": "status: active\n"
                           "customProperties: [{property: slipwayCompatibility, value: none}]"})
    start(api, steps=[canary("50%"), PROMOTE])
    wait_until(lambda: "evidence" in status(api))
    number = 0
    while status(api)["state"] == "running":
        api.call("POST", "/predict/churn", json=ROW,
                 headers={"X-Routing-Key": f"customer-{number}"})
        number += 1
        assert number < 2000, "nobody noticed"
    rollout = status(api)
    assert rollout["state"] == "rolled back" and "refused" in rollout["reason"], rollout
    assert number >= 5 and {ask(api, f"after-{i}") for i in range(30)} == {"1"}


def test_a_label_corrected_to_a_wrong_answer_is_an_event_once(api):
    """What was said first decides nothing; nor does a second correction of the same prediction."""
    register_churn(api)
    start(api, guards=[{"event": {"outcome": "label"}}], steps=[canary("50%"), PROMOTE])
    wait_until(lambda: "evidence" in status(api))
    reply = api.predict("churn", ROW, headers={"X-Routing-Key": "k"})["predictions"][0]
    right, wrong = reply["label"], "leaves" if reply["label"] == "stays" else "stays"

    def events():
        counted = status(api)["evidence"]["checks"][0]["counted"]
        return counted["canary"] + counted["stable"]

    for hour, (label, expected) in enumerate([(right, 0), (wrong, 1), (right, 1), (wrong, 1)]):
        at = f"2026-01-01T{hour:02}:00:00Z"
        done = api.post("/feedback", {"id": reply["id"], "label": label, "at": at}).json()
        assert done["results"][0]["result"] == ("corrected" if hour else "accepted")
        wait_until(lambda: events() >= expected)
        assert events() == expected


def test_a_promotion_moves_the_champion_and_can_be_taken_back(api):
    register_churn(api)
    start(api, steps=[canary(min="0s", min_keys=10), PROMOTE])
    for number in range(60):
        ask(api, f"c{number}")
    wait_until(lambda: status(api)["state"] == "promoted")
    assert api.champion("churn") == 2
    assert {ask(api, f"c{i}") for i in range(20)} == {"2"}
    assert api.rollback("churn")["to"] == 1
    assert ask(api, "c1") == "1"


@pytest.mark.parametrize("state", ["running", "paused", "awaiting approval"])
def test_a_rollback_ends_the_rollout_in_any_state(api, state):
    register_churn(api)
    steps = [canary(min="0s", min_keys=0) if state == "awaiting approval" else canary(),
             {"do": "approve"}, canary("60%"), PROMOTE]
    rollout = start(api, steps=steps)
    if state == "paused":
        api.post("/api/models/churn/rollout/pause", {})
    wait_until(lambda: status(api)["state"] == state)
    reply = api.rollback("churn")
    assert reply["rollout"] == rollout["id"] and (reply["from"], reply["to"]) == (2, 1)
    assert reply["durable"] is True
    assert status(api)["state"] == "aborted"
    assert {ask(api, f"c{i}") for i in range(20)} == {"1"}
    assert api.champion("churn") == 1


def test_pause_stops_the_steps_and_resume_goes_on(api):
    register_churn(api)
    start(api, steps=[canary(min="0s", min_keys=5), PROMOTE])
    paused = api.post("/api/models/churn/rollout/pause", {"reason": "freeze"}).json()
    assert paused["state"] == "paused"
    for number in range(40):
        ask(api, f"c{number}")
    wait_until(lambda: status(api)["evidence"]["keys"]["canary"] >= 5)
    time.sleep(1.2)  # a tick passes
    assert status(api)["state"] == "paused"
    assert api.post("/api/models/churn/rollout/pause", {}, 409).json()["code"] == "conflict"
    api.post("/api/models/churn/rollout/resume", {})
    wait_until(lambda: status(api)["state"] == "promoted")


def test_what_cannot_be_rolled_out_is_refused_and_changes_nothing(api):
    register_churn(api)
    model = (CASES / "churn.json").read_bytes()
    contract = (CASES / "churn.yaml").read_bytes()
    broken = contract.replace(b"unit, value: mo", b"unit, value: wk")
    assert api.register("churn", model, broken)["version"] == 3

    def refused(expect, said, **fields):
        problem = start(api, expect, **fields)
        assert said in problem["detail"], problem

    refused(409, "cannot answer the callers", to=3)
    refused(404, "no version or alias '9'", to=9)
    refused(409, "is the champion of 'churn' already", to=1)
    refused(409, "version 2 is not the champion", **{"from": 2}, to=3)
    refused(400, "does not grow", steps=[canary("50%"), canary("10%"), PROMOTE])
    refused(400, "the file is about model 'other'", model="other")
    assert api.get("/api/models/churn/rollouts").json()["rollouts"] == []
    start(api, steps=[canary(), PROMOTE])
    refused(409, "has rollout 1 to version 2")
    assert "champion is not moved" in api.set_alias("churn", "champion", 2, 409).json()["detail"]
    api.post("/api/models/churn/rollout/abort", {"reason": "enough"})
    start(api, steps=[canary(), PROMOTE])


def test_a_log_says_what_would_have_happened(tmp_path, cli):
    """10,000 requests of as many clients in 1000 s; every 100th failed: 1 %."""
    log, file = tmp_path / "log.jsonl", tmp_path / "rollout.yaml"
    with log.open("w") as out:
        for i in range(10000):
            seconds = i // 10
            print(json.dumps({"request_id": f"r{i}", "row": 0, "model": "churn", "latency_us": 90,
                              "at": f"2026-01-31T{seconds // 3600:02}:{seconds // 60 % 60:02}:"
                                    f"{seconds % 60:02}.{i % 10}00000Z",
                              "status": 503 if i % 100 == 50 else 200, "quality": "ok",
                              "inputs": {"customer": f"C{i}"}, "prediction": None}), file=out)
    file.write_text("model: churn\nto: 2\nkey: customer\nprove: []\nsteps:\n"
                    "  - {do: canary, weight: 20%, min: 10m}\n  - {do: promote}\n")
    as_good = cli("rollout", "simulate", file, "--log", log, "--json").json
    assert [t["state"] for t in as_good["transitions"]] == ["running", "promoted"]
    assert as_good["transitions"][1]["at"].startswith("2026-01-31T00:10:00")
    worse = cli("rollout", "simulate", file, "--log", log, "--worse", "20", "--json").json
    assert [t["state"] for t in worse["transitions"]] == ["running", "rolled back"]
    assert "line 1" in cli("rollout", "simulate", file, "--log", file, check=False).err
    text = cli("rollout", "simulate", file, "--log", log, "--worse", "20").out
    assert "a version 20x worse" in text and "rolled back" in text


def test_a_restart_in_the_middle_goes_on_with_its_evidence(make_server):
    server = make_server()
    api = Api(server.url)
    register_churn(api)
    rollout = start(api, steps=[canary(), PROMOTE])
    before = {f"c{i}": ask(api, f"c{i}") for i in range(40)}
    wait_until(lambda: sum(status(api)["evidence"]["requests"].values()) == 40)
    left = server.data / "rollout-99.evidence"  # as by a crash right after its end
    left.write_bytes(b"")
    server.restart()
    assert not left.exists() and (server.data / "rollout-1.evidence").exists()
    assert {key: ask(api, key) for key in before} == before
    wait_until(lambda: "evidence" in status(api))
    wait_until(lambda: sum(status(api)["evidence"]["requests"].values()) >= 80)
    again = status(api)
    assert again["id"] == rollout["id"] and again["salt"] == rollout["salt"]
    assert sum(again["evidence"]["keys"].values()) == 40


def test_a_rollout_that_cannot_be_read_takes_no_model_along(make_server):
    """A newer program wrote a state that this one does not know, and left."""
    server = make_server()
    api = Api(server.url)
    register_churn(api)
    api.set_alias("churn", "champion", 2)
    api.set_alias("churn", "champion", 1)
    start(api, steps=[canary("50%"), PROMOTE])
    server.stop()
    with sqlite3.connect(server.data / "slipway.db") as store:
        store.execute("UPDATE rollouts SET state = 'levitating'")
    server.start()
    assert {ask(api, f"k{i}") for i in range(30)} == {"1"}
    assert "rollout 1 of model 'churn' has the state 'levitating'" in server.log_text()
    assert "levitating" in api.get("/api/models/churn/rollout", 501).json()["detail"]
    assert api.rollback("churn")["to"] == 2
    assert ask(api, "after") == "2"


def test_a_shadow_goes_on_counting_after_a_restart(make_server):
    server = make_server()
    api = Api(server.url)
    register_churn(api)
    rollout = start(api, steps=[{"do": "shadow", "for": "1h"}, canary(), PROMOTE])["id"]

    def compared():
        path = f"/api/models/churn/rollouts/{rollout}/shadow"
        reply = api.call("GET", path)
        return reply.json() if reply.status_code == 200 else {"rows": -1}

    wait_until(lambda: compared()["rows"] == 0)
    for i in range(20):
        ask(api, f"c{i}")
    wait_until(lambda: compared()["rows"] == 20)
    since = compared()["since"]
    server.restart()
    wait_until(lambda: compared()["rows"] == 20)
    ask(api, "c1")
    wait_until(lambda: compared()["rows"] == 21)
    assert compared()["since"] == since
    api.post("/api/models/churn/rollout/abort", {})
    wait_until(lambda: not list(server.data.glob("rollout-*.shadow")))


def negated(model):
    """The same trees with every leaf's sign turned: wherever churn says one class, it the other."""
    model = json.loads(model)
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [-value if left == -1 else value for value, left in
                                    zip(tree["split_conditions"], tree["left_children"])]
    return json.dumps(model).encode()


def test_labels_tell_how_good_a_shadow_would_have_been(make_server):
    server = make_server()
    api = Api(server.url)
    model, contract = (CASES / "churn.json").read_bytes(), (CASES / "churn.yaml").read_bytes()
    api.register("churn", model, contract)
    api.register("churn", negated(model), contract + b"# 2\n")
    rows = [{**ROW, "customer": f"C{i:04}", "tenure": 5 + 40 * (i % 2)} for i in range(10)]
    before = api.predict("churn", {"rows": rows})["predictions"]
    rollout = start(api, steps=[{"do": "shadow", "for": "1h"}, canary(), PROMOTE])["id"]
    wait_until(lambda: api.call("GET", f"/api/models/churn/rollouts/{rollout}/shadow").ok)
    answers = api.predict("churn", {"rows": rows})["predictions"]
    truth = [answer["label"] for answer in answers[:7]] + ["stays", "leaves", "stays"]
    for label, *both in zip(truth, answers, before):
        for answer in both:
            said = api.post("/feedback", {"id": answer["id"], "label": label}).json()
            assert said["accepted"] == 1
    sections = {(s["version"], s["is_shadow"]): s for s in
                api.get("/api/models/churn/quality").json()["versions"]}
    assert set(sections) == {(1, False), (2, True)}
    stable, shadow = sections[1, False], sections[2, True]
    assert (stable["labelled"], shadow["labelled"]) == (20, 10)  # of before, nobody asked it
    accuracy = {key: next(m["value"] for m in s["metrics"] if m["name"] == "accuracy")
                for key, s in sections.items()}
    assert accuracy[1, False] + accuracy[2, True] == pytest.approx(1)
    wrong = sum(label != answer["label"] for label, answer in zip(truth, answers))
    assert accuracy[2, True] == pytest.approx(wrong / 10)


def test_kill_9_leaves_old_or_new(make_server):
    """What was acknowledged before the kill is there after it; what answers fits the state."""
    server = make_server()
    api = Api(server.url)
    register_churn(api)
    for turn in range(4):
        acknowledged = []

        def change():
            try:
                for _ in range(1000):
                    start(api, steps=[canary(), PROMOTE])
                    acknowledged.append("running")
                    api.post("/api/models/churn/rollout/pause", {})
                    acknowledged.append("paused")
                    api.rollback("churn")
                    acknowledged.append("aborted")
            except Exception:  # the server is gone
                pass

        thread = threading.Thread(target=change)
        thread.start()
        time.sleep(0.15 + 0.05 * turn)
        server.kill()
        thread.join()
        server.start()
        api = Api(server.url)
        following = {"running": "paused", "paused": "aborted", "aborted": "running"}
        now = status(api)["state"] if acknowledged else None
        if acknowledged:
            assert now in (acknowledged[-1], following[acknowledged[-1]])
        versions = {ask(api, f"c{i}") for i in range(40)}
        assert versions == ({"1", "2"} if now in ("running", "paused") else {"1"})
        if now in ("running", "paused"):
            api.rollback("churn")
    assert json.loads(server.cli("doctor", "--json").out)["healthy"] is True
