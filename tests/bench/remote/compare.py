"""What it costs to stand in front of another server: Slipway beside nginx as a reverse proxy.

Both pass the same requests on to the same server, a Slipway with the example's model, over
connections that are kept; all three share one core, the load generator has the other. CPU per
request is that of the one in front alone. nginx passes bytes; Slipway reads the tensors, writes
them as binary ones, reads the reply, checks it, writes it again. With the contract it also checks
the rows, counts them into the monitors' sketches and records them.

MLServer's lines are of a model of its own runtime interface, one row of numbers and texts, where
build/venv-bench has it: there the answers through Slipway are compared with its own.

Added latency is of one connection that asks again as soon as it is answered: the median through
Slipway minus the median of asking directly, pair by pair.
"""
import json
import os
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import (EXAMPLE, ROOT, Server, bar, free_port, info, load, middle_half, request, serve,
                     slipway, write_request)

HERE = pathlib.Path(__file__).resolve().parent
MLSERVER = ROOT / "build/venv-bench/bin/mlserver"
PAIRS = int(os.environ.get("BENCH_PAIRS", "11"))
RATE = 4_000
CONNECTIONS = 8
TURN_REQUESTS = 4_000
JSON_HEAD = ["Content-Type: application/json"]
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; use epoll; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream there {{ server 127.0.0.1:{there}; keepalive 16; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://there; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host localhost; }}
  }}
}}
"""


def register(folder, artifact, *flags):
    slipway("model", "register", "triage", artifact, "--data", folder, "--alias", "champion",
            "--owner", "bench@example.org", *flags)


def start_front(folder, there, name, options=(), flags=()):
    """A Slipway whose model is the other server's."""
    yaml = folder / "triage.yaml"
    yaml.write_text("remote: 1\nendpoint: there\nmodel: triage\nclasses: 2\nconnections: 16\n"
                    "outputs: [{name: predict, dtype: FP32, shape: [-1]}]\n")
    data = folder / name
    server = serve(data, options=[f"--remote-endpoints=there=http://127.0.0.1:{there.port}",
                                  *options]).wait()
    register(data, yaml, *flags)
    return server


def start_nginx(folder, there):
    port = free_port()
    folder.mkdir()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, port=port, there=there.port))
    path = "/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else "nginx"
    return Server([path, "-p", folder, "-e", folder / "error.log", "-c", conf], port).wait()


def write_requests(folder):
    row = json.loads((EXAMPLE / "request.json").read_text())
    tensor = {"name": "input", "shape": [1, 30], "datatype": "FP32", "data": list(row.values())}
    infer = json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()
    return write_request(folder / "infer", "POST", "/v2/models/triage/infer", infer, JSON_HEAD)


def check_same_answer(servers, file):
    body = file.read_bytes().split(b"\r\n\r\n", 1)[1]
    answers = [json.loads(request(s.port, "POST", "/v2/models/triage/infer", body,
                                  {"Content-Type": "application/json"})[2])["outputs"]
               for s in servers]
    if any(answer != answers[0] for answer in answers):
        raise SystemExit(f"answers differ: {answers}")


def turn_cpu(server, file):
    before = server.cpu_ns()
    report = load(server.port, [file], connections=CONNECTIONS, rate=RATE, burst=CONNECTIONS,
                  requests=TURN_REQUESTS)
    if report["failed"]:
        raise SystemExit(f"a turn failed: {report}")
    return (server.cpu_ns() - before) / report["requests"] / 1000


