"""Predictions while the champion changes: none may fail, none may wait.

One server, all its threads on one core, answers an open loop at half of what it can do (measured
first, closed loop). Intervals of SECONDS follow one another in ROUNDS:

    quiet, flips, quiet, load + flip

flips        PUT of the alias every 10 ms over HTTP, between versions 1 and 2
load + flip  every second the model file is registered anew and becomes the champion

Each interval has a p99 of the latency counted from the moment a request fell due. The quiet ones
give the A/A interval, their middle half; the median p99 under flips must not lie above it + 10 %.
What is missing to REQUESTS_MIN predictions is then asked for in a closed loop, pipelined, under
flips.
"""
import hashlib
import json
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, bar, end_load, info, load, middle_half, register_triage, request,
                     serve, start_load, write_request)

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 16
FLIPS_PER_SECOND = 100
REQUESTS_MIN = 1_000_000
SOAK_SECONDS_MAX = 90
JSON = {"Content-Type": "application/json"}
ALIAS = "/api/models/triage/aliases/champion"


def call(port, method, path, body=None):
    status, _, reply = request(port, method, path, body, JSON)
    if status not in (200, 201):
        raise SystemExit(f"{method} {path}: {status} {reply.decode()}")
    return json.loads(reply)


def write_flips(folder):
    """One request that makes version 1 the champion, one that makes it version 2."""
    return [write_request(folder / f"flip{v}", "PUT", ALIAS, json.dumps({"version": v}).encode(),
                          ["Content-Type: application/json"]) for v in (1, 2)]


def golden_rows(turn):
    """The golden rows in another order: a version is refused that has the files of another."""
    head, *rows = (EXAMPLE / "golden.csv").read_text().splitlines(keepends=True)
    turn %= len(rows)
    return "".join([head, *rows[turn:], *rows[:turn]]).encode()


def register_and_flip(port, turn):
    old = call(port, "GET", "/api/models/triage/versions/2")
    golden = golden_rows(turn)
    digest = hashlib.sha256(golden).hexdigest()
    call(port, "PUT", f"/api/blobs/{digest}", golden)
    new = call(port, "POST", "/api/models/triage/versions",
               json.dumps({"artifact": old["artifact"], "contract": old["contract"],
                           "golden": digest, "note": f"load {turn}"}))
    call(port, "PUT", ALIAS, json.dumps({"version": new["version"]}))


class Run:
    def __init__(self, port, predict, flips, rate):
        self.port, self.predict, self.flips, self.rate = port, predict, flips, rate
        self.p99 = {"quiet": [], "flips": [], "load": []}
        self.requests = self.failed = self.flip_count = self.load_count = self.flip_failed = 0

    def flip(self, seconds):
        report = load(self.port, self.flips, rate=FLIPS_PER_SECOND, seconds=seconds)
        self.flip_count += report["answered"]
        self.flip_failed += report["failed"]

    def load_and_flip(self, seconds):
        begin = time.monotonic()
        for second in range(seconds):
            time.sleep(max(0, begin + second - time.monotonic()))
            self.load_count += 1
            register_and_flip(self.port, self.load_count)

    def count(self, report):
        self.requests += report["requests"]
        self.failed += report["failed"]

    def interval(self, kind):
        predictions = start_load(self.port, [self.predict], connections=CONNECTIONS,
                                 rate=self.rate, seconds=SECONDS)
        if kind == "flips":
            self.flip(SECONDS)
        elif kind == "load":
            self.load_and_flip(SECONDS)
        report = end_load(predictions)
        self.p99[kind].append(report["p99_us"])
        self.count(report)

    def rounds(self):
        for _ in range(ROUNDS):
            for kind in ("quiet", "flips", "quiet", "load"):
                self.interval(kind)

    def soak(self):
        """Predictions up to REQUESTS_MIN, under flips."""
        begin = time.monotonic()
        while self.requests < REQUESTS_MIN and time.monotonic() - begin < SOAK_SECONDS_MAX:
            predictions = start_load(self.port, [self.predict], connections=CONNECTIONS, depth=8,
                                     requests=REQUESTS_MIN - self.requests, seconds=SECONDS)
            self.flip(SECONDS)
            self.count(end_load(predictions))


def report_p99(run, kind, name):
    quiet = run.p99["quiet"]
    low, high = middle_half(quiet)
    median, bound = statistics.median(run.p99[kind]), 1.1 * high
    info(f"{name}: p99 {median:.0f} us, {min(run.p99[kind]):.0f}..{max(run.p99[kind]):.0f} us; "
         f"A/A: p99 {statistics.median(quiet):.0f} us, middle half {low:.0f}..{high:.0f} us, "
         f"all {min(quiet):.0f}..{max(quiet):.0f} us")
    bar(f"flips_p99_{kind}", f"{median:.0f}us", f"<={bound:.0f}us", median <= bound)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        register_triage(folder / "data")
        row = (EXAMPLE / "request.json").read_bytes()
        predict = write_request(folder / "predict", "POST", "/predict/triage", row,
                                ["Content-Type: application/json"])
        with serve(folder / "data") as server:
            server.wait()
            capacity = load(server.port, [predict], connections=CONNECTIONS, seconds=2)
            rate = int(capacity["per_second"] / 2)
            info(f"closed loop {capacity['per_second']}/s, so {rate}/s are asked for")
            run = Run(server.port, predict, write_flips(folder), rate)
            run.rounds()
            run.soak()
        info(f"{run.requests} predictions, {run.failed} failed; {run.flip_count} flips, "
             f"{run.flip_failed} failed; {run.load_count} loads with flip")
        report_p99(run, "flips", "a flip every 10 ms")
        report_p99(run, "load", "load + flip every second")
        failed = run.failed + run.flip_failed
        bar("flips_failed", failed, "<=0", failed == 0 and run.requests >= REQUESTS_MIN)


main()
