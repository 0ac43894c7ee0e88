"""CPU of one prediction over HTTP: Slipway beside nginx and FastAPI, binary tensors beside JSON.

A pair is a turn of one side and a turn of the other, at the same fixed rate with the same request
bytes; which goes first alternates. CPU per request is the CPU time that all threads of all
processes of a server took during its turn, divided by the requests it answered. A bar is the
median of the pairs' ratios, and the line above it gives both sides and the middle half of the
ratios. The line A/A compares Slipway with itself: what differs there is noise. The load generator
spins, so no server pays for waking it.

The bars are those of a contract-checked prediction alone (--monitors=false --records=false); lines
with "watched" say the same of a server as it comes, which also counts its rows into the monitors'
sketches and records them on a thread of its own. tests/bench/monitoring has the bar for that.

nginx is the yardstick of a web server: it parses the same request, throws the body away and
returns a fixed reply that is as long, head included, as Slipway's.
"""
import csv
import json
import os
import pathlib
import statistics
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, ROOT, Server, bar, free_port, info, load, middle_half,
                     register_triage, request, serve, write_request)

PAIRS = int(os.environ.get("BENCH_PAIRS", "15"))
TURN_SECONDS = 0.4
TURN_REQUESTS_MIN = 4_000  # so that opening and closing the connections of a turn weighs little
RATE = 40_000  # requests a second
RATE_PIPELINED = 64_000
RATE_FASTAPI = 2_000  # about two thirds of what it can do
RATE_BATCH = 1_600
CONNECTIONS = 16
REST_SECONDS = 5
BATCH_ROWS = 256
ALONE = ["--monitors=false", "--records=false"]
JSON_HEAD = ["Content-Type: application/json"]
INFER = "/v2/models/triage/infer"
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; use epoll; multi_accept on; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 16m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/json;
  server {{
    listen 127.0.0.1:{port};
    location = /v2/models/triage/infer {{ return 200 '{infer}'; }}
    location = /predict/triage {{ return 200 '{predict}'; }}
    location = /livez {{ return 200 'ok'; }}
  }}
}}
"""


# --- what is asked ---------------------------------------------------------------------


def as_f32(value):
    """The shortest decimal text of a number's nearest float32, as a client with floats sends it."""
    exact = struct.unpack("<f", struct.pack("<f", value))[0]
    for digits in range(1, 10):
        short = float(f"{exact:.{digits}g}")
        if struct.pack("<f", short) == struct.pack("<f", exact):
            return short
    raise AssertionError("nine digits always suffice")


def read_rows():
    """Names of the fields, and rows, each a mix of two golden cases: with float32's digits."""
    with open(EXAMPLE / "golden.csv", newline="") as file:
        table = list(csv.reader(file))
    names = table[0][:30]
    cases = [[float(cell) for cell in row[:30]] for row in table[1:]]
    pairs = [(a, b) for i, a in enumerate(cases) for b in cases[:i]][:BATCH_ROWS]
    return names, [[as_f32(x / 2.7 + y / 1.6) for x, y in zip(a, b)] for a, b in pairs]


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def infer_json(rows):
    flat = [value for row in rows for value in row]
    return compact({"inputs": [{"name": "input", "shape": [len(rows), 30], "datatype": "FP32",
                                "data": flat}]})


def infer_binary(rows):
    """Head and body of the binary tensor extension, both ways."""
    raw = b"".join(struct.pack("<30f", *row) for row in rows)
    head = compact({"inputs": [{"name": "input", "shape": [len(rows), 30], "datatype": "FP32",
                                "parameters": {"binary_data_size": len(raw)}}],
                    "outputs": [{"name": "predict", "parameters": {"binary_data": True}}]})
    return head, head + raw


def write_requests(folder):
    names, rows = read_rows()
    head, binary = infer_binary(rows)
    one = infer_json(rows[:1])
    info(f"OIP body {len(one)} bytes; {BATCH_ROWS} rows: JSON {len(infer_json(rows))}, "
         f"binary {len(binary)} bytes")
    return {
        "infer": write_request(folder / "infer", "POST", INFER, one, JSON_HEAD),
        "predict": write_request(folder / "predict", "POST", "/predict/triage",
                                 compact(dict(zip(names, rows[0]))), JSON_HEAD),
        "json": write_request(folder / "json", "POST", INFER, infer_json(rows), JSON_HEAD),
        "binary": write_request(
            folder / "binary", "POST", INFER, binary,
            ["Content-Type: application/octet-stream",
             f"Inference-Header-Content-Length: {len(head)}"]),
    }


# --- who answers -----------------------------------------------------------------------


def reply_bytes(server, file):
    report = load(server.port, [file], requests=10)
    if report["failed"]:
        raise SystemExit(f"{file.name}: {report}")
    return round(report["reply_bytes"])


def start_nginx(folder, bodies):
    port = free_port()
    folder.mkdir(exist_ok=True)
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, port=port, **bodies))
    path = "/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else "nginx"
    return Server([path, "-p", folder, "-e", folder / "error.log", "-c", conf], port).wait()


def nginx_like(folder, slipway_server, files):
    """nginx whose replies are as long as Slipway's. One try tells how long its head is."""
    sizes = {name: reply_bytes(slipway_server, files[name]) for name in ("infer", "predict")}
    bodies = {name: "x" * 200 for name in sizes}
    with start_nginx(folder, bodies) as server:
        for name, size in sizes.items():
            bodies[name] = "x" * (200 + size - reply_bytes(server, files[name]))
    server = start_nginx(folder, bodies)
    for name, size in sizes.items():
        got = reply_bytes(server, files[name])
        if got != size:
            raise SystemExit(f"nginx replies with {got} bytes to {name}, not {size}")
    info(f"reply with head: infer {sizes['infer']}, predict {sizes['predict']} bytes, nginx's too")
    return server


