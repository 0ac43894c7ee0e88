"""Tensors in shared memory that a client hands over by descriptor (python/slipway), and what must
not go through.

What could break: a region of somebody else, bytes outside of one, memory that is cut off while it
is read, bytes that pass the contract and are others when they are scored, descriptors that pile up.
"""
import contextlib
import fcntl
import http.client
import json
import os
import socket
import struct
import sys
import threading

import numpy as np
import pytest

from api import FIELDS, ROOT, golden_rows
from test_lane import wait_for

sys.path.insert(0, str(ROOT / "python"))
import slipway  # noqa: E402
from slipway.transport import UnixConnection  # noqa: E402

ROWS, EXPECTED = golden_rows()
MATRIX = np.array([[row[name] for name in FIELDS] for row in ROWS], dtype=np.float32)
SEALS = 2 | 4  # F_SEAL_SHRINK, F_SEAL_GROW


@pytest.fixture
def client(triage):
    with slipway.Client(f"unix:{triage.unix}") as client:
        yield client


def infer(client, inputs, outputs=None):
    return client.infer("triage", inputs, outputs)["predict"]


def test_tensors_go_and_come_through_memory(client):
    with client.region(1 << 16) as region:
        inside = region.put(MATRIX, offset=128)
        assert np.ravel(infer(client, {"input": inside})) == pytest.approx(EXPECTED, rel=1e-6)
        answer = infer(client, {"input": inside}, {"predict": region.room(4096, 1 << 15)})
        assert np.asarray(answer).ravel() == pytest.approx(EXPECTED, rel=1e-6)
        lists = region.put(MATRIX[:2].tolist())
        answer = infer(client, {"input": lists}, {"predict": region.room(8, 1 << 15)})
        assert np.asarray(answer).ravel() == pytest.approx(EXPECTED[:2], rel=1e-6)
        (status,) = client.call("GET", "/v2/systemsharedmemory/status")
        assert (status["name"], status["offset"], status["byte_size"]) == (region.name, 0, 1 << 16)
        assert client.call("GET", f"/v2/systemsharedmemory/region/{region.name}/status") == [status]
        assert client.call("GET", "/v2/systemsharedmemory/region/none/status") == []
    assert client.call("GET", "/v2/systemsharedmemory/status") == []


def test_a_region_is_its_connections_own(client, triage):
    with client.region(1 << 16, "mine") as region, slipway.Client(f"unix:{triage.unix}") as other:
        inside = region.put(MATRIX)
        assert other.call("GET", "/v2/systemsharedmemory/status") == []
        other.call("POST", "/v2/systemsharedmemory/unregister")
        with pytest.raises(slipway.SlipwayError) as error:
            infer(other, {"input": inside})
        assert "Unable to find shared memory region: 'mine'" in str(error.value)
        with slipway.Client(triage.url) as by_tcp, pytest.raises(slipway.SlipwayError) as error:
            infer(by_tcp, {"input": inside})
        assert error.value.status == 501
        assert len(infer(client, {"input": inside})) == len(ROWS)
    with pytest.raises(ValueError):
        slipway.Client(triage.url).region(64)


@pytest.mark.parametrize("offset, size", [(1 << 16, 120), ((1 << 16) - 119, 120), (2**63, 120),
                                          (2**64 - 100, 120)])
def test_nothing_outside_a_region(client, offset, size):
    with client.region(1 << 16, "small") as region:
        tensor = {"name": "input", "shape": [1, 30], "datatype": "FP32",
                  "parameters": {"shared_memory_region": "small", "shared_memory_offset": offset,
                                 "shared_memory_byte_size": size}}
        with pytest.raises(slipway.SlipwayError) as error:
            client.call("POST", "/v2/models/triage/infer", {"inputs": [tensor]})
        assert error.value.status == 400
        with pytest.raises(slipway.SlipwayError) as error:
            infer(client, {"input": region.put(MATRIX[:1])},
                  {"predict": region.room(size, offset)})
        assert error.value.status == 400
        with pytest.raises(slipway.SlipwayError) as error:
            infer(client, {"input": region.put(MATRIX)}, {"predict": region.room(4)})
        assert f"at least {4 * len(ROWS)} bytes" in str(error.value)


def memfd(size, seals=SEALS, flags=os.MFD_ALLOW_SEALING):
    fd = os.memfd_create("test", flags)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, 1033, seals)
    return fd


def register(server, fd, size, offset=0, name="r"):
    """(status, body) over a connection of its own, which then ends."""
    connection = UnixConnection(str(server.unix), 30)
    connection.fd = fd
    connection.request("POST", f"/v2/systemsharedmemory/region/{name}/register",
                       json.dumps({"key": "k", "offset": offset, "byte_size": size}).encode())
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    return reply.status, body


