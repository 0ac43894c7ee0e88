"""Review under load, killed again and again: what was acknowledged is there, once.

What could break: a decision or a held answer that was acknowledged and is gone, one that is there
twice, a broken audit trail, a store that says it is locked to one of two hundred reviewers.
"""
import os
import random
import threading
import time
import uuid

import pytest
import requests

from api import Api, golden_rows, register_triage

pytestmark = [pytest.mark.torture, pytest.mark.timeout(3600)]
CYCLES = int(os.environ.get("REVIEW_TORTURE_CYCLES", "200"))
REVIEWERS = 200
THINK_SECONDS = 1  # from card to decision, on average: hurried people
ROWS, SCORES = golden_rows()
SURE = next(row for row, score in zip(ROWS, SCORES) if score > 0.99)
RULES = ("blind: 0\ngold: 0\nrules:\n"
         "  - {name: sure, when: score(malignant) > 0.99, mode: hold, sla: 1d, on_expiry: reject}\n"
         "  - {name: rest, when: random, sample: 100%}\n")


def listed(api, after):
    return api.get("/api/review/items", params={"after": after, "limit": 1000}).json()["items"]


class Desk:
    """One thread that asks, holds and decides until the server is gone; notes what it was told."""

    def __init__(self, url):
        self.api = Api(url)
        self.held, self.decided, self.pending = [], {}, None

    def step(self):
        reply = self.api.call("POST", "/predict/triage", 202, json=SURE).json()
        self.held.append(reply["predictions"][0]["id"])
        self.api.predict("triage", random.choice(ROWS[:3]), expect=None)
        item = self.api.post("/api/review/next", {}).json()["item"]
        if item:
            self.pending = (item["id"], str(uuid.uuid4()), random.choice(["benign", "malignant"]))
            self.decide()

    def decide(self):
        item, key, label = self.pending
        self.api.post(f"/api/review/items/{item}/decide", {"uuid": key, "label": label})
        self.decided[item] = label
        self.pending = None

    def run(self):
        try:
            if self.pending:
                self.decide()
            while True:
                self.step()
        except requests.ConnectionError:
            pass


def test_nothing_acknowledged_is_lost(make_server):
    server = make_server()
    api = Api(server.url)
    register_triage(api, 1)
    api.call("PUT", "/api/models/triage/review", 200, data=RULES.encode())
    desk = Desk(server.url)
    for _ in range(CYCLES):
        thread = threading.Thread(target=desk.run)
        thread.start()
        time.sleep(random.uniform(0.01, 0.15))
        server.kill()
        thread.join()
        server.start()
    if desk.pending:
        desk.decide()
    known = {}
    after = 0
    while page := listed(api, after):
        known |= {item["prediction_id"]: item for item in page}
        after = page[-1]["id"]
    lost = [name for name in desk.held if name not in known]
    by_id = {item["id"]: item for item in known.values()}
    changed = [item for item, label in desk.decided.items() if by_id[item]["label"] != label]
    assert lost == [] and changed == []
    for item in list(desk.decided)[:: max(1, len(desk.decided) // 100)]:
        assert len(api.get(f"/api/review/items/{item}").json()["decisions"]) == 1
    server.cli("doctor")
    print(f"\n{CYCLES} kills: {len(desk.held)} held, {len(desk.decided)} decided, none lost")


def test_two_hundred_reviewers_never_meet_a_lock(server):
    api = Api(server.url)
    register_triage(api, 1)
    api.call("PUT", "/api/models/triage/review", 200, data=RULES.encode())
    api.predict("triage", {"rows": (ROWS[:3] * 200)[:400]}, expect=None)
    for _ in range(4):
        api.predict("triage", {"rows": (ROWS[:3] * 100)[:200]}, expect=None)
    keys = [api.post("/api/keys", {"name": "boss", "scopes": "admin"}, 201).json()["key"]]
    boss = Api(server.url, keys[0])
    for n in range(REVIEWERS):
        made = boss.post("/api/keys", {"name": f"r{n}", "scopes": "review"}, 201)
        keys.append(made.json()["key"])
    failures, waits, done = [], [], []

    def review(key):
        me = Api(server.url, key)
        try:
            for _ in range(5):
                time.sleep(random.uniform(0, 2 * THINK_SECONDS))
                start = time.monotonic()
                item = me.post("/api/review/next", {}).json()["item"]
                waits.append(time.monotonic() - start)
                if item:
                    me.post(f"/api/review/items/{item['id']}/decide",
                            {"uuid": str(uuid.uuid4()), "label": "benign"})
                    done.append(item["id"])
        except Exception as error:  # noqa: BLE001 (any failure is the finding)
            failures.append(repr(error))

    threads = [threading.Thread(target=review, args=(key,)) for key in keys[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(done) == len(set(done)) > 100
    waits.sort()
    median, most = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(f"\n{REVIEWERS} reviewers: {len(done)} decisions, next card median "
          f"{1000 * median:.1f} ms, 99 % {1000 * most:.1f} ms")
