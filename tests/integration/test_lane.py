"""Models that take their time: their own threads, deadlines, priorities, clients that leave.

What could break: a request of one model that waits for another one's, an answer after its deadline
or none at all, work for clients that are gone, a queue without an end. The model is the runtime of
tests/slow, whose calls take as long as its file says.
"""
import concurrent.futures
import contextlib
import json
import math
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
import requests

from api import REQUEST, Api, register_triage
from server import PATIENCE, PROGRAM
from test_tls import make_certificate

SLOW = pathlib.Path(PROGRAM).resolve().with_name("slipway-slow")
pytestmark = pytest.mark.skipif(not SLOW.exists(), reason="build/MODE/slipway-slow is not built")


def wait_for(what, seconds=10):
    end = time.monotonic() + seconds * PATIENCE
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def infer_body(rows=1, first=1.0, **parameters):
    data = [first + i for i in range(4 * rows)]
    body = {"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": data}]}
    return {**body, "parameters": parameters} if parameters else body


def sums(rows=1, first=1.0):
    return [4 * (first + 4 * i) + 6 for i in range(rows)]


def register(api, name, serving=None, **settings):
    lines = "".join(f"{key}={value}\n" for key, value in settings.items())
    api.register(name, f"slipway-slow\n{lines}".encode())
    api.set_alias(name, "champion", 1)
    if serving:
        api.put(f"/api/models/{name}/serving", serving)


def lane(api, name):
    return api.get(f"/api/models/{name}/serving").json()["versions"][0]


def arrived(stats):
    return stats["requests"] + stats["waiting"]  # begun or not yet


def infer(api, name, expect=200, headers=None, **body):
    return api.post(f"/v2/models/{name}/infer", infer_body(**body), expect, headers=headers)


@pytest.fixture
def slow(make_server):
    server = make_server(program=SLOW)
    server.api = Api(server.url)
    return server


def test_a_model_that_is_stuck_delays_no_other(slow):
    """Model `stuck` takes 0.8 s a call and listens to nobody; `quick` and trees go on meanwhile."""
    register(slow.api, "stuck", call_us=800000 * PATIENCE, obeys=0)
    register(slow.api, "quick", call_us=100)
    register_triage(slow.api)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        held = [pool.submit(infer, Api(slow.url), "stuck") for _ in range(3)]
        wait_for(lambda: lane(slow.api, "stuck")["requests"] >= 1)
        for i in range(50):
            assert infer(slow.api, "quick", first=i).json()["outputs"][0]["data"] == sums(1, i)
            slow.api.post("/predict/triage", REQUEST)
        assert not held[0].done()
        for one in held:
            assert one.result().json()["outputs"][0]["data"] == sums()
    assert lane(slow.api, "stuck")["threads"] == 1


def test_requests_that_wait_are_joined_and_get_their_own_rows(slow):
    register(slow.api, "m", call_us=30000 * PATIENCE)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asked = [(rows, pool.submit(infer, Api(slow.url), "m", rows=rows, first=float(i)))
                 for i, rows in enumerate([1, 2, 3] * 4)]
        for i, (rows, answer) in enumerate(asked):
            assert answer.result().json()["outputs"][0]["data"] == sums(rows, float(i))
    counted = lane(slow.api, "m")
    assert counted["requests"] == 12 and counted["rows"] == 24
    assert sum(counted["closed"].values()) < 12
    metrics = slow.api.get("/metrics").text
    assert 'slipway_batch_rows_total{model="m",version="1"} 24\n' in metrics
    assert 'slipway_queue_seconds_count{model="m",version="1"} 12\n' in metrics


def test_a_bad_row_fails_its_own_request_only(slow):
    register(slow.api, "m", call_us=30000, poison=666)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(infer, Api(slow.url), "m", None, first=666.0 if i == 3 else 1.0)
                 for i in range(6)]
        statuses = [one.result().status_code for one in asked]
    assert statuses == [200, 200, 200, 400, 200, 200]


def test_the_deadline_is_kept_although_the_model_does_not_listen(slow):
    """The 504 comes at the deadline; the connection and the server go on; memory comes back."""
    register(slow.api, "m", call_us=500000 * PATIENCE, obeys=0)
    start = time.monotonic()
    reply = infer(slow.api, "m", 504, timeout=50000)
    assert time.monotonic() - start < 0.45 * PATIENCE
    assert "Request timeout expired" in reply.json()["error"]
    slow.api.get("/livez")  # on the same connection
    reply = infer(slow.api, "m", 504, headers={"X-Request-Timeout": "20ms"})
    assert "within 20 ms" in reply.json()["error"]
    assert infer(slow.api, "m").json()["outputs"][0]["data"] == sums()
    wait_for(lambda: "slipway_lane_bytes 0\n" in slow.api.get("/metrics").text)
    counted = lane(slow.api, "m")
    assert counted["late"] == 2
    assert counted["requests"] == 2  # the second one had no time left when its turn came
    requests = slow.api.get("/metrics").text
    assert 'version="1",code="504"} 2\n' in requests


