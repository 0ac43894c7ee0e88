"""People deciding, on the real server: items of records, held answers, many reviewers, crashes.

What could break: an answer that goes out before its person has seen it, a decision that was
acknowledged and is gone, one that is made twice, two people on one item, a locked store.
"""
import csv
import hashlib
import json
import os
import pty
import re
import select
import threading
import time
import uuid

import pytest

from api import Api, golden_rows, register_triage
from server import PATIENCE, PREFIX, PROGRAM, program_env

ROWS, SCORES = golden_rows()
ALL = "blind: 0%\ngold: 0%\nrules: [{name: all, when: mean_radius > 0}]"
HOLD = ("blind: 0\nrules: [{name: sure, when: score(malignant) > 0.99, mode: hold, sla: 1h, "
        "on_expiry: %s}]")
SURE = next(row for row, score in zip(ROWS, SCORES) if score > 0.99)


def set_rules(api, text, model="triage"):
    api.call("PUT", f"/api/models/{model}/review", 200, data=text.encode())


def items(api, **query):
    return api.get("/api/review/items", params=query).json()["items"]


def wait_for(read, what):
    end = time.monotonic() + 10 * PATIENCE
    while time.monotonic() < end:
        got = read()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"no {what} in time")


def act(api, item, verb, expect=200, **body):
    body.setdefault("uuid", str(uuid.uuid4()))
    return api.post(f"/api/review/items/{item}/{verb}", body, expect).json()


@pytest.fixture
def queue(server):
    """A server with the example and an item for each of its answers."""
    api = Api(server.url)
    register_triage(api, 1)
    set_rules(api, ALL)
    server.api = api
    return server


def test_a_row_unlike_the_training_data_is_seen_by_a_person(queue):
    """A radius of 200 lies 51 deviations (3.62) above the mean (14.2): ood 1 / (30 x 1.6e-5)."""
    api = queue.api
    set_rules(api, "blind: 0\nrules: [{name: odd, when: ood > 1000}]")
    rows = [dict(ROWS[0]), dict(ROWS[1], mean_radius=200), dict(ROWS[2])]
    reply = api.predict("triage", {"rows": rows})
    found = wait_for(lambda: items(api), "item")
    assert [(i["prediction_id"], i["rule"]) for i in found] == \
        [(reply["predictions"][1]["id"], "odd")]


def test_answers_become_items_and_are_not_delayed(queue):
    api = queue.api
    reply = api.predict("triage", {"rows": ROWS[:3]})
    assert [p["label"] for p in reply["predictions"]]
    found = wait_for(lambda: len(items(api)) == 3 and items(api), "items")
    assert [i["prediction_id"] for i in found] == [p["id"] for p in reply["predictions"]]
    shown = api.get(f"/api/review/items/{found[0]['id']}").json()
    assert shown["inputs"]["mean_radius"] == pytest.approx(ROWS[0]["mean_radius"], rel=1e-6)
    assert shown["answer"]["label"] == reply["predictions"][0]["label"]
    assert shown["choices"] == ["benign", "malignant"]
    # Another request with rows of which none matches.
    set_rules(api, "rules: [{name: none, when: mean_radius < 0}]")
    api.predict("triage", ROWS[4])
    time.sleep(0.1)
    assert len(items(api)) == 3


