"""Versions change under load: nobody notices but by the version in the answer.

What could break: a request that fails during a flip, an answer of one version under the name of
another, a reader that keeps an old snapshot, memory that grows with every flip.
"""
import contextlib
import json
import socket
import threading
import time

import pytest

from api import Api, golden_rows, numbered, read, register_triage
from server import PATIENCE

SECONDS = 3
LOAD_THREADS = 4
ROWS, NEW = golden_rows()
_, OLD = golden_rows("golden_v1.csv")


class Load:
    """Threads that predict without a pause; every answer must be that of the version it names."""

    def __init__(self, server, expected):
        self.server, self.expected = server, expected
        self.answers, self.failures = 0, []
        self.seen = set()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(LOAD_THREADS)]

    def run(self, seed):
        api = Api(self.server.url)
        turn = seed
        while not self.stop.is_set():
            turn = (turn + 1) % len(ROWS)
            try:
                reply = api.predict("triage", ROWS[turn])
                expected = self.expected(reply["version"])[turn]
                got = reply["predictions"][0]["probabilities"]["malignant"]
                assert got == pytest.approx(expected, rel=1e-6), reply
            except Exception as error:  # noqa: BLE001 (any failure is the finding)
                self.failures.append(repr(error))
                return
            self.seen.add(reply["version"])
            self.answers += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def by_parity(version):
    """register_triage gives odd versions the 20 trees, even ones the 100 trees."""
    return OLD if int(version) % 2 else NEW


def flip_until(api, end, pause, change):
    count = 0
    while time.monotonic() < end:
        change(count)
        count += 1
        time.sleep(pause)
    return count


def test_alias_flips_lose_no_request(server):
    api = Api(server.url)
    register_triage(api)
    with Load(server, by_parity) as load:
        flips = flip_until(api, time.monotonic() + SECONDS, 0.01,
                           lambda i: api.set_alias("triage", "champion", i % 2 + 1))
    assert not load.failures
    assert load.seen == {"1", "2"}
    assert flips > 20 / PATIENCE and load.answers > 200 / PATIENCE
    assert api.get("/api/doctor").json()["healthy"] is True


def test_registering_and_flipping_lose_no_request(server):
    api = Api(server.url)
    register_triage(api)

    def register(i):
        number = i + 3
        suffix = "_v1" if number % 2 else ""
        api.register("triage", read(f"model{suffix}.ubj"),
                     numbered(read("contract.yaml"), number), read(f"golden{suffix}.csv"),
                     alias="champion")

    with Load(server, by_parity) as load:
        count = flip_until(api, time.monotonic() + SECONDS, 0.1, register)
    assert not load.failures
    assert count >= 3
    assert api.champion("triage") == count + 2


def test_rollbacks_under_load_lose_no_request(server):
    api = Api(server.url)
    register_triage(api, 8)
    with Load(server, by_parity) as load:
        for expected in range(7, 0, -1):
            assert api.rollback("triage")["to"] == expected
            time.sleep(0.05)
    assert not load.failures
    assert api.serving() == "1"


def test_a_body_that_comes_after_flips_is_answered(server):
    """Head and body of one request see different snapshots; that of the head is freed between."""
    api = Api(server.url)
    register_triage(api)
    body = json.dumps(ROWS[0]).encode()
    head = (f"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            "\r\nConnection: close\r\n\r\n").encode()
    with contextlib.ExitStack() as sockets:
        waiting = [sockets.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
                   for _ in range(8)]
        for sock in waiting:
            sock.sendall(head)
        for number in (1, 2, 1):
            api.set_alias("triage", "champion", number)
            assert api.serving() == str(number)
        time.sleep(0.2)
        for sock in waiting:
            sock.sendall(body)
            answer = b"".join(iter(lambda sock=sock: sock.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b'"version":"1"' in answer


def resident_bytes(server):
    with open(f"/proc/{server.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(PATIENCE > 1, reason="sanitizers keep freed memory")
def test_flips_do_not_grow_the_process(server):
    """200 flips of a model of 0.5 MB: without the old version's end that were 100 MB."""
    api = Api(server.url)
    register_triage(api)

    def flip(count):
        for i in range(count):
            api.set_alias("triage", "champion", i % 2 + 1)

    flip(100)
    before = resident_bytes(server)
    flip(200)
    assert resident_bytes(server) - before < 8 * 1024 * 1024


def test_rollback_is_quick(server):
    """50 ms from the command to the first answer of the old version; the best of five, because
    other processes of a test machine take the CPU too."""
    api = Api(server.url)
    register_triage(api, 7)
    times = []
    for _ in range(5):
        time.sleep(0.1)
        start = time.monotonic()
        to = api.rollback("triage")["to"]
        assert api.serving() == str(to)
        times.append(time.monotonic() - start)
    assert min(times) < 0.05 * PATIENCE