def test_the_settings_bound_what_a_caller_may_ask_for(slow):
    register(slow.api, "m", {"queue": {"timeout": "40ms"}}, call_us=300000 * PATIENCE)
    assert "within 40 ms" in infer(slow.api, "m", 504, timeout=10 ** 9).json()["error"]
    assert "timeout" in infer(slow.api, "m", 400, timeout="soon").json()["error"]
    assert "priority" in infer(slow.api, "m", 400, priority=-1).json()["error"]


def test_urgent_requests_go_first(slow):
    register(slow.api, "m", {"batching": {"max_rows": 1}}, call_us=50000 * PATIENCE)
    order, lock = [], threading.Lock()

    def ask(priority):
        infer(Api(slow.url), "m", priority=priority)
        with lock:
            order.append(priority)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        pool.submit(infer, Api(slow.url), "m")
        wait_for(lambda: lane(slow.api, "m")["requests"] == 1)
        for number, priority in enumerate([9, 5, 1], 1):
            pool.submit(ask, priority)
            wait_for(lambda: lane(slow.api, "m")["waiting"] >= number
                     or lane(slow.api, "m")["requests"] > 1)
        in_time = lane(slow.api, "m")["requests"] == 1
    assert sorted(order) == [1, 5, 9]
    if in_time:  # else the machine was too slow to let all three wait together
        assert order == [1, 5, 9]


def test_a_full_queue_is_refused_at_once_with_retry_after(slow):
    """Five requests of 0.25 s wait, which is known since the first call: about two seconds."""
    register(slow.api, "m", {"queue": {"max_requests": 5}, "batching": {"max_rows": 1}},
             call_us=250000 * PATIENCE)
    infer(slow.api, "m")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = pool.submit(infer, Api(slow.url), "m", None)
        wait_for(lambda: lane(slow.api, "m")["requests"] == 2)
        others = [pool.submit(infer, Api(slow.url), "m", None) for _ in range(5)]
        wait_for(lambda: lane(slow.api, "m")["waiting"] == 5)
        reply = infer(slow.api, "m", 503)
        assert 0 <= int(reply.headers["Retry-After"]) - math.ceil(5 * 0.25 * PATIENCE) <= 1
        assert "Exceeds maximum queue size" in reply.json()["error"]
        assert infer(slow.api, "m", None, priority=1).status_code == 200  # a place for the urgent
        assert [one.result().status_code for one in [first, *others]] == [200] * 6
    assert lane(slow.api, "m")["refused"] == 1


def answers(api):
    with contextlib.suppress(requests.exceptions.ConnectionError):
        return api.get("/readyz").status_code == 200
    return False


