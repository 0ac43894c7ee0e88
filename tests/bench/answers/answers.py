"""The response cache: what a hit saves, what a miss costs, what it holds.

The model is tests/slow. One data thread; the load generator on the other core.

hit        a model that computes for 2 ms a call, one connection: 16 questions again and again, once
           passed by (Cache-Control: no-store), once answered from the cache
miss       a model of no time on the thread of its connection: without a cache, and with one whose
           answers are too old after 1 us, so that each is looked for, computed and kept again. What
           that is more is CPU time of the server by request; in turns, the median of differences
budget     the memory of the server after that, in which many times the 8 MiB of the cache were
           written, beside that before
"""
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (ROOT, SERVER_CPU, Server, bar, free_port, info, load, request,  # noqa: E402
                     write_request)

SLOW = ROOT / "build/release/slipway-slow"
MIB = 1024 * 1024
SECONDS = 3
ROUNDS = 5
QUESTIONS = 16
MODELS = {"slow": "slipway-slow\ncall_us=2000\nspins=1\n",
          "fast": "slipway-slow\ncall_us=0\ninline=1\n"}


def serve():
    folder, port = tempfile.mkdtemp(prefix="slipway-bench-"), free_port()
    for name, text in MODELS.items():
        model = pathlib.Path(folder) / name
        model.write_text(text, encoding="ascii")
        subprocess.run([SLOW, "model", "register", name, model, "--owner", "bench@example.org",
                        "--alias", "champion", "--data", f"{folder}/data"], check=True,
                       capture_output=True)
    argv = [SLOW, "serve", "--data", f"{folder}/data", "--listen", f"127.0.0.1:{port}",
            "--data-threads", 1, "--record-share", 0]
    return Server(argv, port, SERVER_CPU).wait("/readyz")


def set_cache(port, model, **cache):
    status, _, reply = request(port, "PUT", f"/api/models/{model}/serving",
                               json.dumps({"cache": cache or "off"}),
                               {"Content-Type": "application/json"})
    if status != 200:
        raise SystemExit(f"serving: {status} {reply.decode()}")


def questions(folder, model, count, headers=()):
    files = []
    for i in range(count):
        body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4],
                                       "data": [float(i), 1.0, 2.0, 3.0]}]}).encode()
        files.append(write_request(pathlib.Path(folder) / f"{model}-{len(headers)}-{i}", "POST",
                                   f"/v2/models/{model}/infer", body,
                                   ["Content-Type: application/json", *headers]))
    return files


def counts(port, model):
    text = request(port, "GET", "/metrics")[2].decode()
    found = re.findall(r'response_cache_requests_total{model="%s",version="1",result="(\w+)"} (\d+)'
                       % model, text)
    return {result: int(count) for result, count in found}


def run(server, files, **options):
    """(report, CPU of the server by request in us)"""
    before = server.cpu_ns()
    report = load(server.port, files, seconds=SECONDS, **options)
    if report["failed"] or report["not_200"]:
        raise SystemExit(f"{report['failed']} failed, {report['not_200']} not answered by 200")
    return report, (server.cpu_ns() - before) / 1000 / report["answered"]


def hits(server, folder):
    set_cache(server.port, "slow", max_bytes="16M")
    passing = questions(folder, "slow", QUESTIONS, ["Cache-Control: no-store"])
    missed, missed_us = run(server, passing, connections=1)
    asked = questions(folder, "slow", QUESTIONS)
    run(server, asked, connections=1)
    hit, hit_us = run(server, asked, connections=1)
    for what, report, us in (("computed", missed, missed_us), ("hit", hit, hit_us)):
        info(f"{what} p50 {report['p50_us']:.0f} us, p99 {report['p99_us']:.0f} us, "
             f"{us:.1f} us of CPU")
    bar("cache_hit_latency", f"{missed['p50_us'] / hit['p50_us']:.0f}x", ">=10x",
        missed["p50_us"] >= 10 * hit["p50_us"])
    bar("cache_hit_cpu", f"{missed_us / hit_us:.0f}x", ">=20x", missed_us >= 20 * hit_us)


def misses(server, folder):
    files = questions(folder, "fast", QUESTIONS)
    run(server, files, connections=4)
    before, more, written = server.resident_bytes(), [], 0
    for _ in range(ROUNDS):
        set_cache(server.port, "fast")
        without = run(server, files, connections=4)[1]
        set_cache(server.port, "fast", max_bytes="8M", ttl="1us")
        report, us = run(server, files, connections=4)
        written += report["answered"]
        more.append(us - without)
    got = counts(server.port, "fast")
    info(f"a request without {without:.2f} us of CPU; more with a cache that misses: "
         + ", ".join(f"{us:.2f}" for us in more) + f" us; {got['hit']} hits, {got['miss']} misses")
    median = statistics.median(more)
    bar("cache_miss_overhead", f"{median:.2f}us", "<=2us",
        median <= 2 and got["hit"] * 100 < got["miss"])
    grown = (server.resident_bytes() - before) / MIB
    info(f"{written} answers written")
    bar("cache_budget", f"{grown:+.1f}MiB", "<=9MiB", grown <= 9)


def main():
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, serve() as server:
        hits(server, folder)
        misses(server, folder)


main()
