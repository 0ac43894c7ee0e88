"""CPU of one prediction over gRPC: beside JSON over HTTP/1, and beside MLServer's gRPC.

Pairs of turns as in tests/bench/http, but by h2load, which speaks both protocols: each side of a
pair gets the same number of requests at the same fixed rate from the same program. The model is
the example's, one row of 30 features; MLServer serves the same file by its XGBoost runtime, with
its presets but for batching, which waits for other requests, and workers, which it then needs not.
"""
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (CLIENT_CPU, EXAMPLE, ROOT, Server, bar, free_port, info, middle_half, pinned,
                     register_triage, serve)

PAIRS = int(os.environ.get("BENCH_PAIRS", "11"))
CONNECTIONS = 16
RATE = 16_000
RATE_MLSERVER = 320  # about half of what it can do
TURN_SECONDS = 1
TURN_SECONDS_MLSERVER = 3
ALONE = ["--monitors=false", "--records=false"]
INFER = "/inference.GRPCInferenceService/ModelInfer"
GRPC_HEAD = ["content-type: application/grpc", "te: trailers"]
MLSERVER = ROOT / "build/venv-mlserver/bin/mlserver"


def field(number, data):
    """A field of bytes of the Protocol Buffers wire format; all here are shorter than 128."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def infer_message(row):
    shape = bytes([1, len(row)])
    tensor = field(1, b"input") + field(2, b"FP32") + field(3, shape)
    raw = struct.pack(f"<{len(row)}f", *row)
    raw = bytes([7 << 3 | 2, len(raw)]) + raw
    message = field(1, b"triage") + field(5, tensor) + raw
    return b"\0" + struct.pack(">I", len(message)) + message


def write_bodies(folder):
    row = list(json.loads((EXAMPLE / "request.json").read_text()).values())
    body = {"inputs": [{"name": "input", "shape": [1, len(row)], "datatype": "FP32",
                        "data": row}]}
    (folder / "grpc").write_bytes(infer_message(row))
    (folder / "json").write_text(json.dumps(body, separators=(",", ":")))


class Side:
    """A server, and how it is asked."""

    def __init__(self, name, server, port, path, body, flags=(), heads=()):
        self.name, self.server = name, server
        self.argv = ["h2load", f"--clients={CONNECTIONS}", "--max-concurrent-streams=1",
                     f"--data={body}", *flags, *(f"--header={head}" for head in heads),
                     f"http://127.0.0.1:{port}{path}"]

    def turn(self, rate, seconds):
        """CPU time of the server a request, in us."""
        count = int(rate * seconds)
        argv = [*self.argv, f"--requests={count}", f"--rps={rate / CONNECTIONS:g}"]
        before = self.server.cpu_ns()
        done = subprocess.run(argv, check=True, capture_output=True, text=True,
                              preexec_fn=pinned(CLIENT_CPU))
        spent = self.server.cpu_ns() - before
        if f"{count} succeeded, 0 failed" not in done.stdout:
            raise SystemExit(f"{self.name}: {done.stdout}")
        self.bytes = int(re.search(r"\((\d+)\) data", done.stdout)[1]) // count
        return spent / count / 1000


def compare(first, second, rate, seconds):
    """Pairs of turns, which goes first alternates; the median ratio of first to second."""
    pairs = []
    for side in (first, second):
        side.turn(rate, seconds / 2)
    for i in range(PAIRS):
        order = (first, second) if i % 2 == 0 else (second, first)
        took = {side: side.turn(rate, seconds) for side in order}
        pairs.append((took[first], took[second]))
    ratios = [a / b for a, b in pairs]
    low, high = middle_half(ratios)
    ours, theirs = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(ratios)
    info(f"{first.name} and {second.name}: {ours:.2f} and {theirs:.2f} us CPU per request at "
         f"{rate}/s, ratio {ratio:.3f}, middle half {low:.3f}..{high:.3f} of {PAIRS} pairs")
    return ratio


def start_mlserver(folder):
    ports = [free_port() for _ in range(3)]
    settings = {"host": "127.0.0.1", "http_port": ports[0], "grpc_port": ports[1],
                "metrics_port": ports[2], "parallel_workers": 0, "debug": False}
    model = {"name": "triage", "implementation": "mlserver_xgboost.XGBoostModel",
             "parameters": {"uri": "./model.ubj", "version": "1"}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    shutil.copy(EXAMPLE / "model.ubj", folder / "model.ubj")
    server = Server([MLSERVER, "start", folder], ports[0])
    return server.wait("/v2/health/ready"), ports[1]


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_bodies(folder)
        register_triage(folder / "data")
        with serve(folder / "data", options=ALONE) as slipway:
            slipway.wait("/readyz")
            grpc = Side("gRPC", slipway, slipway.port, INFER, folder / "grpc", heads=GRPC_HEAD)
            rest = Side("JSON over HTTP/1", slipway, slipway.port, "/v2/models/triage/infer",
                        folder / "json", flags=["--h1"],
                        heads=["content-type: application/json"])
            ratio = compare(grpc, rest, RATE, TURN_SECONDS)
            bar("grpc_cpu_vs_http1", f"{ratio:.2f}x", "<=1.3x", ratio <= 1.3)
            (folder / "mlserver").mkdir()
            mlserver, port = start_mlserver(folder / "mlserver")
            with mlserver:
                other = Side("MLServer's gRPC", mlserver, port, INFER, folder / "grpc",
                             heads=GRPC_HEAD)
                ratio = compare(grpc, other, RATE_MLSERVER, TURN_SECONDS_MLSERVER)
            info(f"replies have {grpc.bytes} and {other.bytes} bytes")
            bar("grpc_cpu_vs_mlserver", f"1/{1 / ratio:.1f}", "<=1/20", ratio <= 1 / 20)


if __name__ == "__main__":
    main()
