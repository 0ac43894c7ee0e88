"""One request to the average of three models, beside a request to each of the three.

A pair is a turn of the graph and a turn of the three, at the same fixed rate of requests; which
goes first alternates. CPU per answer is the CPU time of the server in its turn divided by the
averages it gave: the requests, or a third of them. The bar is the median of the pairs' ratios.

The server counts and records as it comes. Its models are the example's first version (20 trees).
"""
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, bar, info, load, middle_half, request, serve, slipway,
                     write_request)

PAIRS = int(os.environ.get("BENCH_PAIRS", "9"))
RATE = 12_000  # requests a second
SECONDS = 1
CONNECTIONS = 16
BOUND = 0.5
MODELS = ("a", "b", "c")
GRAPH = """graph: 1
nodes:
  a: {model: a, version: 1}
  b: {model: b, version: 1}
  c: {model: c, version: 1}
  average: {ensemble: average, of: [a, b, c]}
"""


def register(folder):
    for model in MODELS:
        slipway("model", "register", model, EXAMPLE / "model_v1.ubj", "--data", folder,
                "--owner", "bench@example.org", "--note", "bench",
                "--contract", EXAMPLE / "contract.yaml")
    graph = folder / "average.yaml"
    graph.write_text(GRAPH, encoding="ascii")
    slipway("model", "register", "average", graph, "--data", folder, "--owner",
            "bench@example.org", "--note", "bench", "--contract", EXAMPLE / "contract.yaml")


def turn(server, files, rate):
    """Microseconds of CPU for an answer; a round of `files` is one."""
    load(server.port, files, connections=CONNECTIONS, rate=rate, seconds=1)
    before = server.cpu_ns()
    report = load(server.port, files, connections=CONNECTIONS, rate=rate, seconds=SECONDS)
    if report["failed"]:
        raise SystemExit(f"{report['failed']} requests failed")
    return (server.cpu_ns() - before) / report["requests"] * len(files) / 1000


def main():
    row = (EXAMPLE / "request.json").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "data").mkdir()
        register(folder / "data")
        files = {model: write_request(folder / model, "POST", f"/predict/{model}", row,
                                      ["Content-Type: application/json"])
                 for model in (*MODELS, "average")}
        one, three = [files["average"]], [files[model] for model in MODELS]
        with serve(folder / "data") as server:
            server.wait("/readyz")
            for model in files:
                status = request(server.port, "POST", f"/predict/{model}", row)[0]
                assert status == 200, (model, status)
            sides = []
            for i in range(PAIRS):
                order = (one, three) if i % 2 else (three, one)
                took = {id(side): turn(server, side, RATE) for side in order}
                sides.append((took[id(one)], took[id(three)]))
                time.sleep(0.1)
    ratios = [graph / apart for graph, apart in sides]
    low, high = middle_half(ratios)
    graph, apart = (statistics.median(side) for side in zip(*sides))
    ratio = statistics.median(ratios)
    info(f"an average of three models: {graph:.1f} us of CPU as a graph, {apart:.1f} us as three "
         f"requests; ratio {ratio:.2f}, middle half {low:.2f}..{high:.2f}")
    bar("graph_vs_requests", f"{ratio:.2f}x", f"<={BOUND}x", ratio <= BOUND)


main()
