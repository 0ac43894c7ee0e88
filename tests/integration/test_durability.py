"""What was acknowledged is there: after a restart, a drain, kill -9, a restore, on a full disk.

What could break: an acknowledged change that is lost, half of one that is there, a server that
needs the disk in order to answer.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests

from api import REQUEST, Api, golden_rows, numbered, read, register_triage
from server import PATIENCE, PREFIX, Server, free_port
from test_rollout import ROW, register_churn

KILLS = 6
SEED = 7


def state(api):
    """Everything a restart must bring back."""
    return {
        "models": api.get("/api/models").json(),
        "versions": api.get("/api/models/triage/versions").json(),
        "history": api.get("/api/models/triage/history").json(),
        "audit": api.get("/api/audit").json(),
        "answer": api.predict("triage", REQUEST)["predictions"][0]["probabilities"],
    }


def healthy(api):
    report = api.get("/api/doctor").json()
    assert report["healthy"] is True, report
    return report


# ---- restart ----

def test_everything_survives_a_restart_and_a_rollback_stays(server):
    api = Api(server.url)
    register_triage(api, 3)
    api.rollback("triage")
    api.set_alias("triage", "challenger", 1)
    before = state(api)
    server.restart()
    api = Api(server.url)
    assert state(api) == before
    assert api.serving() == "2"
    assert api.rollback("triage")["to"] == 1
    healthy(api)


def test_only_one_process_has_the_folder(make_server, server):
    second = make_server(start=False, data=server.data)
    second.log = server.data.parent / "second.log"
    second.start(wait=False)
    assert second.process.wait(20 * PATIENCE) != 0
    second.process = None
    assert f"in use by process {server.pid}" in second.log_text()
    assert server.get("/livez")[0] == 200


# ---- drain ----

def half_a_request(port):
    """A connection that has sent a head and half a body, and the other half."""
    body = b'{"rows": []}'
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.sendall(b"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n"
                 + body[:6])
    return sock, body[6:]


def test_sigterm_finishes_what_runs_and_takes_nothing_new(server):
    api = Api(server.url)
    register_triage(api, 1)
    sock, rest = half_a_request(server.port)
    idle = socket.create_connection(("127.0.0.1", server.port), 10)
    time.sleep(0.2 * PATIENCE)
    server.process.terminate()
    time.sleep(0.3 * PATIENCE)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    assert idle.recv(1) == b""
    sock.sendall(rest)
    answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")  # rows is empty: answered, not cut off
    assert b"connection: close" in answer.lower()
    sock.close(), idle.close()
    assert server.process.wait(20 * PATIENCE) == 0
    server.process = None


def test_sigterm_under_load_cuts_no_answer_off(server):
    """A refused or closed connection is fine, half an answer or a 5xx other than 503 is not."""
    register_triage(Api(server.url), 1)
    wrong, answers = [], [0]

    def load():
        api = Api(server.url)
        while True:
            try:
                reply = api.call("POST", "/predict/triage", json={"rows": [REQUEST] * 20})
            except requests.exceptions.ChunkedEncodingError as error:
                wrong.append(repr(error))
                return
            except requests.exceptions.ConnectionError:
                return
            if reply.status_code not in (200, 503):
                wrong.append(reply.text)
            answers[0] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    start = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - start < 5 * PATIENCE
    for thread in threads:
        thread.join()
    assert not wrong
    assert answers[0] > 10


@pytest.mark.parametrize("pause", [0.05, 0.2])
def test_sigterm_while_aliases_move_ends_clean(server, pause):
    """Publications wake the data threads' loops; at the end there are no loops."""
    register_triage(Api(server.url), 4)

    def move():
        api = Api(server.url)
        try:
            for turn in range(10000):
                api.rollback("triage", None)
                api.set_alias("triage", "champion", turn % 4 + 1, None)
        except (requests.exceptions.RequestException, ValueError):
            pass

    threads = [threading.Thread(target=move) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(pause * PATIENCE)
    assert server.stop() == 0
    for thread in threads:
        thread.join()


# ---- kill -9 ----

class Worker(threading.Thread):
    """Changes state without a pause and keeps what the server acknowledged."""

    def __init__(self, server, versions, serial):
        super().__init__()
        self.api = Api(server.url)
        self.versions = versions  # acknowledged so far
        self.serial = serial
        self.champion = None
        self.attempt = None       # sent, perhaps not acknowledged
        self.moves = 0
        self.problem = None

    def run(self):
        turn = 0
        while True:
            turn += 1
            try:
                self.step(turn)
            except requests.exceptions.RequestException:
                return
            except AssertionError as error:
                self.problem = str(error)
                return

    def step(self, turn):
        if turn % 5 == 0:
            self.serial[0] += 1
            self.attempt = ("register", self.serial[0])
            reply = self.api.register("triage", read("model_v1.ubj"),
                                      numbered(read("contract.yaml"), self.serial[0]))
            self.versions.append((reply["version"], reply["artifact"]))
        else:
            target = self.versions[turn % len(self.versions)][0]
            self.attempt = ("alias", target)
            self.api.set_alias("triage", "champion", target)
            self.champion = target
        self.attempt = None


def test_kill_9_loses_nothing_acknowledged(server):
    chance = random.Random(SEED)
    api = Api(server.url)
    versions, serial = [], [0]
    reply = api.register("triage", read("model.ubj"), read("contract.yaml"))
    versions.append((reply["version"], reply["artifact"]))
    for _ in range(KILLS):
        worker = Worker(server, versions, serial)
        worker.start()
        time.sleep(chance.uniform(0.05, 0.6) * PATIENCE)
        server.kill()
        worker.join()
        assert worker.problem is None
        server.start()
        api = Api(server.url)
        found = {v["version"]: v["artifact"]
                 for v in api.get("/api/models/triage/versions?limit=1000").json()["versions"]}
        assert all(found.get(number) == artifact for number, artifact in versions)
        extra = len(found) - len(versions)
        was_registering = worker.attempt and worker.attempt[0] == "register"
        assert extra == 0 or (extra == 1 and was_registering)
        for number in sorted(set(found) - {n for n, _ in versions}):
            versions.append((number, found[number]))
        if worker.champion:
            allowed = {worker.champion}
            if worker.attempt and worker.attempt[0] == "alias":
                allowed.add(worker.attempt[1])
            assert api.champion("triage") in allowed
        assert api.predict("triage", REQUEST)["version"] == str(api.champion("triage"))
        healthy(api)
    assert len(versions) > KILLS


# ---- backup ----

def test_a_backup_under_load_restores_to_a_state_that_was(server, tmp_path):
    api = Api(server.url)
    register_triage(api, 2)
    worker = Worker(server, [(1, ""), (2, "")], [100])
    worker.start()
    try:
        time.sleep(0.3)
        server.cli("backup", tmp_path / "copy")
        time.sleep(0.2)
    finally:
        server.kill()
        worker.join()
    restored = Server(tmp_path / "restored", server.port, ())
    restored.cli("restore", tmp_path / "copy")
    server.start()
    full = state(Api(server.url))
    server.stop()
    restored.start()
    try:
        copy = state(Api(restored.url))
        healthy(Api(restored.url))
    finally:
        restored.stop()
        restored.check_clean()
    count = len(copy["audit"]["events"])
    assert 0 < count <= len(full["audit"]["events"])
    assert copy["audit"]["events"] == full["audit"]["events"][:count]
    assert copy["versions"]["versions"] == full["versions"]["versions"][-len(
        copy["versions"]["versions"]):]


def test_a_backup_has_what_was_answered_and_a_restored_server_goes_on(server, tmp_path):
    api = Api(server.url)
    register_triage(api, 1)
    ids = [api.predict("triage", REQUEST)["predictions"][0]["id"] for _ in range(20)]
    said = server.cli("backup", tmp_path / "copy").out
    assert "files of predictions" in said
    late = api.predict("triage", REQUEST)["predictions"][0]["id"]
    bare = server.cli("backup", tmp_path / "bare", "--without-predictions").out
    assert " 0 files of predictions" in bare and not (tmp_path / "bare/predictions").exists()
    server.stop()
    restored = Server(tmp_path / "restored", server.port, ())
    restored.cli("restore", tmp_path / "copy")
    secret = (server.data / "predictions/secret").read_bytes()
    assert (restored.data / "predictions/secret").read_bytes() == secret
    assert restored.cli("prediction", "show", ids[-1], "--json").json["id"] == ids[-1]
    restored.start()
    try:
        again = Api(restored.url)
        new = again.predict("triage", REQUEST)["predictions"][0]["id"]
        for prediction in (*ids, new):
            again.get(f"/api/predictions/{prediction}")
        again.get(f"/api/predictions/{late}", 404)
        healthy(again)
    finally:
        assert restored.stop() == 0
        restored.check_clean()


def test_a_damaged_backup_is_refused_and_the_folder_stays(server, tmp_path):
    register_triage(Api(server.url), 1)
    server.cli("backup", tmp_path / "copy")
    server.stop()
    copy = tmp_path / "copy"
    files = [copy] if copy.is_file() else [f for f in copy.rglob("*") if f.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    largest.chmod(0o600)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2:len(data) // 2 + 64] = os.urandom(64)
    largest.write_bytes(data)
    fresh = Server(tmp_path / "fresh", server.port, ())
    result = fresh.cli("restore", copy, check=False)
    assert result.status != 0
    assert result.err.startswith("slipway:")
    assert not (tmp_path / "fresh").exists() or not any((tmp_path / "fresh").iterdir())


def wait_until(is_true, seconds=15):
    end = time.monotonic() + seconds * PATIENCE
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


# ---- a full disk ----

class SmallDisk(Server):
    """A server whose data folder is a tmpfs of a few megabytes in a mount namespace of its own."""

    def start(self, wait=True):
        self.data.mkdir(exist_ok=True)
        mount = f"mount -t tmpfs -o size=3m,mode=700 tmpfs '{self.data}' && exec \"$@\""
        PREFIX[:0] = ["unshare", "--mount", "--", "sh", "-c", mount, "sh"]
        try:
            return super().start(wait)
        finally:
            del PREFIX[:7]

    @property
    def inside(self):
        """The data folder as the server sees it."""
        return pathlib.Path(f"/proc/{self.pid}/root{self.data}")

    def fill(self):
        path = self.inside / "filler"
        with open(path, "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue
        return path


@pytest.fixture
def small_disk(tmp_path):
    probe = subprocess.run(["unshare", "--mount", "--", "sh", "-c",
                            f"mount -t tmpfs -o size=1m tmpfs '{tmp_path}'"],
                           capture_output=True, timeout=10, check=False)
    if probe.returncode != 0 or not shutil.which("unshare"):
        pytest.skip("a tmpfs of our own cannot be mounted here (needs root)")
    with free_port() as port:
        server = SmallDisk(tmp_path / "data", port)
        server.start()
        yield server
        server.stop()
        server.check_clean()


def test_on_a_full_disk_predictions_and_rollback_go_on(small_disk):
    api = Api(small_disk.url)
    register_triage(api, 3)
    rows, old = golden_rows()
    events = len(api.get("/api/audit").json()["events"])
    filler = small_disk.fill()

    reply = api.predict("triage", {"rows": rows})
    assert reply["version"] == "3"
    refused = api.call("PUT", "/api/blobs/" + "0" * 64, data=b"x" * 100000)
    assert refused.status_code in (400, 507)
    body = numbered(read("contract.yaml"), 99)
    problem = api.call("PUT", f"/api/blobs/{hashlib.sha256(body).hexdigest()}", 507,
                       data=body).json()
    assert problem["code"] == "disk_full"
    assert problem["hint"]

    rollback = api.rollback("triage")
    assert (rollback["from"], rollback["to"]) == (3, 2)
    reply = api.predict("triage", {"rows": rows})
    assert reply["version"] == "2"
    assert [row["probabilities"]["malignant"] for row in reply["predictions"]] == \
        pytest.approx(old, rel=1e-6)
    assert api.rollback("triage")["to"] == 1
    assert api.serving() == "1"

    filler.unlink()
    api.set_alias("triage", "challenger", 2)
    assert api.get("/api/status").json()["rollback_log_pending"] == 0
    changes = api.get("/api/models/triage/history").json()["changes"]
    assert [(c["kind"], c["from"], c["to"]) for c in changes][:3] == [
        ("set", 0, 2), ("rollback", 2, 1), ("rollback", 3, 2)]
    assert len(api.get("/api/audit").json()["events"]) == events + 3
    healthy(api)


def test_a_rollout_is_taken_back_on_a_full_disk(small_disk):
    api = Api(small_disk.url)
    register_triage(api, 3)
    rollout = {"model": "triage", "to": 2, "prove": [],
               "steps": [{"do": "canary", "weight": "50%"}, {"do": "promote"}]}
    api.post("/api/models/triage/rollout", rollout, 201)

    def versions():
        return {api.predict("triage", REQUEST, headers={"X-Routing-Key": f"c{i}"})["version"]
                for i in range(30)}

    assert versions() == {"2", "3"}
    filler = small_disk.fill()
    reply = api.rollback("triage")
    assert (reply["rollout"], reply["from"], reply["to"]) == (1, 2, 3)
    assert versions() == {"3"}
    assert api.rollback("triage")["to"] == 2  # no rollout any more: a step back
    assert versions() == {"2"}
    filler.unlink()
    wait_until(lambda: api.get("/api/status").json()["rollback_log_pending"] == 0)
    ended = api.get("/api/models/triage/rollout").json()
    assert ended["state"] == "rolled back" and "without the store" in ended["reason"]
    assert api.champion("triage") == 2
    healthy(api)


def test_a_worse_canary_is_rolled_back_by_itself_on_a_full_disk(small_disk):
    api = Api(small_disk.url)
    register_churn(api, **{"minimum: 0, maximum: 50": "minimum: 0, maximum: 5"})
    api.post("/api/models/churn/rollout",
             {"model": "churn", "to": 2, "prove": [], "guards": [{"event": "invalid_output"}],
              "steps": [{"do": "canary", "weight": "20%"}, {"do": "promote"}]}, 201)
    filler = small_disk.fill()

    def versions(name, count):
        return {api.predict("churn", ROW, headers={"X-Routing-Key": f"{name}{i}"})["version"]
                for i in range(count)}

    assert versions("early", 100) == {"1", "2"}  # about 20 canary keys, all with the event
    wait_until(lambda: versions("late", 40) == {"1"})
    filler.unlink()
    wait_until(lambda: api.get("/api/models/churn/rollout").json()["state"] == "rolled back")
    assert api.get("/api/status").json()["rollback_log_pending"] == 0
    healthy(api)


class Traffic(threading.Thread):
    """Asks both models until told to end; every answer must be one."""

    def __init__(self, url):
        super().__init__()
        self.api, self.is_over, self.answered, self.refused = Api(url), False, [], []

    def run(self):
        while not self.is_over:
            name = f"full-{len(self.answered)}"
            model, row = (("churn", ROW), ("triage", REQUEST))[len(self.answered) % 2]
            reply = self.api.call("POST", f"/predict/{model}", json=row, headers={
                "X-Request-Id": name, "X-Routing-Key": name})
            self.answered.append(f"{name}-0")
            if reply.status_code != 200:
                self.refused.append(reply.text)
            time.sleep(0.002)


def feedback_until_refused(api):
    """What fits into room that the store has already is taken: ({taken}, {refused})."""
    taken, refused = set(), {}
    for number in range(2000):
        name = f"early-{number}"
        reply = api.call("POST", "/feedback", json={"id": name, "label": "stays"})
        if reply.status_code == 200:
            taken.add(name)
            continue
        refused[name] = (reply.status_code, reply.json()["code"], bool(reply.json().get("hint")))
        if len(refused) == 20:
            return taken, refused
    raise AssertionError("the disk is not full")


def kept_predictions(api, model):
    reply = api.get(f"/api/models/{model}/predictions?limit=10000")
    return {json.loads(line)["id"] for line in reply.text.splitlines()}


def test_a_full_disk_with_everything_at_work_is_got_over_without_a_restart(small_disk, cli):
    """Predictions, records, feedback, a rollback by hand and a rollout that is due."""
    api = Api(small_disk.url)
    register_triage(api, 2)
    register_churn(api)
    api.post("/api/models/churn/rollout",
             {"model": "churn", "to": 2, "prove": [], "steps": [
                 {"do": "canary", "weight": "50%", "min": "0s", "min_keys": 20},
                 {"do": "promote"}]}, 201)
    waiting = api.get("/api/orphans").json()["waiting"]
    filler = small_disk.fill()
    taken, refused = feedback_until_refused(api)
    traffic = Traffic(small_disk.url)
    traffic.start()
    try:
        wait_until(lambda: "rollout decision not made" in small_disk.log_text())
        wait_until(lambda: "prediction records not written" in small_disk.log_text())
        assert set(refused.values()) == {(507, "disk_full", True)}
        assert api.get("/api/orphans").json()["waiting"] == waiting + len(taken)
        assert api.get("/api/models/churn/rollout").json()["state"] == "running"
        assert api.champion("churn") == 1
        reply = cli("rollback", "triage", "--server", small_disk.url, "--json").json
        assert (reply["from"], reply["to"], reply["durable"]) == (2, 1, True)
        assert api.serving() == "1"
        shown = len(traffic.answered)
        wait_until(lambda: len(traffic.answered) > shown + 50)
        filler.unlink()
        wait_until(lambda: api.get("/api/models/churn/rollout").json()["state"] == "promoted", 5)
        wait_until(lambda: "prediction records written again" in small_disk.log_text(), 5)
        wait_until(lambda: api.get("/api/status").json()["rollback_log_pending"] == 0, 5)
    finally:
        traffic.is_over = True
        traffic.join()
    assert traffic.refused == []
    assert (api.champion("churn"), api.champion("triage")) == (2, 1)
    again = api.post("/feedback", {"id": next(iter(refused)), "label": "stays"}).json()
    assert again["orphan"] == 1
    assert api.get("/api/orphans").json()["waiting"] == waiting + len(taken) + 1
    kept = kept_predictions(api, "churn") | kept_predictions(api, "triage")
    assert set(traffic.answered) <= kept
    healthy(api)


def test_an_alert_on_a_full_disk_is_told_and_stored_when_there_is_room(small_disk, tmp_path):
    rules = tmp_path / "alerts.yaml"
    rules.write_text("rules: {disk_free: off}")
    small_disk.stop()
    small_disk.args += ["--alert-rules", rules]
    small_disk.start()
    api = Api(small_disk.url)
    filler = small_disk.fill()
    rules.write_text("rules: {disk_free: {for: 0s}}")
    os.kill(small_disk.pid, signal.SIGHUP)

    def open_alerts():
        return [one["key"] for one in api.get("/api/alerts?state=open").json()["alerts"]]

    def stored():
        events = api.get("/api/audit?subject=alert/").json()["events"]
        return [event["action"] for event in events]

    wait_until(lambda: open_alerts() == ["disk_free"])
    wait_until(lambda: "alerts not stored, they are kept in memory" in small_disk.log_text())
    assert "alert opened severity=page key=disk_free" in small_disk.log_text()
    assert stored() == []
    filler.unlink()
    wait_until(lambda: stored() == ["alert.open"])
    assert small_disk.log_text().count("alert opened") == 1


def test_a_repeated_rollback_on_a_full_disk_takes_no_step_and_breaks_nothing(small_disk):
    """Its key was answered before the disk was full; another rollback waits in the log."""
    api = Api(small_disk.url)
    register_triage(api, 4)
    again = {"Idempotency-Key": "night-shift"}
    first = api.rollback("triage", headers=again)
    assert (first["from"], first["to"]) == (4, 3)
    small_disk.fill()
    assert api.rollback("triage")["to"] == 2
    reply = api.call("POST", "/api/models/triage/rollback", json={}, headers=again)
    assert reply.status_code in (200, 507), reply.text
    assert api.serving() == "2"