def start_fastapi():
    port = free_port()
    python = ROOT / "build/venv-bench/bin/python"
    argv = [python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", pathlib.Path(__file__).parent,
            "--host", "127.0.0.1", "--port", port, "--loop", "uvloop", "--http", "httptools",
            "--no-access-log", "--log-level", "warning"]
    env = {"MODEL": str(EXAMPLE / "model.ubj"), "OMP_NUM_THREADS": "1"}
    return Server(argv, port, env=env).wait()


def check_same_answer(slipway_server, fastapi_server, file):
    body = file.read_bytes().split(b"\r\n\r\n", 1)[1]
    headers = {"Content-Type": "application/json"}
    ours, theirs = (json.loads(request(s.port, "POST", INFER, body, headers)[2])["outputs"][0]
                    for s in (slipway_server, fastapi_server))
    if abs(ours["data"][0] - theirs["data"][0]) > 1e-6:
        raise SystemExit(f"answers differ: {ours} and {theirs}")


# --- turns and pairs -------------------------------------------------------------------


def turn(server, file, rate, depth=1, connections=CONNECTIONS):
    """CPU microseconds per request of one turn. All connections ask at the same moment."""
    requests = max(int(rate * TURN_SECONDS), TURN_REQUESTS_MIN if connections == CONNECTIONS else 0)
    before = server.cpu_ns()
    report = load(server.port, [file], connections=connections, depth=depth, rate=rate,
                  burst=connections, requests=requests, spin=True)
    if report["failed"]:
        raise SystemExit(f"a turn failed: {report}")
    return (server.cpu_ns() - before) / report["requests"] / 1000


def pairs(sides, rate, **how):
    """The CPU times of both sides, pair by pair. A side is (server, file)."""
    times = [], []
    for i in range(PAIRS + 1):
        for side in ((0, 1), (1, 0))[i % 2]:
            times[side].append(turn(*sides[side], rate, **how))
    return times[0][1:], times[1][1:]  # the first pair warms up


def compare(label, ours, theirs, rate=RATE, **how):
    """One line; the median of the ratios ours / theirs."""
    a, b = pairs((ours, theirs), rate, **how)
    ratios = [x / y for x, y in zip(a, b)]
    low, high = middle_half(ratios)
    info(f"{label}: {statistics.median(a):.2f} and {statistics.median(b):.2f} us CPU per request "
         f"at {rate}/s, ratio {statistics.median(ratios):.3f}, middle half {low:.3f}..{high:.3f} "
         f"of {len(ratios)} pairs")
    return statistics.median(ratios)


def compare_with_nginx(us, watched, nginx, files):
    infer, predict = files["infer"], files["predict"]
    compare("A/A, Slipway and itself", (us, infer), (us, infer))
    ratio = compare("infer and nginx", (us, infer), (nginx, infer))
    bar("http_cpu_vs_nginx", f"{ratio:.2f}x", "<=1.03x", ratio <= 1.03)
    compare("infer, watched, and nginx", (watched, infer), (nginx, infer))
    compare("/predict and nginx", (us, predict), (nginx, predict))
    ratio = compare("infer, 8 pipelined, and nginx", (us, infer), (nginx, infer), RATE_PIPELINED,
                    depth=8)
    bar("http_cpu_pipelined_vs_nginx", f"{ratio:.3f}x", "<=0.333x", ratio <= 1 / 3)
    compare("infer, watched, 8 pipelined, and nginx", (watched, infer), (nginx, infer),
            RATE_PIPELINED, depth=8)
    compare("/predict, 8 pipelined, and nginx", (us, predict), (nginx, predict), RATE_PIPELINED,
            depth=8)


def compare_with_fastapi(us, watched, files):
    infer = files["infer"]
    with start_fastapi() as fastapi:
        check_same_answer(us, fastapi, infer)
        info(f"FastAPI's reply is {reply_bytes(fastapi, infer)} bytes long")
        ratio = 1 / compare("infer and FastAPI", (us, infer), (fastapi, infer), RATE_FASTAPI)
        bar("http_cpu_vs_fastapi", f"1/{ratio:.1f}", "<=1/35", ratio >= 35)
        turn(watched, infer, RATE)
        time.sleep(REST_SECONDS)  # both have the time to give back what only the load needed
        ours, theirs = watched.resident_bytes(), fastapi.resident_bytes()
        info(f"resident: {ours / 2**20:.1f} MiB (watched) and {theirs / 2**20:.1f} MiB after load")
        bar("http_memory_vs_fastapi", f"1/{theirs / ours:.1f}", "<=1/10", theirs / ours >= 10)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        register_triage(folder / "data")
        register_triage(folder / "watched")
        files = write_requests(folder)
        with serve(folder / "data", options=ALONE) as us, serve(folder / "watched") as watched:
            us.wait()
            watched.wait()
            with nginx_like(folder / "nginx", us, files) as nginx:
                compare_with_nginx(us, watched, nginx, files)
            compare_with_fastapi(us, watched, files)
            ratio = compare(f"{BATCH_ROWS} rows, binary and JSON", (us, files["binary"]),
                            (us, files["json"]), RATE_BATCH, connections=4)
            bar("binary_vs_json_256_rows", f"{ratio:.3f}x", "<=0.333x", ratio <= 1 / 3)


main()
