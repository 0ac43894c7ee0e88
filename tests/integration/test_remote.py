"""Models that another server serves: right answers by every way, and every way to go wrong.

What could break: a tensor that changes on its way, a reply that is believed although it is not what
was agreed, a server elsewhere that hangs or lies and takes other requests, the start or the memory
along, a secret or a redirect that leads somewhere else.
"""
import concurrent.futures
import json
import socket
import struct
import time

import pytest

from api import REQUEST, Api, golden_rows, read, register_triage
from elsewhere import METADATA, Elsewhere, outputs, reply, right, texts
from server import PATIENCE
from test_monitor import send, wait_for_window
from secure import Authority, Secure, needs_openssl

YAML = b"remote: 1\nendpoint: stub\nmodel: sum\n"
BINARY = ["binary_tensor_data"]


def body(rows, text, **more):
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 2],
                        "data": [value for row in rows for value in row]},
                       {"name": "s", "datatype": "BYTES", "shape": [len(text)], "data": text}],
            **more}


def infer(api, rows=((1, 2.5), (3, -4)), text=("a", "é"), expect=200, **more):
    return api.post("/v2/models/sum/infer", body(list(rows), list(text), **more), expect).json()


def answer(reply_json):
    return {output["name"]: output["data"] for output in reply_json["outputs"]}


TRIAGE = b"remote: 1\nendpoint: there\nmodel: triage\nclasses: 2\n"
RIGHT = {"total": [3.5, -1], "text": ["a", "é"]}


@pytest.fixture
def stub():
    with Elsewhere() as elsewhere:
        yield elsewhere


@pytest.fixture
def front(make_server, stub):
    """A server in front of the stub."""
    server = make_server("--remote-endpoints", f"stub={stub.url}")
    server.api = Api(server.url)
    return server


# ---- right answers ----

def test_json_and_binary_give_the_same(make_server):
    for extensions in ([], BINARY):
        with Elsewhere(extensions) as stub:
            server = make_server("--remote-endpoints", f"stub={stub.url}/")
            api = Api(server.url)
            registered = api.register("sum", YAML)
            assert registered["runtime"] == "remote"
            trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            given = api.post("/v2/models/sum/infer",
                             body([[1, 2.5], [3, -4]], ["a", "é"], parameters={"unit": "kg"}),
                             headers={"traceparent": trace, "X-Request-Id": "r-7"})
            assert answer(given.json()) == RIGHT
            sent = stub.requests[-1]
            assert sent.json["id"] == "r-7"
            assert sent.headers["x-request-id"] == "r-7"
            assert sent.headers["traceparent"] == given.headers["traceparent"]
            assert sent.headers["traceparent"][3:35] == trace[3:35]
            assert sent.json["parameters"]["unit"] == "kg"
            assert 0 < sent.json["parameters"]["timeout"] <= 30_000_000
            assert ("binary_data_size" in str(sent.json)) == bool(extensions)
            # only what was asked for is asked for there
            one = infer(api, outputs=[{"name": "total"}])
            assert answer(one) == {"total": RIGHT["total"]}
            assert [o["name"] for o in stub.requests[-1].json["outputs"]] == ["total"]


def test_what_was_learnt_is_the_artifact(front, stub):
    """A start asks nobody: what registration learnt is in the stored file."""
    first = front.api.register("sum", YAML)
    assert front.api.call("POST", "/api/models/sum/versions", 409, json={
        "owner": "lab@example.org", "artifact": front.api.upload(YAML)}).status_code == 409
    stored = front.api.get(f"/api/blobs/{first['artifact']}", None)
    if stored.status_code == 200:
        assert '"dtype":"FP64"' in stored.text
    metadata = front.api.get("/v2/models/sum").json()
    assert metadata["inputs"] == METADATA["inputs"]
    assert metadata["outputs"] == METADATA["outputs"]
    assert infer(front.api)["outputs"]


def test_special_numbers_arrive(front, stub):
    """NaN and infinities go there as JSON can say them, and come back as Triton writes them."""
    front.api.register("sum", YAML)
    stub.infer = lambda *_: reply(
        b'{"outputs":[{"name":"total","datatype":"FP64","shape":[2],"data":[NaN,-Infinity]},'
        b'{"name":"text","datatype":"BYTES","shape":[2],"data":["a","b"]}]}')
    given = front.api.call("POST", "/v2/models/sum/infer", 200, data=json.dumps(
        body([[1, 2], [float("nan"), 4]], ["a", "b"])))
    assert stub.requests[-1].json["inputs"][0]["data"] == [1, 2, None, 4]
    assert answer(given.json())["total"][0] is None