def request_bytes(name):
    body = json.dumps(infer_body()).encode()
    return (f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def send(server, name):
    """A request on a socket of its own, not read."""
    sock = socket.create_connection(("127.0.0.1", server.port), 10)
    sock.sendall(request_bytes(name))
    return sock


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_frees_its_place_and_stops_the_model(slow, how):
    """A call of 60 s ends when its client is gone; what waited is dropped without a call."""
    register(slow.api, "m", {"batching": {"max_rows": 1}, "queue": {"timeout": "2m"}},
             call_us=60000000)
    runs = send(slow, "m")
    wait_for(lambda: lane(slow.api, "m")["requests"] == 1)
    waits = send(slow, "m")
    wait_for(lambda: lane(slow.api, "m")["waiting"] == 1)
    for sock in (waits, runs):
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    wait_for(lambda: lane(slow.api, "m")["cancelled"] == 2)
    counted = lane(slow.api, "m")
    assert counted["requests"] == 1 and counted["waiting"] == 0
    wait_for(lambda: 'model="m",version="1",code="499"} 2\n' in slow.api.get("/metrics").text)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_tls_client_that_leaves_is_noticed(make_server, tmp_path):
    """Its farewell, then its end, are read although its request is with the model."""
    cert, key = make_certificate(tmp_path, "server")
    server = make_server("--tls-cert", cert, "--tls-key", key, start=False, program=SLOW)
    server.start(wait=False)
    api = Api(f"https://localhost:{server.port}")
    api.session.verify = str(cert)
    wait_for(lambda: answers(api))
    register(api, "m", {"queue": {"timeout": "2m"}}, call_us=60000000)
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        context = ssl.create_default_context(cafile=str(cert))
        sock = context.wrap_socket(raw, server_hostname="localhost")
        sock.sendall(request_bytes("m"))
        wait_for(lambda: lane(api, "m")["requests"] == 1)
        sock.setblocking(False)
        with contextlib.suppress(ssl.SSLError):
            sock.unwrap()  # says goodbye, and does not wait for an answer
        sock.close()
    wait_for(lambda: lane(api, "m")["cancelled"] == 1)


def test_pipelined_requests_are_answered_in_order(slow):
    """The second request is read while the first one waits, and is not lost."""
    register(slow.api, "m", call_us=50000)
    sock = send(slow, "m")
    time.sleep(0.01)
    sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    received = b""
    while chunk := sock.recv(65536):
        received += chunk
    first, second = received.split(b"HTTP/1.1 200 OK")[1:]
    assert b'"data":[10.0]' in first and b"outputs" not in second


def test_calls_of_a_fast_model_that_are_long_leave_the_data_thread(slow):
    """It says that it is fast; the first call tells otherwise, so the next ones go to its lane."""
    register(slow.api, "m", call_us=1000, inline=1)
    for _ in range(5):
        assert infer(slow.api, "m").json()["outputs"][0]["data"] == sums()
    counted = lane(slow.api, "m")
    assert counted["runs"] == "inline" and counted["requests"] == 4


# ---- large requests, whose steps run beside the data thread ----

LARGE = 1200  # rows: more than 128 KiB of body


def test_large_requests_are_answered_like_small_ones(slow):
    """By fields, with a broken row, with a broken body, by tensors in JSON and binary form."""
    register_triage(slow.api)
    one = slow.api.post("/predict/triage", REQUEST).json()["predictions"][0]
    large = {"rows": [REQUEST] * LARGE}
    answers = slow.api.post("/predict/triage", large).json()["predictions"]
    assert len(answers) == LARGE
    assert {one["probability"]} == {answer["probability"] for answer in answers}
    large["rows"][LARGE - 2] = {**REQUEST, "mean_radius": "17,06"}
    violation = slow.api.post("/predict/triage", large, 422).json()["violation"]
    assert (violation["row"], violation["field"]) == (LARGE - 2, "mean_radius")
    assert "JSON" in slow.api.call("POST", "/predict/triage", 400, data=b"[" * 200000).text
    slow.api.post("/predict/none", large, 404)
    matrix = list(REQUEST.values()) * LARGE
    tensor = {"name": "input", "shape": [LARGE, len(REQUEST)], "datatype": "FP32"}
    name = slow.api.get("/v2/models/triage").json()["inputs"][0]["name"]
    tensor["name"] = name
    body = {"inputs": [{**tensor, "data": matrix}]}
    reply = slow.api.post("/v2/models/triage/infer", body).json()
    probability = reply["outputs"][0]["data"]
    assert len(probability) == LARGE and len(set(probability)) == 1
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 4 * len(matrix)}}]})
    binary = slow.api.call("POST", "/v2/models/triage/infer", 200,
                           data=head.encode() + struct.pack(f"<{len(matrix)}f", *matrix),
                           headers={"Inference-Header-Content-Length": str(len(head))}).json()
    assert binary["outputs"] == reply["outputs"]


def test_large_requests_of_a_slow_model_go_through_its_lane_too(slow):
    register(slow.api, "m", call_us=1000, batch_rows_max=100000)
    rows = 8000
    reply = infer(slow.api, "m", rows=rows).json()
    assert reply["outputs"][0]["data"] == sums(rows)
    assert lane(slow.api, "m")["rows"] == rows
    assert "within" in infer(slow.api, "m", 504, rows=rows, timeout=1).json()["error"]
    wait_for(lambda: "slipway_lane_bytes 0\n" in slow.api.get("/metrics").text)


def test_clients_of_large_requests_may_leave(slow):
    register_triage(slow.api)
    body = json.dumps({"rows": [REQUEST] * LARGE}).encode()
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", slow.port), 10) as sock:
            sock.sendall(b"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d"
                         b"\r\n\r\n%s" % (len(body), body))
    slow.api.post("/predict/triage", REQUEST)
    wait_for(lambda: "slipway_lane_bytes 0\n" in slow.api.get("/metrics").text)


def test_a_version_that_is_taken_away_answers_what_it_has_begun(slow):
    register(slow.api, "m", call_us=300000 * PATIENCE)
    slow.api.register("m", b"slipway-slow\ncall_us=10\nrow_us=1\n")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        begun = pool.submit(infer, Api(slow.url), "m")
        wait_for(lambda: lane(slow.api, "m")["requests"] == 1)
        slow.api.set_alias("m", "champion", 2)
        slow.api.set_alias("m", "champion", 2)
        assert infer(slow.api, "m").json()["model_version"] == "2"
        assert begun.result().json()["model_version"] == "1"


