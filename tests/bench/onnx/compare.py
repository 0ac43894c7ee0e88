"""CPU of one prediction of a small network over HTTP: Slipway beside MLServer and FastAPI.

The network is 30-64-64-2 with a softmax (tests/golden/onnx/mlp), one row a request, the same bytes
to each server, the same library of ONNX Runtime with one thread behind each. Pairs, turns and CPU
per request are as in tests/bench/http/compare.py; the bar is the median of the pairs' ratios.
MLServer runs its own loop without worker processes, which is its cheapest form.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (ROOT, Server, bar, free_port, info, load, middle_half, request, slipway,
                     write_request)

HERE = pathlib.Path(__file__).resolve().parent
MODEL = ROOT / "tests/golden/onnx/mlp/model.onnx"
PYTHON = ROOT / "build/venv-bench/bin/python"
INFER = "/v2/models/net/infer"
PAIRS = int(os.environ.get("BENCH_PAIRS", "15"))
TURN_SECONDS = 0.4
TURN_REQUESTS_MIN = 800
CONNECTIONS = 16
RATE = 40_000
RATE_MLSERVER = 1_500  # about two thirds of what each can do
RATE_FASTAPI = 3_500


def start_slipway(folder, library):
    os.environ["SLIPWAY_ONNXRUNTIME_PATH"] = str(library)
    slipway("model", "register", "net", MODEL, "--data", folder, "--owner", "bench@example.org")
    port = free_port()
    return Server([ROOT / "build/slipway", "serve", "--data", folder, "--data-threads", 1,
                   "--listen", f"127.0.0.1:{port}", "--monitors=false", "--records=false"],
                  port).wait()


def start_fastapi():
    port = free_port()
    argv = [PYTHON, "-m", "uvicorn", "fastapi_app:app", "--app-dir", HERE, "--host", "127.0.0.1",
            "--port", port, "--loop", "uvloop", "--http", "httptools", "--no-access-log",
            "--log-level", "warning"]
    return Server(argv, port, env={"MODEL": str(MODEL)}).wait()


def start_mlserver(folder):
    port, grpc, metrics = free_port(), free_port(), free_port()
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(
        {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics,
         "parallel_workers": 0, "debug": False}))
    (folder / "model-settings.json").write_text(json.dumps(
        {"name": "net", "version": "1", "implementation": "mlserver_net.Net"}))
    env = {"MODEL": str(MODEL), "PYTHONPATH": str(HERE), "MLSERVER_LOGGING_SETTINGS": ""}
    argv = [PYTHON.parent / "mlserver", "start", folder]
    return Server(argv, port, env=env).wait("/v2/health/ready")


def write_body(folder):
    values = [round((i * 37 % 100) / 25 - 2, 3) for i in range(30)]
    body = json.dumps({"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32",
                                   "data": values}]}, separators=(",", ":")).encode()
    return write_request(folder / "infer", "POST", INFER, body, ["Content-Type: application/json"])


def answer(server, file):
    body = file.read_bytes().split(b"\r\n\r\n", 1)[1]
    status, _, reply = request(server.port, "POST", INFER, body,
                               {"Content-Type": "application/json"})
    if status != 200:
        raise SystemExit(f"{server.process.args[0]}: {status} {reply[:300]}")
    return json.loads(reply)["outputs"][0]["data"]


def turn(server, file, rate):
    requests = max(int(rate * TURN_SECONDS), TURN_REQUESTS_MIN)
    before = server.cpu_ns()
    report = load(server.port, [file], connections=CONNECTIONS, rate=rate, burst=CONNECTIONS,
                  requests=requests, spin=True)
    if report["failed"]:
        raise SystemExit(f"a turn failed: {report}")
    return (server.cpu_ns() - before) / report["requests"] / 1000


def compare(name, us, them, file, rate):
    expected, got = answer(them, file), answer(us, file)
    if max(abs(a - b) for a, b in zip(expected, got)) > 1e-6:
        raise SystemExit(f"answers differ: {got} and {expected}")
    ours, theirs = [], []
    for i in range(PAIRS + 1):
        for server, times in ((us, ours), (them, theirs))[:: 1 if i % 2 else -1]:
            times.append(turn(server, file, rate))
    ratios = [b / a for a, b in zip(ours[1:], theirs[1:])]  # the first pair warms up
    low, high = middle_half(ratios)
    ratio = statistics.median(ratios)
    info(f"net and {name}: {statistics.median(ours[1:]):.2f} and "
         f"{statistics.median(theirs[1:]):.1f} us CPU per request at {rate}/s, middle half "
         f"of the ratios 1/{low:.1f}..1/{high:.1f}")
    bar(f"onnx_cpu_vs_{name.lower()}", f"1/{ratio:.1f}", "<=1/30", ratio >= 30)


def main():
    library = ROOT / "build/venv-bench"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        file = write_body(folder)
        with start_slipway(folder / "data", library) as us:
            alone = [turn(us, file, RATE) for _ in range(PAIRS)]
            info(f"net alone: {statistics.median(alone):.2f} us CPU per request at {RATE}/s")
            with start_mlserver(folder / "mlserver") as them:
                compare("MLServer", us, them, file, RATE_MLSERVER)
            with start_fastapi() as them:
                compare("FastAPI", us, them, file, RATE_FASTAPI)
    sys.stdout.flush()
    sys.exit(subprocess.run([ROOT / "build/release/bench/bench_onnx", library]).returncode)


main()