def test_large_tensors_go_as_they_are(make_server):
    """200,000 rows: sent from where they lie, in several pieces, and read into place."""
    with Elsewhere(BINARY) as stub:
        server = make_server("--remote-endpoints", f"stub={stub.url}")
        api = Api(server.url)
        api.register("sum", YAML)
        count = 20_000
        head = json.dumps({"inputs": [
            {"name": "x", "datatype": "FP32", "shape": [count, 2],
             "parameters": {"binary_data_size": 8 * count}},
            {"name": "s", "datatype": "BYTES", "shape": [count],
             "parameters": {"binary_data_size": 5 * count}}],
            "outputs": [{"name": "total", "parameters": {"binary_data": True}}]}).encode()
        x = struct.pack(f"<{2 * count}f", *range(2 * count))
        got = api.call("POST", "/v2/models/sum/infer", 200,
                       data=head + x + texts(*[b"t"] * count),
                       headers={"Inference-Header-Content-Length": str(len(head))})
        json_bytes = int(got.headers["Inference-Header-Content-Length"])
        totals = struct.unpack(f"<{count}d", got.content[json_bytes:])
        assert totals == tuple(4.0 * i + 1 for i in range(count))


def test_connections_are_kept(front, stub):
    front.api.register("sum", YAML)
    infer(front.api)
    before = stub.connections
    for _ in range(20):
        infer(front.api)
    assert stub.connections == before


def test_a_connection_that_was_closed_meanwhile_harms_no_request(front, stub):
    front.api.register("sum", YAML)

    def once(request, connection):
        connection.sendall(right(request))
        return None  # and closes, without having said so

    stub.infer = once
    for _ in range(10):
        assert answer(infer(front.api)) == RIGHT


# ---- wrong answers ----

def total(**changes):
    """The right answer with some members of `total` changed."""
    whole = outputs([3.5, -1], ["a", "é"])
    whole["outputs"][1].update(changes)
    return reply({**whole, "outputs": [o for o in whole["outputs"] if o]})


WRONG = {
    "garbage": (b"\x00\x01\x02 no HTTP at all\r\n\r\n", 502, "does not answer in HTTP"),
    "closes": (None, 502, "closed the connection"),
    "ends early": (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", 502,
                   "closed the connection"),
    "no json": (reply(b"<html>hello</html>"), 502, "not JSON"),
    "no outputs": (reply({}), 502, "no list of outputs"),
    "an output less": (reply({"outputs": outputs([1, 2], ["a", "b"])["outputs"][:1]}), 502,
                       "'total' is missing"),
    "an output twice": (reply({"outputs": outputs([1, 2], ["a", "b"])["outputs"] * 2}), 502,
                        "there twice"),
    "wrong dtype": (total(datatype="FP32"), 502, "is FP32, expected FP64"),
    "unknown dtype": (total(datatype="COMPLEX"), 502, "is COMPLEX, expected FP64"),
    "wrong rank": (total(shape=[1, 2]), 502, "has the shape [1,2], expected [-1]"),
    "wrong rows": (total(shape=[3], data=[1, 2, 3]), 502, "3 rows of 2"),
    "wrong count": (total(data=[1]), 502, "as many elements"),
    "negative shape": (total(shape=[-1]), 502, "no shape"),
    "huge shape": (total(shape=[2 ** 62]), 502, "rows of 2"),
    "no number": (total(data=[1, "many"]), 502, "element 1 is no FP64"),
    "binary too long": (total(data=None, parameters={"binary_data_size": 2 ** 63}), 502,
                        "fewer bytes"),
    "bytes nobody says": (reply(json.dumps(outputs([1, 2], ["a", "b"])).encode() + b"xx",
                                headers=["Inference-Header-Content-Length: "
                                         f"{len(json.dumps(outputs([1, 2], ['a', 'b'])))}"]),
                          502, "2 bytes that no output says"),
    "header beyond the body": (reply({}, headers=["Inference-Header-Content-Length: 99"]), 502,
                               "within its reply"),
    "packed": (reply(b"\x1f\x8b", headers=["Content-Encoding: gzip"]), 502, "packed"),
    "redirect": (reply(b"", "307 Temporary Redirect",
                       ["Location: http://169.254.169.254/latest/meta-data"]), 502,
                 "redirects are not followed"),
    "unauthorized": (reply({"error": "who?"}, "401 Unauthorized"), 502, "answered 401: who?"),
    "unknown there": (reply({"error": "no such model"}, "404 Not Found"), 502, "no such model"),
    "broken there": (reply({"error": "CUDA\x07 out\n of   memory"}, "500 Internal Server Error"),
                     502, "answered 500: CUDA out of memory"),
    "refused there": (reply({"error": "x too large"}, "400 Bad Request"), 400, "x too large"),
    "too many there": (reply({"error": "slow down"}, "429 Too Many Requests",
                             ["Retry-After: 17"]), 503, "slow down"),
    "both lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"2\r\n{}\r\n0\r\n\r\n", 502, "HTTP"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 400_000, 502, "headers"),
    "too large": (b"HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\n{", 502, "larger than"),
}