def test_what_is_no_sealed_memory_is_refused(triage, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))
    pipe = os.pipe()
    cases = [(memfd(4096, 0), 4096, "not sealed"), (memfd(4096, 2), 4096, "not sealed"),
             (memfd(4096), 4097, "4096"), (memfd(4096), 0, "byte_size"),
             (memfd(4096), 2**63 - 1, "byte_size"), (memfd(4096), -1, "negative"),
             (os.open(path, os.O_RDWR), 4096, "no memfd"), (pipe[0], 4096, "no memfd"),
             (os.open("/dev/zero", os.O_RDWR), 4096, "no memfd"), (None, 4096, "descriptor")]
    for fd, size, words in cases:
        status, body = register(triage, fd, size)
        assert status == 400 and words in body, (words, body)
        if fd is not None:
            os.close(fd)
    os.close(pipe[1])
    fd = memfd(4096)
    assert register(triage, fd, 4096)[0] == 200
    assert register(triage, fd, 4096, offset=1)[0] == 400
    assert register(triage, fd, 4096, name="n" * 257)[0] == 400
    os.close(fd)


def open_memory(server):
    """How many descriptors of our memfds the server has."""
    folder = f"/proc/{server.pid}/fd"
    links = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(f"{folder}/{name}"))
    return sum("memfd:test" in link for link in links)


def test_descriptors_do_not_pile_up(triage):
    """A hundred connections with regions that end without a word; descriptors with every request,
    several at once."""
    fd = memfd(4096)
    for _ in range(100):
        assert register(triage, fd, 4096)[0] == 200
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(triage.unix))
        for _ in range(20):
            socket.send_fds(raw, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"], [fd] * 10)
            reply = http.client.HTTPResponse(raw)
            reply.begin()
            reply.read()
        wait_for(lambda: open_memory(triage) <= 1)
    wait_for(lambda: open_memory(triage) == 0)
    client = slipway.Client(f"unix:{triage.unix}")
    for i in range(64):
        client.region(4096, f"r{i}")
    with pytest.raises(slipway.SlipwayError) as error:
        client.region(4096, "one more")
    assert "64" in str(error.value)
    with pytest.raises(slipway.SlipwayError) as error:
        client.region(4096, "r0")
    assert "already in manager" in str(error.value)
    os.close(fd)


def test_who_writes_meanwhile_fools_nobody(client):
    """One field changes between a good value and NaN while 3,000 requests run: each is refused, or
    answered with the number of the good row."""
    stop = threading.Event()
    with client.region(1 << 16) as region:
        inside = region.put(MATRIX[:1])

        def write():
            while not stop.is_set():
                region.bytes[0:4] = struct.pack("<f", float("nan"))
                region.bytes[0:4] = struct.pack("<f", MATRIX[0, 0])

        thread = threading.Thread(target=write)
        thread.start()
        seen = set()
        for _ in range(3000):
            try:
                (answer,) = np.ravel(infer(client, {"input": inside}))
                assert answer == pytest.approx(EXPECTED[0], rel=1e-6)
                seen.add("answered")
            except slipway.SlipwayError as error:
                assert "mean_radius" in str(error)
                seen.add("refused")
        stop.set()
        thread.join()
    assert seen


def test_memory_that_cannot_be_written(triage):
    """Sealed against writing it is still good for inputs."""
    client = slipway.Client(f"unix:{triage.unix}")
    fd = memfd(4096, 0)
    os.pwrite(fd, MATRIX[:1].tobytes(), 0)
    fcntl.fcntl(fd, 1033, SEALS | 8)  # F_SEAL_WRITE
    client.transport.request("POST", "/v2/systemsharedmemory/region/ro/register",
                             b'{"byte_size": 4096}', fd=fd)
    tensor = {"name": "input", "shape": [1, 30], "datatype": "FP32",
              "parameters": {"shared_memory_region": "ro", "shared_memory_byte_size": 120}}
    answer = client.call("POST", "/v2/models/triage/infer", {"inputs": [tensor]})
    assert answer["outputs"][0]["data"] == pytest.approx(EXPECTED[:1], rel=1e-6)
    output = {"name": "predict", "parameters": {"shared_memory_region": "ro",
                                                "shared_memory_byte_size": 4}}
    with pytest.raises(slipway.SlipwayError) as error:
        client.call("POST", "/v2/models/triage/infer", {"inputs": [tensor], "outputs": [output]})
    assert "cannot be written" in str(error.value)
    os.close(fd)
    client.close()
