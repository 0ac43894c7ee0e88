"""More models than memory: nobody fails, memory comes back, a cold model answers soon.

MODELS models (the example's, each with a contract of its own name) on a budget of BUDGET bytes.

cold       a model is unloaded, then asked: how much longer than its load that takes
cycles     CYCLES times load and unload of models in turn; resident memory after the first tenth
           against the end
evictions  an open loop at half of what one hot model can do, quiet or while models in turn are
           asked for, each of which lets another one go; p99 as in flips.py, and none may fail
"""
import http.client
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, bar, end_load, info, load, middle_half, serve, start_load,
                     write_request)

MODELS = 1000
BUDGET = 48 * 1024 * 1024
COLD = 50
CYCLES = 10_000
ROUNDS = 5
SECONDS = 3
REQUESTS_MIN = 1_000_000
SOAK_SECONDS_MAX = 120
CONNECTIONS = 16
JSON = {"Content-Type": "application/json"}


class Client:
    """One connection kept open."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method, path, body=b""):
        self.connection.request(method, path, body, JSON)
        reply = self.connection.getresponse()
        text = reply.read()
        if reply.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {reply.status} {text.decode()}")
        return text

    def metric(self, name):
        text = self.call("GET", "/metrics").decode()
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))


def register(port, count):
    """The same artifact under many names: each loads, checks and holds it for itself."""
    client = Client(port)
    files = {}
    for key, name in (("artifact", "model.ubj"), ("contract", "contract.yaml"),
                      ("golden", "golden.csv")):
        done = subprocess.run(["sha256sum", EXAMPLE / name], check=True, capture_output=True)
        files[key] = done.stdout.decode().split()[0]
        client.call("PUT", f"/api/blobs/{files[key]}", (EXAMPLE / name).read_bytes())
    for i in range(count):
        client.call("POST", f"/api/models/m{i}/versions",
                    json.dumps({**files, "owner": "bench@example.org", "note": "bench"}))


def measure_cold(client, row):
    """Milliseconds beyond the load itself, as the server times it."""
    beyond = []
    for i in range(COLD):
        client.call("POST", f"/v2/repository/models/m{i}/unload")
        before = client.metric("slipway_model_load_seconds_sum")
        begin = time.monotonic()
        client.call("POST", f"/predict/m{i}", row)
        took = time.monotonic() - begin
        beyond.append(1000 * (took - (client.metric("slipway_model_load_seconds_sum") - before)))
    return beyond


def measure_cycles(client, server):
    start = 0
    for i in range(CYCLES):
        model = f"m{i % 20}"
        client.call("POST", f"/v2/repository/models/{model}/unload")
        client.call("POST", f"/v2/repository/models/{model}/load")
        if i == CYCLES // 10:
            start = server.resident_bytes()
    time.sleep(2)  # what was let go is freed within a second
    return start, server.resident_bytes()


class Evictions:
    def __init__(self, port, predict, row, rate):
        self.port, self.predict, self.row, self.rate = port, predict, row, rate
        self.p99 = {True: [], False: []}
        self.requests = self.failed = self.next = 0

    def ask_in_turn(self, seconds):
        client = Client(self.port)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.next = (self.next + 1) % MODELS
            client.call("POST", f"/predict/m{self.next}", self.row)
            time.sleep(0.02)

    def interval(self, has_evictions, **options):
        run = start_load(self.port, [self.predict], connections=CONNECTIONS, seconds=SECONDS,
                         **options)
        if has_evictions:
            self.ask_in_turn(SECONDS - 0.1)
        report = end_load(run)
        self.requests += report["requests"]
        self.failed += report["failed"]
        return report["p99_us"]

    def run(self):
        for _ in range(ROUNDS):
            for has_evictions in (False, True, False):
                self.p99[has_evictions].append(self.interval(has_evictions, rate=self.rate))
        begin = time.monotonic()
        while self.requests < REQUESTS_MIN and time.monotonic() - begin < SOAK_SECONDS_MAX:
            self.interval(True, depth=8, requests=REQUESTS_MIN - self.requests)


def report_evictions(run, evictions):
    low, high = middle_half(run.p99[False])
    median, bound = statistics.median(run.p99[True]), 1.1 * high
    info(f"{run.requests} predictions, {run.failed} failed, {evictions:.0f} evictions; p99 "
         f"{median:.0f} us, A/A middle half {low:.0f}..{high:.0f} us")
    bar("cache_p99_evictions", f"{median:.0f}us", f"<={bound:.0f}us", median <= bound)
    bar("cache_failed", run.failed, "<=0", run.failed == 0 and run.requests >= REQUESTS_MIN)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        row = (EXAMPLE / "request.json").read_bytes()
        options = ["--model-memory-bytes-max", BUDGET]
        with serve(folder / "data", options=options) as server:
            server.wait()
            register(server.port, MODELS)
        with serve(folder / "data", options=options) as server:
            begin = time.monotonic()
            server.wait("/readyz")
            client = Client(server.port)
            info(f"{MODELS} models, started in {time.monotonic() - begin:.1f} s, "
                 f"{client.metric('slipway_model_memory_bytes') / 2**20:.0f} MiB of models, "
                 f"{server.resident_bytes() / 2**20:.0f} MiB resident")
            beyond = measure_cold(client, row)
            info(f"a cold model: {min(beyond):.1f}..{max(beyond):.1f} ms beyond its load")
            bar("cache_cold", f"{statistics.median(beyond):.1f}ms", "<=5ms",
                statistics.median(beyond) <= 5)
            start, end = measure_cycles(client, server)
            growth = 100 * (end - start) / start
            info(f"{CYCLES} load/unload cycles: {start / 2**20:.1f} -> {end / 2**20:.1f} MiB")
            bar("cache_cycles_growth", f"{growth:.2f}%", "<=1%", growth <= 1)
            predict = write_request(folder / "predict", "POST", "/predict/m0", row,
                                    ["Content-Type: application/json"])
            capacity = load(server.port, [predict], connections=CONNECTIONS, seconds=2)
            run = Evictions(server.port, predict, row, int(capacity["per_second"] / 2))
            before = client.metric("slipway_model_evictions_total")
            run.run()
            evictions = client.metric("slipway_model_evictions_total") - before
            memory = client.metric("slipway_model_memory_bytes")
            report_evictions(run, evictions)
            info(f"{memory / 2**20:.0f} MiB of models, {server.resident_bytes() / 2**20:.0f} MiB "
                 "resident at the end")
            bar("cache_budget", f"{memory / 2**20:.0f}MiB", f"<={BUDGET / 2**20:.0f}MiB",
                memory <= BUDGET)


main()
