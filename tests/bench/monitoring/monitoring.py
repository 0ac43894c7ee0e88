"""What watching a prediction costs: sketches, the record, and a canary that gets a tenth of them.

Two servers with the same two versions of the same trees answer in turns, at the same fixed rate:

    alone    --monitors=false --records=false, no rollout
    watched  as it comes, and a rollout whose canary step waits for a day

A pair is a turn of each; which goes first alternates. The cost is the difference of the CPU times
of the data thread per request, the median over the pairs. The recorder's is that of its own thread
per record. Times are the kernel's (schedstat, ns), those of each thread by its name.
"""
import json
import os
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, bar, info, load, middle_half, register_triage, request, serve,
                     slipway, write_request)

PAIRS = int(os.environ.get("BENCH_PAIRS", "21"))
TURN_SECONDS = 0.4
RATE, RATE_PIPELINED = 40_000, 64_000
CONNECTIONS = 16
DATA_US_MAX = 0.4
RECORDER_US_MAX = 0.5
JSON = {"Content-Type": "application/json"}
INFER = "/v2/models/triage/infer"
ROLLOUT = {"model": "triage", "to": 3,
           "steps": [{"do": "canary", "weight": "10%", "max": "24h"}, {"do": "promote"}]}


def call(server, method, path, body=None):
    status, _, reply = request(server.port, method, path, json.dumps(body).encode(), JSON)
    if status not in (200, 201):
        raise SystemExit(f"{method} {path}: {status} {reply.decode()}")
    return json.loads(reply)


def register_twin(folder, work):
    """Version 3: the trees of version 2 with the golden rows in another order."""
    head, first, *rows = (EXAMPLE / "golden.csv").read_text().splitlines(keepends=True)
    golden = work / "twin.csv"
    golden.write_text("".join([head, *rows, first]))
    slipway("model", "register", "triage", EXAMPLE / "model.ubj", "--data", folder,
            "--note", "twin", "--contract", EXAMPLE / "contract.yaml", "--golden", golden)


def write_infer(folder):
    """The example's row by position, as one tensor."""
    row = json.loads((EXAMPLE / "request.json").read_text())
    values = list(row.values())
    body = json.dumps({"inputs": [{"name": "input", "shape": [1, len(values)], "datatype": "FP32",
                                   "data": values}]}, separators=(",", ":")).encode()
    return write_request(folder / "infer", "POST", INFER, body, ["Content-Type: application/json"])


def cpu_ns(server):
    """CPU time of each thread by name: the data thread is data-0, the recorder recorder."""
    times = {}
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").glob("*"):
        name = (task / "comm").read_text().strip()
        times[name] = times.get(name, 0) + int((task / "schedstat").read_text().split()[0])
    return times


def turn(server, file, rate, depth):
    """Microseconds per request of each thread."""
    before = cpu_ns(server)
    report = load(server.port, [file], connections=CONNECTIONS, depth=depth, rate=rate,
                  burst=CONNECTIONS, requests=int(rate * TURN_SECONDS), spin=True)
    if report["failed"]:
        raise SystemExit(f"a turn failed: {report}")
    after = cpu_ns(server)
    return {name: (after[name] - before.get(name, 0)) / report["requests"] / 1000
            for name in after}


def compare(label, alone, watched, file, rate, depth=1):
    """Medians of what the data thread costs more, and of what the recorder costs."""
    added, recorder, base = [], [], []
    for i in range(PAIRS + 1):
        times = {}
        for server in ((alone, watched), (watched, alone))[i % 2]:
            times[server] = turn(server, file, rate, depth)
        base.append(times[alone]["data-0"])
        added.append(times[watched]["data-0"] - times[alone]["data-0"])
        recorder.append(times[watched]["recorder"])
    low, high = middle_half(added[1:])  # the first pair warms up
    median = statistics.median
    info(f"{label}: {median(base[1:]):.2f} us on the data thread alone, watched "
         f"{median(added[1:]):+.3f}, middle half {low:+.3f}..{high:+.3f} us of {PAIRS} pairs; "
         f"recorder {median(recorder[1:]):.3f} us a record")
    return median(added[1:]), median(recorder[1:])


def check_watched(server):
    """It has recorded, dropped nothing, and the canary has answered."""
    _, _, text = request(server.port, "GET", "/metrics")
    lines = text.decode().splitlines()
    dropped = sum(float(line.split()[-1]) for line in lines
                  if line.startswith("slipway_record") and "dropped" in line)
    answered = sum(float(line.split()[-1]) for line in lines
                   if line.startswith("slipway_requests_total") and 'version="3"' in line)
    info(f"the canary answered {answered:.0f} requests; {dropped:.0f} records were dropped")
    if not answered:
        raise SystemExit("the canary answered nothing: nothing was measured")


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        for folder in ("alone", "watched"):
            register_triage(work / folder)
            register_twin(work / folder, work)
        file = write_infer(work)
        with serve(work / "alone", options=["--monitors=false", "--records=false"]) as alone, \
                serve(work / "watched") as watched:
            alone.wait()
            watched.wait()
            call(watched, "POST", "/api/models/triage/rollout", ROLLOUT)
            added, _ = compare("8 pipelined", alone, watched, file, RATE_PIPELINED, depth=8)
            added, recorder = compare("16 connections", alone, watched, file, RATE)
            check_watched(watched)
        bar("watching_data_thread", f"{added:.2f}us", f"<={DATA_US_MAX}us", added <= DATA_US_MAX)
        bar("watching_recorder", f"{recorder:.2f}us", f"<={RECORDER_US_MAX}us",
            recorder <= RECORDER_US_MAX)


main()