def test_a_server_that_stops_answers_what_waits(slow):
    register(slow.api, "m", {"batching": {"max_rows": 1}}, call_us=200000)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(infer, Api(slow.url), "m") for _ in range(3)]
        wait_for(lambda: arrived(lane(slow.api, "m")) == 3)
        assert slow.stop() == 0
        for one in asked:
            assert one.result().json()["outputs"][0]["data"] == sums()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_http2_streams_that_are_late_and_clients_that_leave(slow):
    """The model listens to nobody, so memory is in use when its stream and its connection are gone.
    """
    register(slow.api, "m", call_us=400000 * PATIENCE, obeys=0)

    def curl(*args):
        return subprocess.run(["curl", "--silent", "--noproxy", "*", "-o", "/dev/null", "-w",
                               "%{http_code}", "--http2-prior-knowledge", "-d",
                               json.dumps(infer_body()), *args, slow.url + "/v2/models/m/infer"],
                              capture_output=True, text=True, check=False)

    assert curl("-H", "X-Request-Timeout: 50ms").stdout == "504"
    assert curl("--max-time", str(0.1 * PATIENCE)).returncode == 28  # its own time was over
    wait_for(lambda: "slipway_lane_bytes 0\n" in slow.api.get("/metrics").text)
    counted = lane(slow.api, "m")
    assert (counted["late"], counted["cancelled"]) == (1, 1)
    assert curl().stdout == "200"


CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: sum
name: Four numbers
version: 1.0.0
status: active
schema:
  - name: row
    logicalType: object
    properties:
      - {name: a, logicalType: number, required: true}
      - {name: b, logicalType: number, required: true}
      - {name: c, logicalType: number, required: true}
      - {name: d, logicalType: number, required: true, logicalTypeOptions: {maximum: 100}}
      - name: total
        logicalType: number
        customProperties: [{property: slipwayRole, value: prediction}]
"""


def test_contracts_reviews_and_records_know_no_difference(slow):
    """By named fields: an answer, a violation (never queued), an answer that a person holds, and a
    record of what was answered."""
    slow.api.register("m", b"slipway-slow\ncall_us=2000\n", CONTRACT.encode())
    slow.api.set_alias("m", "champion", 1)
    row = {"a": 1, "b": 2, "c": 3, "d": 4}
    headers = {"X-Request-Id": "lane-1"}
    reply = slow.api.post("/predict/m", {"rows": [row, {**row, "a": 5}]}, headers=headers).json()
    assert [one["value"] for one in reply["predictions"]] == [10.0, 14.0]
    late = slow.api.post("/predict/m", row, 504, headers={"X-Request-Timeout": "1us"})
    assert late.json()["code"] == "timeout"
    broken = slow.api.post("/predict/m", {**row, "d": 101}, 422)
    assert broken.json()["violation"]["field"] == "d"
    slow.api.put("/api/models/m/review", {"rules": [
        {"name": "high", "when": "a > 4", "mode": "hold", "sla": "1h",
         "on_expiry": "default"}]})
    held = slow.api.post("/predict/m", {**row, "a": 5}, 202).json()
    assert held["state"] == "held"
    assert slow.api.post("/predict/m", row).json()["predictions"][0]["value"] == 10.0
    counted = lane(slow.api, "m")
    assert counted["requests"] == 3 and counted["late"] == 1
    wait_for(lambda: slow.api.get("/api/predictions/lane-1-1", None).status_code == 200)
    found = slow.api.get("/api/predictions/lane-1-1").json()
    assert "14" in json.dumps(found)


def test_a_command_on_a_folder_of_its_own_needs_no_lane(tmp_path):
    model = tmp_path / "m.slow"
    model.write_bytes(b"slipway-slow\ncall_us=1000\n")
    contract = tmp_path / "contract.yaml"
    contract.write_text(CONTRACT)

    def run(*args):
        return subprocess.run([SLOW, *map(str, args), "--data", tmp_path / "data"], check=True,
                              capture_output=True, text=True).stdout

    run("model", "register", "m", model, "--owner", "lab@example.org", "--contract", contract,
        "--alias", "champion")
    answer = json.loads(run("predict", "m", "--json", '{"a": 1, "b": 2, "c": 3, "d": 4}'))
    assert answer["predictions"][0]["value"] == 10.0
    assert "instances   auto" in run("model", "serving", "m")
