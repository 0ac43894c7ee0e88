"""Clients that go away: in the middle of a head, of a body, while a worker does what they asked.

What could break: an exchange whose connection is gone and whose reply comes, a descriptor that
nobody gives back, a change that is made by halves.
"""
import json
import os
import socket
import struct
import time

import pytest

from api import REQUEST, Api, numbered, read, register_triage
from server import PATIENCE

ROUNDS = 30


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), 10)


def reset(sock):
    """Close so that the other side gets RST, as from a process that was killed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def request(method, path, body):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body


def open_connections(api):
    lines = api.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines
                if line.startswith("slipway_connections_open "))


def wait_until_gone(api, before):
    """No more connections than there were."""
    end = time.monotonic() + 10 * PATIENCE
    while (count := open_connections(api)) > before:
        assert time.monotonic() < end, f"{count} connections are open, {before} were"
        time.sleep(0.05)


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("part", [0, 1, 20, 90, -1, None])
def test_in_the_middle_of_a_request(triage, end, part):
    """`part` bytes of a prediction are sent; None: all of it, and nobody reads the answer."""
    before = open_connections(triage.api)
    whole = request("POST", "/predict/triage", json.dumps({"rows": [REQUEST] * 50}).encode())
    for _ in range(ROUNDS):
        sock = connect(triage)
        sock.sendall(whole[:part])
        end(sock)
    assert triage.api.predict("triage", REQUEST)["version"] == "2"
    wait_until_gone(triage.api, before)


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["close", "reset"])
def test_while_a_worker_registers(server, end):
    """Each version is there whole or not at all, whoever waited for the answer."""
    api = Api(server.url)
    register_triage(api, 1)
    artifact = api.upload(read("model.ubj"))
    golden = api.upload(read("golden.csv"))
    for number in range(2, 12):
        contract = api.upload(numbered(read("contract.yaml"), number))
        body = json.dumps({"artifact": artifact, "contract": contract, "golden": golden,
                           "alias": "champion"}).encode()
        sock = connect(server)
        sock.sendall(request("POST", "/api/models/triage/versions", body))
        time.sleep(0.002 * (number % 4))
        end(sock)
    wait_until_gone(api, 1)
    time.sleep(0.3 * PATIENCE)
    versions = api.get("/api/models/triage/versions").json()["versions"]
    assert [v["version"] for v in versions] == list(range(len(versions), 0, -1))
    assert api.champion("triage") == len(versions)
    assert api.serving() == str(len(versions))
    assert api.get("/api/doctor").json()["healthy"] is True


def descriptors(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def test_descriptors_come_back(triage):
    open_before = open_connections(triage.api)
    before = descriptors(triage)
    for i in range(100):
        sock = connect(triage)
        sock.sendall(request("PUT", "/api/blobs/" + "0" * 64, b"x" * 10000)[:5000 + i])
        (reset if i % 2 else socket.socket.close)(sock)
    wait_until_gone(triage.api, open_before)
    assert descriptors(triage) <= before + 2


def test_a_client_that_reads_nothing_stops_only_itself(triage):
    """Pipelined requests for large replies, never read: others are answered at once."""
    before = open_connections(triage.api)
    sock = connect(triage)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(0.5)
    one = request("GET", "/openapi.json", b"")
    try:
        for _ in range(20000):
            sock.sendall(one * 20)
    except TimeoutError:
        pass
    begin = time.monotonic()
    for _ in range(20):
        triage.api.predict("triage", REQUEST)
    assert time.monotonic() - begin < 2 * PATIENCE
    reset(sock)
    wait_until_gone(triage.api, before)
