"""A model that takes 2 ms a call: joined to batches, and overloaded ten times.

The model is tests/slow: it sleeps 2 ms a call and 10 us a row, as a call to another device does, so
that what is measured is the scheduling. One instance.

batching   1,000 connections ask for one row each, closed loop: without joining, then with. The p99
           of the latency must lie within the requests' deadline.
overload   batches of at most 2 rows, whose capacity is measured closed loop; then ten times that,
           open loop, with a queue of 100 and a deadline of 250 ms. Goodput is what is answered by
           200 a second, beside the capacity. The time of a refusal counts from when it fell due.
beside     small requests of the example's model, 500 a second, while another client sends 4,000
           rows at a time, one after another; one data thread, both cores. Without bulk threads each
           small one would wait for half a large one on average: it is held against that time.
memory     the same as overload with requests of 256 rows, and 16 MiB for all that wait: the memory
           of the server under it, beside what it has at rest.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, ROOT, SERVER_CPU, Server, bar, end_load, free_port, info, load,
                     register_triage, request, start_load, write_request)
from servers import serve as serve_triage

SLOW = ROOT / "build/release/slipway-slow"
CONNECTIONS = 1000
DEADLINE_MS = 250
SECONDS = 4
WAITING_BYTES = 16 * 1024 * 1024
MIB = 1024 * 1024
LARGE_ROWS = 4000
MODEL = b"slipway-slow\ncall_us=2000\nrow_us=10\n"


def call(port, method, path, body):
    headers = {"Content-Type": "application/json"}
    status, _, reply = request(port, method, path, body, headers)
    if status not in (200, 201):
        raise SystemExit(f"{method} {path}: {status} {reply.decode()}")
    return json.loads(reply or b"null")


def serve(*options):
    folder, port = tempfile.mkdtemp(prefix="slipway-bench-"), free_port()
    model = pathlib.Path(folder) / "model"
    model.write_bytes(MODEL)
    subprocess.run([SLOW, "model", "register", "slow", model, "--owner", "bench@example.org",
                    "--alias", "champion", "--data", f"{folder}/data"], check=True,
                   capture_output=True)
    argv = [SLOW, "serve", "--data", f"{folder}/data", "--listen", f"127.0.0.1:{port}",
            "--data-threads", 1, *options]
    return Server(argv, port, SERVER_CPU).wait("/readyz")


def settings(port, rows, requests, timeout_ms):
    call(port, "PUT", "/api/models/slow/serving", json.dumps({
        "instances": 1, "batching": {"max_rows": rows},
        "queue": {"max_requests": requests, "timeout": f"{timeout_ms}ms"}}))


def infer(folder, rows):
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, 4],
                                   "data": [1.0] * (4 * rows)}]}).encode()
    return write_request(pathlib.Path(folder) / f"infer{rows}", "POST", "/v2/models/slow/infer",
                         body, ["Content-Type: application/json"])


def batching(port, one):
    settings(port, 1, 2000, 30000)
    alone = load(port, [one], connections=CONNECTIONS, seconds=SECONDS)
    settings(port, 64, 2000, DEADLINE_MS)
    joined = load(port, [one], connections=CONNECTIONS, seconds=SECONDS)
    info(f"1,000 at once: alone {alone['per_second']}/s, joined {joined['per_second']}/s, "
         f"p50 {joined['p50_us'] / 1000:.1f} ms, {joined['failed']} not answered by 200")
    ratio = joined["per_second"] / alone["per_second"]
    bar("batching_throughput", f"{ratio:.1f}x", ">=8x", ratio >= 8)
    p99 = joined["p99_us"] / 1000
    bar("batching_p99", f"{p99:.0f}ms", f"<={DEADLINE_MS}ms",
        p99 <= DEADLINE_MS and not joined["failed"])


def overload(port, one):
    settings(port, 2, 100, DEADLINE_MS)
    capacity = load(port, [one], connections=100, seconds=SECONDS)["per_second"]
    report = load(port, [one], connections=1024, seconds=SECONDS, rate=10 * int(capacity))
    good = (report["answered"] - report["not_200"]) / report["seconds"]
    info(f"capacity {capacity}/s, offered {10 * capacity}/s, answered by 200 {good:.0f}/s, "
         f"p99 {report['p99_us'] / 1000:.0f} ms; refused {report['not_200']}, "
         f"p50 {report['refused_p50_us'] / 1000:.2f} ms")
    bar("overload_goodput", f"{100 * good / capacity:.0f}%", ">=90%", good >= 0.9 * capacity)
    refused = report["refused_p99_us"] / 1000
    bar("overload_refusal_p99", f"{refused:.1f}ms", "<5ms", refused < 5)
    status, headers, _ = refusal(port, one)
    bar("overload_retry_after", headers.get("Retry-After", "none"), "given",
        status == 503 and "Retry-After" in headers)


def refusal(port, one):
    """One refusal as a client sees it, while the queue is full."""
    process = start_load(port, [one], connections=1024, seconds=3)
    body = one.read_bytes().split(b"\r\n\r\n", 1)[1]
    reply = (0, {}, b"")
    for _ in range(200):
        reply = request(port, "POST", "/v2/models/slow/infer", body)
        if reply[0] == 503:
            break
    end_load(process)
    return reply


def memory(server, folder):
    at_rest = server.resident_bytes()
    settings(server.port, 8, 10000, 30000)
    process = start_load(server.port, [infer(folder, 256)], connections=1024, seconds=SECONDS)
    most = 0
    while process.poll() is None:
        most = max(most, server.resident_bytes())
    report = end_load(process)
    info(f"requests of 256 rows: {report['not_200']} of {report['answered']} refused, "
         f"{at_rest / MIB:.1f} MiB at rest")
    growth = (most - at_rest) / MIB
    bar("overload_memory", f"+{growth:.0f}MiB", "<=64MiB", growth <= 64)


def beside():
    """The middle of the small ones' latency."""
    with tempfile.TemporaryDirectory() as folder:
        register_triage(f"{folder}/data")
        row = json.loads((EXAMPLE / "request.json").read_text())
        small = write_request(pathlib.Path(folder) / "small", "POST", "/predict/triage",
                              json.dumps(row).encode())
        large = write_request(pathlib.Path(folder) / "large", "POST", "/predict/triage",
                              json.dumps({"rows": [row] * LARGE_ROWS}).encode())
        with serve_triage(f"{folder}/data", cpu=None) as server:
            server.wait("/readyz")
            alone = load(server.port, [small], connections=4, seconds=SECONDS, rate=500)
            process = start_load(server.port, [large], connections=1, seconds=SECONDS)
            report = load(server.port, [small], connections=4, seconds=SECONDS - 1, rate=500)
            done = end_load(process)
    info(f"small requests: alone p50 {alone['p50_us'] / 1000:.2f} ms, p99 "
         f"{alone['p99_us'] / 1000:.2f} ms; beside {done['per_second']} large ones a second, of "
         f"{done['p50_us'] / 1000:.0f} ms, p50 {report['p50_us'] / 1000:.2f} ms, p99 "
         f"{report['p99_us'] / 1000:.2f} ms")
    share = report["p50_us"] / done["p50_us"]
    bar("small_beside_large_p50", f"{share:.2f}x", "<=0.33x",
        share <= 0.33 and not report["failed"])


def main():
    with tempfile.TemporaryDirectory() as folder:
        one = infer(folder, 1)
        with serve() as server:
            batching(server.port, one)
            overload(server.port, one)
        with serve("--lane-bytes-max", WAITING_BYTES) as server:
            memory(server, folder)
    beside()


main()
