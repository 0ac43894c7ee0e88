"""What others' servers were broken by, class by class ("Known flaws" in tests/README.md): ours?

What could break: code that is run because somebody sent it, a name that becomes a path, a command
or a statement, a size that is believed, a second way in, a word in the log that nobody wrote.
"""
import json
import os
import pickle
import re
import socket

import pytest

from api import REQUEST, Api, read, register_triage
from server import PATIENCE

ECHO = b"echo: {inputs: [{name: x, datatype: FP32, shape: [-1, -1]}]}\n"


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def raw(server, data):
    """Bytes on a connection of its own; what comes back until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), 20 * PATIENCE) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


# ---- deserialisers ----

PICKLE_TYPES = ["application/python-pickle", "application/vnd.bentoml+pickle",
                "application/octet-stream", "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=b", "application/json", "text/csv", "x/y", ""]
DOORS = ["/predict/triage", "/v2/models/triage/infer", "/v1/models/triage:predict", "/invocations",
         "/api/feedback", "/api/models/triage/versions/1/gate"]


@pytest.mark.parametrize("kind", PICKLE_TYPES)
def test_pickles_are_opened_at_no_door(triage, tmp_path, kind):
    bomb = pickle.dumps(Bomb(tmp_path / "opened"))
    for door in DOORS:
        reply = triage.api.call("POST", door, data=bomb, headers={"Content-Type": kind})
        assert 400 <= reply.status_code < 500, f"{door}: {reply.status_code} {reply.text}"
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("runtime", [None, "trees", "linear", "onnx", "python", "echo", "pickle"])
def test_pickles_are_no_models(triage, tmp_path, runtime):
    bomb = pickle.dumps(Bomb(tmp_path / "opened"))
    problem = triage.api.register("bomb", bomb, runtime=runtime, expect=None)
    assert 400 <= problem["status"] < 502, problem
    assert not (tmp_path / "opened").exists()


# ---- names and paths ----

ODD = ["..", ".", "../x", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e", "..%5c..%5cx", "a%00b",
       "%c0%ae%c0%ae%c0%af", "....//....//x", "..;/x", "a%23b", "a%3Fb", "%252e%252e%252f", "$(id)",
       "%60id%60", "a;id", "a%7Cid", "-rf", "a%0aFORGED%20line", "a%0d%0aFORGED:%20head",
       "%1b[31mFORGED", "%E2%80%AEx", "'", "%22", "'%20OR%20'1'='1", "x';DROP%20TABLE%20models;--",
       "file:%2f%2f%2fetc%2fpasswd", "%5c%5chost%5cshare", "{{7*7}}", "$%7B7*7%7D", "%n%n%s",
       "x" * 300, "/proc/self/environ"]


def routes_with_names(api):
    paths = api.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, operations in paths.items() for method in operations
            if "{" in path]


def test_names_are_never_paths_commands_or_statements(make_server, tmp_path):
    """Each route that has a name in its path, with each word: refused, nothing said of the machine,
    nothing changed, no line in the log that the server did not write."""
    server = make_server("--log-level", "debug")
    api = Api(server.url)
    register_triage(api, 1)
    before = api.get("/api/models").json(), sorted(path.name for path in tmp_path.iterdir())
    routes = routes_with_names(api)
    assert len(routes) > 30
    for method, path in routes:
        for word in ODD:
            target = re.sub(r"{\w+}", lambda _: word.replace("\\", r"\\"), path)
            body = b"" if method in ("GET", "DELETE") else b"{}"
            head = (f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n")
            reply = raw(server, head.replace(" OR ", "%20OR%20").encode() + body)
            status = int(reply.split(b" ", 2)[1])
            assert status < 500 or status in (501, 503), f"{method} {target}: {reply[:400]}"
            assert b"FORGED: head" not in reply.split(b"\r\n\r\n")[0], reply[:400]
            for secret in (str(tmp_path).encode(), b"root:", b"sqlite", b"SELECT"):
                assert secret not in reply, f"{method} {target}: {reply[:400]}"
    after = api.get("/api/models").json(), sorted(path.name for path in tmp_path.iterdir())
    assert after == before
    assert not re.search(r"^\W*FORGED", server.log_text(), re.M)
    assert "\x1b" not in server.log_text()


def test_headers_forge_no_line_and_no_head(triage):
    for value in (b"a\x1b[31mFORGED", b"a\tFORGED level=error", b"'; DROP TABLE models;--",
                  b"\xff\xfe", b"a" * 4000):
        reply = raw(triage, b"GET /predict/none HTTP/1.1\r\nHost: localhost\r\n"
                            b"Connection: close\r\nX-Request-Id: " + value +
                            b"\r\ntraceparent: " + value + b"\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 4"), reply
        assert b"\x1b" not in reply
    assert "\x1b" not in triage.log_text()
    assert triage.api.serving() == "2"


# ---- sizes ----

def resident_mib(server):
    status = open(f"/proc/{server.pid}/status", encoding="ascii").read()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


HUGE_SHAPES = [[2**31, 2**31], [2**32, 2**32], [2**62, 4], [2**63 - 1, 2], [2**63, 1], [2**64, 1],
               [1, 2**40], [2**21, 2**21, 2**21], [0, 2**62], [-1, 1], [-2**63, -1], [1.5, 2],
               ["1", 1], [1] * 100, [None, 1], [True, 1]]


@pytest.mark.parametrize("shape", HUGE_SHAPES, ids=str)
def test_shapes_are_multiplied_with_care(api, server, shape):
    """A model without a contract: nothing but the shape says how much there is."""
    api.register("echoes", ECHO, alias="champion")
    before = resident_mib(server)
    for tensor in ({"data": [1.0]}, {"parameters": {"binary_data_size": 4}}):
        head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape,
                                       **tensor}]}).encode()
        blob = b"\0\0\0\0" if "parameters" in tensor else b""
        headers = {"Inference-Header-Content-Length": str(len(head))} if blob else {}
        reply = api.call("POST", "/v2/models/echoes/infer", data=head + blob, headers=headers)
        assert 400 <= reply.status_code < 500, reply.text
    assert resident_mib(server) - before < 64


def test_a_body_of_half_a_million_chunks_costs_nothing(triage):
    """One byte each: refused in words before it is read, no stack and no memory a chunk."""
    triage.api.serving()
    before = resident_mib(triage)
    body = b" " * 500000 + json.dumps(REQUEST).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    reply = raw(triage, b"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert reply.startswith(b"HTTP/1.1 413 ") and b"too many chunks" in reply, reply[:300]
    assert resident_mib(triage) - before < 64


# ---- one request, one meaning ----

@pytest.mark.parametrize("host", ["localhost/x?", "localhost#x", "localhost:1@evil.example",
                                  "evil.example", "localhost evil.example", "localhost\t", "[::1",
                                  "localhost,evil.example", "[::1]x", "[::1]:8080x", "localhost:"])
def test_hosts_that_are_none_reach_no_handler(triage, host):
    reply = raw(triage, f"GET /api/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                .encode())
    if host.strip() in ("localhost", "localhost:"):
        assert reply.startswith(b"HTTP/1.1 200 ")
    else:
        assert reply.split(b" ", 2)[1] in (b"400", b"403"), reply[:300]
        assert b"triage" not in reply


@pytest.mark.parametrize("target", ["http://evil.example/api/models", "//evil.example/api/models",
                                    "/api//models", "/api/./models", "/api/keys/../models",
                                    "/api/%6dodels/..", "/api;x/models", "/API/MODELS",
                                    "/api/models%00", "/api/models%2f"])
def test_targets_have_one_reading(triage, target):
    """What the table of routes does not spell is nothing, whatever a proxy would make of it."""
    reply = raw(triage, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                .encode())
    assert reply.split(b" ", 2)[1] in (b"400", b"403", b"404", b"421"), reply[:300]


SMUGGLED = b"GET /api/models HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("head", [
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 0, %d\r\n",
    b"Content-Length: +%d\r\n", b"Content-Length: 0\r\nContent-Length: %d\r\n",
    b"Transfer-Encoding: xchunked\r\nX: %d\r\n", b"Transfer-Encoding : chunked\r\nX: %d\r\n",
    b"Transfer-Encoding: chunked, identity\r\nX: %d\r\n",
    b"Transfer-Encoding:\x0bchunked\r\nX: %d\r\n",
    b"X: %d\r\n Transfer-Encoding: chunked\r\n", b"X: %d\nTransfer-Encoding: chunked\n"])
def test_no_second_request_hides_behind_a_head(triage, head):
    reply = raw(triage, b"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\n" +
                head % len(SMUGGLED) + b"\r\n" + SMUGGLED)
    assert b'"models"' not in reply or b"HTTP/1.1 4" in reply.split(b'"models"')[0]
    assert reply.startswith(b"HTTP/1.1 4") or reply.startswith(b"HTTP/1.1 501"), reply[:300]
    assert b'"models"' not in reply


# ---- who it is ----

def test_keys_that_begin_alike_are_not_alike(server):
    """On one connection, whose last key is remembered."""
    key = server.cli("key", "create", "boss", "--scope", "admin").out.strip()
    api = Api(server.url, key)
    api.get("/api/models")
    for other in (key[:-1] + ("A" if key[-1] != "A" else "B"), key[:-1], key + "A", key.upper(),
                  key[:20], key[:20] + "A" * (len(key) - 20)):
        api.call("GET", "/api/models", 401, headers={"Authorization": f"Bearer {other}"})
        api.get("/api/models")


def test_errors_say_nothing_of_the_machine(make_server, tmp_path):
    """A file that is gone or changed: the caller hears of the version, not of the folder."""
    server = make_server(data=tmp_path / "secret-folder")
    api = Api(server.url)
    register_triage(api, 1)
    digest = api.get("/api/models/triage/versions/1").json()["artifact"]
    blob = tmp_path / "secret-folder/blobs" / digest[:2] / digest
    os.chmod(blob, 0o600)
    blob.write_bytes(read("model.ubj") + b"more")
    api.set_alias("triage", "other", 1, None)
    blob.unlink()
    for path in ("/api/models/triage/versions/1/artifact", "/api/blobs/" + digest, "/api/doctor"):
        reply = api.call("GET", path)
        assert "secret-folder" not in reply.text, reply.text