def turn_latency(server, file):
    report = load(server.port, [file], connections=1, requests=TURN_REQUESTS // 4)
    if report["failed"]:
        raise SystemExit(f"a turn failed: {report}")
    return report["p50_us"]


def pairs(turn, ours, theirs, file):
    times = [], []
    for i in range(PAIRS + 1):
        for side in ((0, 1), (1, 0))[i % 2]:
            times[side].append(turn((ours, theirs)[side], file))
    return times[0][1:], times[1][1:]  # the first pair warms up


def compare_cpu(label, ours, nginx, file):
    a, b = pairs(turn_cpu, ours, nginx, file)
    ratios = [x / y for x, y in zip(a, b)]
    low, high = middle_half(ratios)
    info(f"{label}: {statistics.median(a):.1f} and {statistics.median(b):.1f} us CPU per request "
         f"at {RATE}/s, ratio {statistics.median(ratios):.2f}, middle half {low:.2f}..{high:.2f} "
         f"of {PAIRS} pairs")
    return statistics.median(ratios)


def compare_latency(label, front, there, file):
    a, b = pairs(turn_latency, front, there, file)
    added = [x - y for x, y in zip(a, b)]
    low, high = middle_half(added)
    info(f"{label}: {statistics.median(a):.1f} us, directly {statistics.median(b):.1f} us, added "
         f"{statistics.median(added):.1f} us, middle half {low:.1f}..{high:.1f} of {PAIRS} pairs")
    return statistics.median(added)


# --- MLServer --------------------------------------------------------------------------


def start_mlserver(folder):
    folder.mkdir()
    port = free_port()
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
        "metrics_port": free_port(), "parallel_workers": 0}))
    tensors = [{"name": name, "datatype": dtype, "shape": shape} for name, dtype, shape in
               (("x", "FP32", [-1, 2]), ("s", "BYTES", [-1]), ("total", "FP64", [-1]),
                ("text", "BYTES", [-1]))]
    (folder / "model-settings.json").write_text(json.dumps({
        "name": "sum", "implementation": "mlserver_sum.Sum", "inputs": tensors[:2],
        "outputs": tensors[2:]}))
    env = {"PYTHONPATH": str(HERE), "MLSERVER_LOGGING_SETTINGS": ""}
    return Server([MLSERVER, "start", folder], port, env=env).wait("/v2/health/ready")


def compare_mlserver(folder):
    path = "/v2/models/sum/infer"
    body = json.dumps({"inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, 3, -4]},
        {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "\u00e9"]}]}).encode()
    file = write_request(folder / "sum", "POST", path, body, JSON_HEAD)
    yaml = folder / "sum.yaml"
    yaml.write_text("remote: 1\nendpoint: mlserver\nmodel: sum\n")
    with start_mlserver(folder / "mlserver") as there, \
            serve(folder / "sums", options=[
                f"--remote-endpoints=mlserver=http://127.0.0.1:{there.port}"]).wait() as front:
        slipway("model", "register", "sum", yaml, "--data", folder / "sums", "--owner",
                "bench@example.org")
        answers = [{o["name"]: o["data"] for o in json.loads(request(
            s.port, "POST", path, body, {"Content-Type": "application/json"})[2])["outputs"]}
            for s in (there, front)]
        if answers[0] != answers[1]:
            raise SystemExit(f"answers differ: {answers}")
        info(f"MLServer's answer, and through Slipway: {answers[0]}")
        compare_latency("one request to MLServer through Slipway", front, there, file)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        file = write_requests(folder)
        alone = ["--monitors=false", "--records=false"]
        with serve(folder / "there", options=alone).wait() as there:
            register(folder / "there", EXAMPLE / "model.ubj")
            contract = ["--contract", EXAMPLE / "contract.yaml"]
            with start_front(folder, there, "plain", alone) as plain, \
                    start_front(folder, there, "watched", flags=contract) as watched, \
                    start_nginx(folder / "nginx", there) as nginx:
                check_same_answer([there, plain, watched, nginx], file)
                ratio = compare_cpu("passing on, and nginx", plain, nginx, file)
                bar("remote_cpu_vs_nginx_proxy", f"{ratio:.2f}x", "<=1.6x", ratio <= 1.6)
                compare_cpu("contract, monitors, records, and nginx", watched, nginx, file)
                added = compare_latency("one request through it", plain, there, file)
                bar("remote_added_latency", f"{added:.0f}us", "<=60us", added <= 60)
                compare_latency("one request through nginx", nginx, there, file)
        if MLSERVER.exists():
            compare_mlserver(folder)


if __name__ == "__main__":
    main()
