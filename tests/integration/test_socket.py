"""Predictions on a WebSocket, by the client `websockets` as it is.

What could break: an answer that differs from POST's, answers out of order, a page of another origin
that gets in, a connection that holds up the server's end.
"""
import json

import pytest

from api import REQUEST, Api
from server import PATIENCE
from test_lane import SLOW, infer_body, register, sums
from test_tls import Secure

pytest.importorskip("websockets")
import ssl  # noqa: E402

from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

SECONDS_MAX = 10 * PATIENCE


def dial(server, path, **options):
    return connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, open_timeout=SECONDS_MAX,
                   **options)


def ask(socket, body):
    socket.send(json.dumps(body))
    return json.loads(socket.recv(timeout=SECONDS_MAX))


def test_each_message_is_answered_as_post_would(triage):
    posted = triage.api.predict("triage", REQUEST)
    with dial(triage, "/predict/triage") as socket:
        for _ in range(3):
            answer = ask(socket, REQUEST)
            assert answer["predictions"][0]["probabilities"] == \
                posted["predictions"][0]["probabilities"]
        problem = ask(socket, {**REQUEST, "mean_radius": "17,06"})
        assert problem["status"] == 422 and problem["violation"]["field"] == "mean_radius"
        assert ask(socket, REQUEST)["version"] == posted["version"]
    with dial(triage, "/predict/triage/versions/1") as socket:
        assert ask(socket, REQUEST)["version"] == "1"


def test_many_messages_are_answered_in_order(triage):
    body = {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32",
                        "data": list(REQUEST.values())}]}
    with dial(triage, "/v2/models/triage/infer") as socket:
        for i in range(300):
            socket.send(json.dumps({"id": str(i), **body}))
        for i in range(300):
            assert json.loads(socket.recv(timeout=SECONDS_MAX))["id"] == str(i)


def test_who_may_not_is_refused(triage, make_server, tmp_path):
    with pytest.raises(InvalidStatus) as error:
        dial(triage, "/predict/triage", origin="http://elsewhere.example")
    assert error.value.response.status_code == 403
    answer = triage.api.get("/predict/triage", 426)
    assert answer.headers["Upgrade"] == "websocket"
    with dial(triage, "/predict/triage") as socket:
        socket.send(b"\x00\x01")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=SECONDS_MAX)
        assert closed.value.rcvd.code == 1003
    secure = Secure(make_server, tmp_path)
    url = f"wss://localhost:{secure.server.port}/predict/none"
    context = ssl.create_default_context(cafile=secure.cert)
    with pytest.raises(InvalidStatus) as error:
        connect(url, ssl=context, proxy=None)
    assert error.value.response.status_code == 401
    headers = {"Authorization": f"Bearer {secure.token}"}
    with connect(url, ssl=context, proxy=None, additional_headers=headers) as socket:
        assert ask(socket, REQUEST)["status"] == 404
        secure.server.cli("key", "create", "other", "--scope", "admin")
        secure.server.cli("key", "revoke", "root")
        assert ask(socket, REQUEST)["status"] == 401


def test_a_socket_does_not_hold_up_the_end(make_server):
    server = make_server()
    with dial(server, "/predict/none") as socket:
        assert ask(socket, REQUEST)["status"] == 404
        assert server.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=SECONDS_MAX)
        assert closed.value.rcvd.code == 1001


@pytest.mark.skipif(not SLOW.exists(), reason="build/MODE/slipway-slow is not built")
def test_models_that_take_their_time(make_server):
    server = make_server(program=SLOW)
    register(Api(server.url), "slow", call_us=20000)
    register(Api(server.url), "stuck", call_us=300000 * PATIENCE, obeys=0)
    with dial(server, "/v2/models/slow/infer") as socket:
        for i in range(5):
            socket.send(json.dumps(infer_body(first=float(i))))
        for i in range(5):
            answer = json.loads(socket.recv(timeout=SECONDS_MAX))
            assert answer["outputs"][0]["data"] == sums(1, i)
    with dial(server, "/v2/models/stuck/infer") as socket:
        late = ask(socket, infer_body(timeout=20000))
        assert "Request timeout expired" in late["error"]
        assert ask(socket, infer_body())["outputs"][0]["data"] == sums()
        socket.send(json.dumps(infer_body()))
    with dial(server, "/v2/models/slow/infer") as socket:
        assert ask(socket, infer_body())["outputs"][0]["data"] == sums()