def test_a_held_answer_waits_and_is_told_when_decided(server):
    api = Api(server.url)
    register_triage(api, 1)
    set_rules(api, HOLD % "default")
    reply = api.call("POST", "/predict/triage", 202, json=SURE).json()
    url = reply["status_url"]
    assert api.get(url).json()["state"] == "held"
    item = reply["predictions"][0]["item"]
    act(api, item, "decide", label="benign")
    told = api.get(url).json()
    assert (told["state"], told["predictions"][0]["label"]) == ("done", "benign")
    # What turns out later is joined to a held prediction as to any other.
    late = {"id": told["predictions"][0]["id"], "label": "malignant"}
    assert api.post("/feedback", late).json()["results"][0]["result"] == "corrected"
    fresh = api.call("POST", "/predict/triage", 202, json=SURE).json()["predictions"][0]["id"]
    told = api.post("/feedback", {"id": fresh, "label": "benign"}).json()["results"][0]
    assert told["result"] == "accepted"
    # The longest id there may be, with characters that a URL escapes.
    longest = "a/" * 64
    reply = api.call("POST", "/predict/triage", 202, json=SURE, headers={"X-Request-Id": longest})
    assert api.get(reply.json()["status_url"]).json()["id"] == longest
    # The Open Inference Protocol waits as well.
    body = {"inputs": [{"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}
                       for name, value in SURE.items()]}
    held = api.post("/v2/models/triage/infer", body, 202).json()
    assert held["predictions"][0]["state"] == "held"


def test_what_is_held_for_one_caller_is_told_to_no_other(server):
    """Ids are guessed, logged and passed on: they are no secrets."""
    open_api = Api(server.url)
    register_triage(open_api, 1)
    set_rules(open_api, HOLD % "default")
    made = {name: server.cli("key", "create", name, "--scope", scope, "--json").json["key"]
            for name, scope in (("shop", "predict"), ("bank", "predict"), ("graph", "observe"),
                                ("desk", "predict,review"))}
    shop, bank, graph, desk = (Api(server.url, made[name]) for name in made)
    named = {"X-Request-Id": "order-7"}
    url = shop.call("POST", "/predict/triage", 202, json=SURE, headers=named).json()["status_url"]
    assert shop.get(url).json()["state"] == "held"
    assert bank.get(url, 404).json()["detail"] == "no held prediction has the id 'order-7'"
    assert bank.get(url + "-0", 404).json()["code"] == "not_found"
    graph.get(url, 403)
    # The same words under the same id are no way in.
    assert "another caller" in bank.call("POST", "/predict/triage", 409, json=SURE,
                                         headers=named).json()["detail"]
    shop.call("POST", "/predict/triage", 202, json=SURE, headers=named)
    item = shop.get(url).json()["predictions"][0]["item"]
    act(desk, item, "decide", label="benign")
    for api in (shop, desk):
        assert api.get(url).json()["predictions"][0]["label"] == "benign"
    bank.get(url, 404)
    # Another key of the same name is another caller.
    server.cli("key", "revoke", "shop")
    again = server.cli("key", "create", "shop", "--scope", "predict", "--json").json["key"]
    Api(server.url, again).get(url, 404)
    assert desk.get(url).json()["state"] == "done"


def test_what_is_acknowledged_survives_a_kill(queue):
    api = queue.api
    set_rules(api, HOLD % "reject")
    held, decided = [], {}
    for n in range(12):
        reply = api.call("POST", "/predict/triage", 202, json=SURE).json()
        held.append(reply["predictions"][0]["id"])
        if n % 2:
            item, key = reply["predictions"][0]["item"], str(uuid.uuid4())
            act(api, item, "decide", label="malignant", uuid=key)
            decided[item] = key
    queue.kill()
    queue.start()
    assert [i["prediction_id"] for i in items(api)] == held
    for item, key in decided.items():
        shown = api.get(f"/api/review/items/{item}").json()
        assert shown["state"] == "decided"
        # The client did not hear the answer and sends it again.
        again = act(api, item, "decide", label="malignant", uuid=key)
        assert again["repeated"] is True
        assert len(api.get(f"/api/review/items/{item}").json()["decisions"]) == 1
    queue.cli("doctor")


def test_decisions_become_outcomes_and_a_data_set(queue, tmp_path):
    api = queue.api
    reply = api.predict("triage", {"rows": ROWS[:4]})
    wait_for(lambda: len(items(api)) == 4, "items")
    said = {}
    for item in items(api):
        answer = api.get(f"/api/review/items/{item['id']}").json()["answer"]["label"]
        other = "benign" if answer == "malignant" else "malignant"
        said[item["prediction_id"]] = other if item["id"] == 1 else answer
        act(api, item["id"], "decide", label=said[item["prediction_id"]])
    first = reply["predictions"][0]["id"]
    known = api.get(f"/api/outcomes/{first}").json()["outcomes"]
    assert {(o["name"], o["kind"], o["source"], o.get("label")) for o in known} == {
        ("label", "label", "review", said[first]), ("override", "event", "review", None)}
    act(api, 1, "decide", label=reply["predictions"][0]["label"])  # a correction
    known = api.get(f"/api/outcomes/{first}").json()["outcomes"]
    current = [o for o in known if o["name"] == "label" and o["state"] == "current"]
    assert [o["label"] for o in current] == [reply["predictions"][0]["label"]]

    out = tmp_path / "decided.csv"
    made = queue.cli("review", "export", "triage", "--out", out, "--json").json
    rows = list(csv.DictReader(out.open(newline="")))
    assert made["rows"] == len(rows) == 4 and made["version"] == 1
    assert hashlib.sha256(out.read_bytes()).hexdigest() == made["digest"]
    for row, sent in zip(rows, ROWS):
        assert float(row["mean_radius"]) == pytest.approx(sent["mean_radius"], rel=1e-6)
        assert row["weight"] == "1.0"
        head = hashlib.sha256(f"triage\n{row['prediction_id']}".encode()).digest()[:8]
        share = int.from_bytes(head, "big") / 2**64
        assert row["split"] == ("test" if share < 0.2 else "train")
    api.predict("triage", ROWS[5])
    wait_for(lambda: items(api, state="open"), "item")
    act(api, 5, "decide", label="benign")
    again = tmp_path / "again.csv"
    queue.cli("review", "export", "triage", "--out", again, "--version", 1)
    assert again.read_bytes() == out.read_bytes()
    lines = tmp_path / "decided.jsonl"
    queue.cli("review", "export", "triage", "--out", lines)
    assert [json.loads(line)["decisions"] for line in lines.open()] == [1] * 5
    stats = api.get("/api/review/stats", params={"model": "triage"}).json()["models"][0]
    assert stats["open"] == 0 and stats["decisions"] == 5
    text = api.get("/metrics").text
    assert 'slipway_review_decisions_total{model="triage",version="1"} 6' in text
    assert "slipway_review_open 0" in text
    assert "alpha" in queue.cli("review", "stats").out


def test_who_appeals_gets_a_person(queue):
    api = queue.api
    set_rules(api, "rules: [{name: asked, when: appeal, stakes: 7, reviewers: 2}]")
    first = api.predict("triage", {"rows": ROWS[:2]})["predictions"][1]["id"]
    item = api.post("/api/review/appeals", {"prediction_id": first, "reason": "she objects"},
                    201).json()
    assert (item["rule"], item["stakes"], item["reviewers"]) == ("asked", 7, 2)
    shown = api.get(f"/api/review/items/{item['id']}").json()
    assert shown["reason"] == "she objects" and shown["probability"] is None
    assert shown["inputs"]["mean_radius"] == pytest.approx(ROWS[1]["mean_radius"], rel=1e-6)
    again = queue.cli("review", "appeal", first, "--reason", "once more").out
    assert f"is review item {item['id']}" in again
    api.post("/api/review/appeals", {"prediction_id": "nothing-0", "reason": "x"}, 404)
    api.post("/api/review/appeals", {"prediction_id": first}, 400)
    api.post("/api/review/appeals", {"prediction_id": "x", "reason": "x"}, 400)


def test_twenty_reviewers_at_once_share_the_queue(queue):
    api = queue.api
    api.predict("triage", {"rows": (ROWS * 2)[:60]})
    wait_for(lambda: len(items(api, limit=1000)) == 60, "items")
    keys = [queue.cli("key", "create", f"r{n}", "--scope", "review").out.strip() for n in range(20)]
    admin = Api(queue.url, queue.cli("key", "create", "boss", "--scope", "admin").out.strip())
    seen, failures = [], []

    def review(key):
        me = Api(queue.url, key)
        try:
            while item := me.post("/api/review/next", {}).json()["item"]:
                act(me, item["id"], "decide", label="benign")
                seen.append(item["id"])
        except Exception as error:  # noqa: BLE001 (any failure is the finding)
            failures.append(repr(error))

    threads = [threading.Thread(target=review, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(seen) == len(set(seen)) == 60
    assert all(i["state"] == "decided" for i in items(admin, limit=1000))
    # A reviewer decides; he neither sets rules nor reads what was answered.
    me = Api(queue.url, keys[0])
    me.call("PUT", "/api/models/triage/review", 403, data=ALL.encode())
    me.get("/api/models/triage/predictions", 403)


def test_the_terminal_asks_card_by_card(queue):
    api = queue.api
    api.predict("triage", {"rows": ROWS[:3]})
    wait_for(lambda: len(items(api)) == 3, "items")
    pid, fd = pty.fork()
    if pid == 0:
        argv = [*PREFIX, PROGRAM, "review", "next", "triage", "--data", str(queue.data)]
        os.execvpe(argv[0], argv, program_env({"TERM": "dumb"}))
    text = ""

    def until(pattern):
        nonlocal text
        end = time.monotonic() + 10 * PATIENCE
        while not re.search(pattern, text):
            ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {text!r}"
            try:
                text += os.read(fd, 65536).decode()
            except OSError:
                break
        assert re.search(pattern, text), text
        text = re.split(pattern, text, maxsplit=1)[1]

    until(r"(?s)item 1 .*\n> ")
    os.write(fd, b"?\n")
    until(r"(?s)take your last decision back.*\n> ")
    os.write(fd, b"2\n")
    until(r"(?s)item 2 .*\n> ")
    os.write(fd, b"u\n")
    until(r"(?s)taken back: item 1.*> ")
    os.write(fd, b"s I know her\n")
    until(r"(?s)item 1 .*\n> ")
    os.write(fd, b"benign\n")
    until(r"(?s)item 3 .*\n> ")
    os.write(fd, b"q\n")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)
    assert [i["state"] for i in items(api)] == ["decided", "open", "open"]
    kinds = [d["kind"] for d in api.get("/api/review/items/1").json()["decisions"]]
    assert kinds == ["decide", "undo", "decide"]