def test_a_wrong_answer_is_one_clear_error(front, stub):
    """The request it was for gets the error, the next one its answer."""
    front.api.register("sum", YAML)
    for name, (data, status, text) in WRONG.items():
        stub.infer = lambda request, connection: data and connection.sendall(data)
        failed = front.api.post("/v2/models/sum/infer", body([[1, 2.5], [3, -4]], ["a", "é"]),
                                status)
        assert text in failed.json()["error"], (name, failed.text)
        if name == "too many there":
            assert failed.headers["Retry-After"] == "17"
        stub.infer = lambda request, _: right(request)
        assert answer(infer(front.api)) == RIGHT, name


def test_who_asks_for_too_much_closes_no_way_for_others(front, stub):
    """How long a reply is depends on the request; five failures close the way."""
    front.api.register("sum", YAML)
    data, status, _ = WRONG["too large"]
    stub.infer = lambda request, connection: connection.sendall(data)
    for _ in range(6):
        assert "larger than" in infer(front.api, expect=status)["error"]
    stub.infer = lambda request, _: right(request)
    assert answer(infer(front.api)) == RIGHT


def test_who_is_slow_is_left_in_time(front, stub):
    front.api.register("sum", YAML)

    def hang(request, connection):
        stub.is_over.wait(60)

    def hang_in_the_body(request, connection):
        connection.sendall(right(request)[:-5])
        stub.is_over.wait(60)

    def drip(request, connection):
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b" " * 900:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    for slow in (hang, hang_in_the_body, drip):
        stub.infer = slow
        start = time.monotonic()
        failed = infer(front.api, expect=504, parameters={"timeout": 300_000})
        assert "Request timeout expired" in failed["error"]
        assert time.monotonic() - start < 5 * PATIENCE
        stub.infer = lambda request, _: right(request)
        assert answer(infer(front.api)) == RIGHT


def test_odd_but_right_replies_are_read(front, stub):
    """Interim replies, chunks of one byte, more outputs than asked for, nested data."""
    front.api.register("sum", YAML)
    content = json.dumps({**outputs([3.5, -1], ["a", "é"])}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content) + b"0\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    stub.infer = lambda *_: (
        interim + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert answer(infer(front.api)) == RIGHT
    for data in ([3.5, -1], [[3.5], [-1]]):  # MLServer's NumpyCodec has columns of [N,1]
        stub.infer = lambda *_: total(shape=[2, 1], data=data)
        assert answer(infer(front.api)) == RIGHT
    more = outputs([3.5, -1], ["a", "é"])
    more["outputs"].insert(0, {"name": "other", "datatype": "ODD", "shape": "?", "data": {}})
    stub.infer = lambda *_: reply(more)
    assert answer(infer(front.api)) == RIGHT

    def until_it_closes(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + content)

    stub.infer = until_it_closes
    assert answer(infer(front.api)) == RIGHT


def test_bytes_behind_a_reply_are_nobodys_answer(front, stub):
    """Response smuggling: what follows a reply must not be taken for the next one's."""
    front.api.register("sum", YAML)
    stub.infer = lambda request, _: right(request) + reply(outputs([666, 666], ["e", "vil"]))
    for _ in range(3):
        assert answer(infer(front.api)) == RIGHT


def test_one_hanging_call_does_not_hold_up_others(front, stub):
    front.api.register("sum", YAML)

    def by_text(request, connection):
        if request.json["inputs"][1]["data"][0] == "hang":
            stub.is_over.wait(60)
            return None
        return right(request)

    stub.infer = by_text
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        hanging = [pool.submit(infer, Api(front.url), text=("hang", "x"), expect=504,
                               parameters={"timeout": 1_500_000}) for _ in range(3)]
        time.sleep(0.2)
        for _ in range(10):
            assert answer(infer(front.api)) == RIGHT
        for future in hanging:
            assert "timeout" in future.result()["error"]


