"""kill -9 with everything at work: predictions, feedback, reviews, a rollout that people move.

What could break: something that was acknowledged and is gone, a champion that does not fit the
rollout, an answer without its record, an audit trail that does not verify.
"""
import collections
import csv
import datetime
import json
import os
import random
import re
import threading
import time
import uuid

import pytest
import requests

from api import Api, read
from server import PATIENCE, ROOT

DEMO = ROOT / "examples/demo"
SEED = 11
KILLS = 6 if PATIENCE == 1 else 2
TORTURE_KILLS = int(os.environ.get("CRASH_TORTURE_KILLS", "200"))
CALLERS = 2
RECORD_SECONDS = 0.1 * PATIENCE  # what a crash may cost in records, while the disk keeps up
MEMORY = 40                      # of older facts that are looked at again after each kill
RULES = b"blind: 0\ngold: 0\nrules: [{name: slice, when: random, sample: 20%}]"
LABELS = ("benign", "malignant")
ACTIVE = ("running", "paused")
# What one person does with one rollout. With no rollout, a rollback takes the promotion back.
STORIES = (("start", "pause", "resume", "promote", "rollback"), ("start", "pause", "rollback"),
           ("start", "abort"), ("start", "pause", "resume", "rollback"), ("start", "promote"))

# revision: of the champion, which counts its moves.
Release = collections.namedtuple("Release", "rollout state champion revision")