def test_a_client_that_leaves_takes_its_call_along(front, stub):
    front.api.register("sum", YAML)
    left = []

    def wait(request, connection):
        connection.settimeout(10 * PATIENCE)
        left.append(connection.recv(1))  # b"" once the other side has hung up

    stub.infer = wait
    data = json.dumps(body([[1, 2]], ["a"])).encode()
    with socket.create_connection(("127.0.0.1", front.port)) as client:
        client.sendall(b"POST /v2/models/sum/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(data) + data)
        while not stub.requests:
            time.sleep(0.01)
    end = time.monotonic() + 10 * PATIENCE
    while not left:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert left == [b""]


# ---- away and back ----

def wait_until(condition, seconds=20 * PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def readiness(server):
    return server.api.get("/readyz", None)


def test_a_server_that_is_away_is_told_by_readiness(make_server):
    """It is found out before a request, requests fail at once, and it comes back by itself. A
    restart does not depend on it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    stub = Elsewhere()
    server = make_server("--remote-endpoints", f"stub={stub.url},gone=http://127.0.0.1:{port}")
    server.api = Api(server.url)
    with stub:
        server.api.register("sum", YAML)
        assert answer(infer(server.api)) == RIGHT
        stub.is_ready = False
        server.stop()
        server.start(wait=False)
        wait_until(lambda: b"not-ready" in server_ready(server))
        failed = server.api.post("/v2/models/sum/infer", body([[1, 2]], ["a"]), 503)
        assert "is not called" in failed.json()["error"]
        assert int(failed.headers["Retry-After"]) >= 1
        assert server.api.get("/v2/models/sum/ready", None).status_code == 503
        stub.is_ready = True
        wait_until(lambda: b"not-ready" not in server_ready(server))
        assert answer(infer(server.api)) == RIGHT
    refused = server.api.register("lost", b"remote: 1\nendpoint: gone\nmodel: m\n", expect=503)
    assert "nobody answers at endpoint 'gone'" in refused["detail"]


def server_ready(server):
    try:
        return server.get("/readyz")[1].encode()
    except OSError:
        return b""


def test_what_is_said_in_full_needs_nobody(make_server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = make_server("--remote-endpoints", f"gone=http://127.0.0.1:{port}")
    api = Api(server.url)
    api.register("m", b"""
remote: 1
endpoint: gone
model: m
protocol: http
batch_rows_max: 0
inputs: [{name: x, dtype: FP32, shape: [-1, 2]}]
outputs: [{name: y, dtype: FP32, shape: [-1]}]
""")
    one = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    failed = api.post("/v2/models/m/infer", one, 503).json()
    assert "nobody answers at endpoint 'gone'" in failed["error"]


# ---- addresses and secrets ----

def test_only_the_operator_gives_addresses(front):
    for yaml, text in [(b"remote: 1\nendpoint: http://169.254.169.254\nmodel: m\n",
                        "one of --remote-endpoints"),
                       (b"remote: 1\nendpoint: other\nmodel: m\n",
                        "no remote endpoint 'other'")]:
        assert text in front.api.register("m", yaml, expect=400)["detail"]


def test_names_cannot_leave_their_place_in_the_path(front, stub):
    seen = []
    stub.metadata = {**METADATA}
    answers = stub.answer
    stub.answer = lambda request, connection: (seen.append(request.path),
                                               answers(request, connection))[1]
    front.api.register("m", b'remote: 1\nendpoint: stub\nmodel: "../../admin?x=1#"\n')
    assert "/v2/models/..%2F..%2Fadmin%3Fx%3D1%23" in seen


def test_a_token_is_sent_and_followed(make_server, stub, tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    server = make_server("--remote-endpoints", f"stub={stub.url}",
                         "--remote-tokens", f"stub={token}")
    api = Api(server.url)
    api.register("sum", YAML)
    infer(api)
    assert stub.requests[-1].headers["authorization"] == "Bearer first"
    assert "first" not in server.log_text()


# ---- a Slipway in front of a Slipway ----

@needs_openssl
def test_over_tls_with_a_token(make_server, tmp_path):
    """The other server has TLS and keys: its certificate is verified, the token follows its file,
    and a wrong one is told in the operator's words."""
    there = Secure(make_server, tmp_path)
    token = tmp_path / "token"
    token.write_text("wrong-token\n")
    url = f"https://localhost:{there.server.port}"
    api_there = Api(url, there.token)
    api_there.session.verify = str(there.cert)
    api_there.register("triage", read("model.ubj"))
    options = ["--remote-endpoints", f"there={url}", "--remote-tokens", f"there={token}"]
    stranger = Api(make_server(*options).url)
    refused = stranger.register("triage", TRIAGE, expect=503)
    assert "its certificate is not trusted" in refused["detail"]
    assert "--remote-ca" in refused["hint"]
    here = make_server(*options, "--remote-ca", there.cert)
    here.api = Api(here.url)
    refused = here.api.register("triage", TRIAGE, expect=502)
    assert "answered 401" in refused["detail"] and "--remote-tokens" in refused["hint"]
    token.write_text(there.token)
    here.api.register("triage", TRIAGE, read("contract.yaml"), read("golden.csv"))
    assert here.api.predict("triage", REQUEST)["predictions"][0]["label"] == "benign"
    for text in (there.token, "wrong-token"):
        assert text not in here.log_text()


@needs_openssl
def test_a_certificate_is_shown(make_server, tmp_path):
    """Mutual TLS: who shows none, or one of another issuer, is told what to do."""
    good, other = Authority(tmp_path, "good"), Authority(tmp_path, "other")
    there = Secure(make_server, tmp_path, "--tls-client-ca", good.cert, client=good.issue("plain"))
    token = tmp_path / "token"
    token.write_text(there.token)
    mine = tmp_path / "mine.pem"
    mine.write_bytes(other.issue("us").read_bytes())
    options = ["--remote-endpoints", f"there=https://localhost:{there.server.port}",
               "--remote-ca", there.cert, "--remote-tokens", f"there={token}"]
    yaml = (b"remote: 1\nendpoint: there\nmodel: m\n")
    without = Api(make_server(*options).url).register("m", yaml, expect=503)
    assert "TLS failed" in without["detail"] and "--remote-certificates" in without["hint"]
    here = Api(make_server(*options, "--remote-certificates", f"there={mine}").url)
    assert "TLS failed" in here.register("m", yaml, expect=503)["detail"]
    mine.write_bytes(good.issue("we").read_bytes())
    assert "answered 404" in here.register("m", yaml, expect=502)["detail"]  # in, but no model
    mine.write_text("no certificate")
    assert str(mine) in here.register("m", yaml, expect=400)["detail"]


def test_a_remote_version_is_watched(make_server):
    """Millimetres read as centimetres are seen in front of another server too."""
    there = make_server()
    Api(there.url).register("triage", read("model.ubj"))
    here = make_server("--remote-endpoints", f"there={there.url}",
                       "--monitor-window-rows", "600", "--monitor-window-ms", "100ms")
    here.api = Api(here.url)
    here.api.register("triage", TRIAGE, read("contract.yaml"))
    send(here.api, 600, seed=1, mean_radius=10)
    found = wait_for_window(here.api, 1)
    assert found["windows"][0]["verdict"] == "alert"

@pytest.fixture
def pair(make_server):
    """`there` serves the example, `here` stands in front of it."""
    there = make_server()
    there.api = Api(there.url)
    register_triage(there.api, 2)
    here = make_server("--remote-endpoints", f"there={there.url}")
    here.api = Api(here.url)
    return there, here


@pytest.mark.parametrize("protocol", ["http", "http-binary"])
def test_a_contract_stands_in_front(pair, protocol):
    """Golden rows of XGBoost's own answers through both servers; a bad row stops at the first."""
    there, here = pair
    there.api.register("plain", read("model.ubj"))  # without a contract of its own
    yaml = b"remote: 1\nendpoint: there\nmodel: plain\nclasses: 2\nprotocol: " + protocol.encode()
    registered = here.api.register("triage", yaml + b"\n", read("contract.yaml"),
                                   read("golden.csv"))
    assert registered["golden_rows"] == 36
    rows, scores = golden_rows()
    for row, score in zip(rows[:5], scores[:5]):
        got = here.api.predict("triage", row)["predictions"][0]
        assert got["probabilities"]["malignant"] == pytest.approx(score, abs=1e-7)
    refused = here.api.predict("triage", {**REQUEST, "mean_radius": "17,06"}, expect=422)
    assert refused["violation"]["field"] == "mean_radius"


def test_a_canary_between_a_version_here_and_one_elsewhere(pair):
    there, here = pair
    there.api.register("plain", read("model.ubj"))
    here.api.register("triage", read("model_v1.ubj"), read("contract.yaml"))
    yaml = b"remote: 1\nendpoint: there\nmodel: plain\nclasses: 2\n"
    here.api.register("triage", yaml, read("contract.yaml"))
    here.api.post("/api/models/triage/rollout", {
        "model": "triage", "to": 2, "guards": [{"event": "error"}],
        "steps": [{"do": "canary", "weight": "50%", "min": "1h"}, {"do": "promote"}]}, 201)
    wait_until(lambda: {here.api.predict("triage", REQUEST)["version"]
                        for _ in range(40)} == {"1", "2"})