def cases():
    with open(DEMO / "cases.csv", newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            yield {name: value if name == "case" else float(value) for name, value in row.items()}


ROWS = list(cases())


def set_up(api):
    contract = (DEMO / "contract.yaml").read_bytes()
    api.register("triage", read("model_v1.ubj"), contract, read("golden_v1.csv"), alias="champion")
    api.register("triage", read("model.ubj"), contract, read("golden.csv"))
    api.call("PUT", "/api/models/triage/review", 200, data=RULES)


def release(api):
    """What the server says now, when nobody else changes it."""
    champion = api.get("/api/models/triage/aliases/champion").json()
    rollouts = api.get("/api/models/triage/rollouts").json()["rollouts"]
    newest = max(rollouts, key=lambda one: one["id"]) if rollouts else {"id": 0, "state": ""}
    return Release(newest["id"], newest["state"], champion["version"], champion["revision"])


class Client(threading.Thread):
    """Does step() until the server is gone. What it notes was acknowledged."""

    def __init__(self, world):
        super().__init__()
        self.world, self.api, self.problem = world, Api(world.server.url), None

    def run(self):
        try:
            while not self.world.is_over:
                self.step()
        except requests.exceptions.RequestException:
            pass
        except Exception as error:  # noqa: BLE001 (any other failure is the finding)
            self.problem = repr(error)


class Caller(Client):
    """Each request has an id and a case of its own."""

    def step(self):
        name = f"c{next(self.world.numbers)}"
        row = dict(random.choice(ROWS), case=name)
        reply = self.api.predict("triage", row, headers={"X-Request-Id": name})
        self.world.answered.append((time.monotonic(), f"{name}-0", reply["version"], name))


class Observer(Client):
    """Says what came true, by the prediction's id or by the case."""

    def step(self):
        if not self.world.answered:
            time.sleep(0.01)
            return
        _, prediction, _, case = random.choice(self.world.answered[-200:])
        name, label = str(uuid.uuid4()), random.choice(LABELS)
        which = random.choice(({"id": prediction}, {"key": case, "model": "triage"}))
        reply = self.api.post("/feedback", {**which, "label": label, "feedback_id": name}).json()
        result = reply["results"][0]
        assert result["result"] != "refused", result
        if result["result"] == "orphan":
            self.world.orphans += 1
        else:
            assert result["prediction"] == prediction
            self.world.told.append((prediction, name, label, result["result"]))
        time.sleep(0.002)


class Reviewer(Client):
    """Decides; what was sent and not answered is sent again after the restart."""

    def step(self):
        if not self.world.deciding:
            item = self.api.post("/api/review/next", {"model": "triage"}).json()["item"]
            if not item:
                time.sleep(0.01)
                return
            self.world.deciding = (item["id"], str(uuid.uuid4()), random.choice(LABELS))
        item, name, label = self.world.deciding
        self.api.post(f"/api/review/items/{item}/decide", {"uuid": name, "label": label})
        self.world.decided.append((item, label))
        self.world.deciding = None


class Releaser(Client):
    """Moves the release along and knows where it must be after each step."""

    def __init__(self, world):
        super().__init__(world)
        self.story = []

    def step(self):
        if not self.story:
            is_active = self.world.release.state in ACTIVE
            self.story = ["rollback"] if is_active else list(random.choice(STORIES))
        verb, now = self.story.pop(0), self.world.release
        self.world.next_release = self.expected(verb, now)
        self.send(verb, now)
        self.world.release, self.world.next_release = self.world.next_release, None
        self.world.moves += 1

    @staticmethod
    def expected(verb, now):
        moved = now._replace(champion=3 - now.champion, revision=now.revision + 1)
        if verb == "rollback" and now.state not in ACTIVE:
            return moved
        return {"start": now._replace(rollout=now.rollout + 1, state="running"),
                "pause": now._replace(state="paused"), "resume": now._replace(state="running"),
                "promote": moved._replace(state="promoted"), "abort": now._replace(state="aborted"),
                "rollback": now._replace(state="aborted")}[verb]

    def send(self, verb, now):
        path = "/api/models/triage/rollout"
        if verb == "start":
            steps = [{"do": "canary", "weight": "50%", "min": "1h"}, {"do": "promote"}]
            self.api.post(path, {"model": "triage", "to": 3 - now.champion, "key": "case",
                                 "prove": [], "steps": steps}, 201)
        elif verb == "rollback":
            reply = self.api.rollback("triage")
            assert reply["durable"] is True
        else:
            self.api.post(f"{path}/{verb}", {})


class World:
    """What the server has acknowledged, over all of its lives."""

    def __init__(self, server):
        self.server, self.is_over = server, False
        self.numbers = iter(range(10 ** 9))
        self.answered, self.told, self.decided, self.oldest_lost = [], [], [], []
        self.deciding, self.next_release = None, None
        self.orphans = self.moves = self.predictions = self.lost = 0
        self.release = release(Api(server.url))

    def live(self, seconds):
        """One life: everybody works until kill -9."""
        self.answered = []
        self.began = datetime.datetime.now(datetime.timezone.utc)
        clients = [kind(self) for kind in (*[Caller] * CALLERS, Observer, Reviewer, Releaser)]
        for client in clients:
            client.start()
        time.sleep(seconds)
        self.killed = time.monotonic()
        self.server.kill()
        for client in clients:
            client.join()
        assert [client.problem for client in clients] == [None] * len(clients)
        self.server.start()

    def check(self, api):
        self.check_release(api)
        self.check_records(api)
        for told in self.told[-MEMORY:] + random.sample(self.told, min(MEMORY, len(self.told))):
            check_told(api, *told)
        old = random.sample(self.decided, min(MEMORY, len(self.decided)))
        for decided in self.decided[-MEMORY:] + old:
            check_decided(api, *decided)
        assert json.loads(self.server.cli("doctor", "--json").out)["healthy"] is True

    def check_release(self, api):
        """Old or new, all of it: rollout, champion, the alias's history, who answers."""
        now = release(api)
        assert now in (self.release, self.next_release)
        self.release, self.next_release = now, None
        rollout = api.get("/api/models/triage/rollout").json() if now.rollout else {}
        is_active = now.state in ACTIVE
        assert not is_active or (rollout["from"], rollout["to"]) == (now.champion, 3 - now.champion)
        change = api.get("/api/models/triage/history?limit=1").json()["changes"][0]
        assert change["to"] == now.champion
        answering = {api.predict("triage", dict(ROWS[i], case=f"k{i}"))["version"]
                     for i in range(30)}
        assert answering == ({"1", "2"} if is_active else {str(now.champion)})

    def check_records(self, api):
        """Answers are on the disk but for the last moment, by the version that gave them."""
        kept, cursor = {}, None
        while True:
            reply = api.get("/api/models/triage/predictions", params={
                "from": self.began.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "limit": 10000,
                **({"cursor": cursor} if cursor else {})})
            for record in map(json.loads, reply.text.splitlines()):
                kept[record["id"]] = str(record["version"])
            cursor = reply.headers.get("X-Next-Cursor")
            if not cursor:
                break
        lost = {name: self.killed - at for at, name, _, _ in self.answered if name not in kept}
        assert all(kept[name] == version for _, name, version, _ in self.answered
                   if name not in lost)
        self.oldest_lost.append(max(lost.values(), default=0))
        # A caller whose answer was on its way does not know of it.
        counted = int(re.search(r'records_dropped_total\{reason="crash"\} (\d+)',
                                api.get("/metrics").text)[1])
        assert len(lost) <= counted <= len(lost) + CALLERS
        self.predictions += len(self.answered)
        self.lost += len(lost)

    def check_everything(self, api):
        for told in self.told:
            check_told(api, *told)
        for decided in self.decided:
            check_decided(api, *decided)


def check_told(api, prediction, name, label, result):
    outcomes = api.get(f"/api/outcomes/{prediction}").json()["outcomes"]
    same = [one for one in outcomes if one.get("label") == label]
    assert same if result == "duplicate" else name in [one.get("feedback_id") for one in same], \
        f"{result} feedback {name} about {prediction} is gone: {outcomes}"


def check_decided(api, item, label):
    """Once, and known about the prediction too."""
    card = api.get(f"/api/review/items/{item}").json()
    assert (card["state"], card["label"]) == ("decided", label)
    assert len(card["decisions"]) == 1
    outcomes = api.get(f"/api/outcomes/{card['prediction_id']}").json()["outcomes"]
    assert label in [one.get("label") for one in outcomes], f"item {item}: {outcomes}"


def crash(server, kills):
    chance = random.Random(SEED)
    set_up(Api(server.url))
    world = World(server)
    for _ in range(kills):
        world.live(chance.uniform(0.1, 0.9) * PATIENCE)
        world.check(Api(server.url))
    world.check_everything(Api(server.url))
    ages = sorted(world.oldest_lost)
    late = sum(age > RECORD_SECONDS for age in ages)
    print(f"\n{kills} kills: {world.predictions} predictions, {world.lost} records of the last "
          f"moment lost and counted (the oldest: median {1000 * ages[kills // 2]:.0f} ms, most "
          f"{1000 * ages[-1]:.0f} ms, {late} beyond {1000 * RECORD_SECONDS:.0f} ms), "
          f"{len(world.told)} outcomes, {world.orphans} orphans, {len(world.decided)} decisions, "
          f"{world.moves} moves of a release")
    assert ages[kills // 2] < RECORD_SECONDS  # one life may have met a disk that others keep busy
    assert world.told and world.decided and world.moves > kills and world.predictions > 10 * kills


def test_kill_9_with_everything_at_work_loses_nothing_acknowledged(server):
    crash(server, KILLS)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_lose_nothing_acknowledged(server):
    crash(server, TORTURE_KILLS)
