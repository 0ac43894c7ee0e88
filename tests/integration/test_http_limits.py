"""Slow, many or greedy clients: the others must not notice, and memory must not grow."""
import os
import pathlib
import re
import resource
import socket
import time

import pytest

SLOW_CLIENTS = 10000
IDLE_BYTES_MAX = 16 * 1024
HEAD = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def read_all(client):
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def rss_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def test_ten_thousand_slow_clients_cost_little_and_hold_nobody_up(make_server):
    """Slowloris: each sends half a head and then nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < SLOW_CLIENTS + 500:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (SLOW_CLIENTS + 500, hard))
    server = make_server("--data-threads", 1, "--http-connections-max", 2 * SLOW_CLIENTS,
                         "--http-head-timeout-ms", "60s")
    clients = []
    try:
        before = rss_bytes(server.pid)
        for _ in range(SLOW_CLIENTS):
            clients.append(connect(server))
            clients[-1].sendall(HEAD + b"X-Slow: ")
        assert server.get("/livez")[0] == 200
        grown = rss_bytes(server.pid) - before
        if not os.environ.get("SLIPWAY_MODE", "").startswith(("asan", "tsan")):
            assert grown / SLOW_CLIENTS <= IDLE_BYTES_MAX
        clients[-1].sendall(b"1\r\nConnection: close\r\n\r\n")
        assert read_all(clients[-1]).startswith(b"HTTP/1.1 200 OK")
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_heads_and_bodies_are_told_and_closed(make_server):
    server = make_server("--http-head-timeout-ms", "1s", "--http-body-timeout-ms", "1s")
    post = HEAD.replace(b"GET /livez", b"POST /predict/x")
    head, body = connect(server), connect(server)
    head.sendall(HEAD)
    body.sendall(post + b"Transfer-Encoding: chunked\r\n\r\n")
    body.settimeout(0.2)
    reply, began = b"", time.monotonic()
    while b"\r\n\r\n" not in reply and time.monotonic() < began + 20:
        try:
            body.sendall(b"1\r\n \r\n")  # a drop at a time
            reply += body.recv(1 << 16)
        except TimeoutError:
            continue
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert read_all(head).startswith(b"HTTP/1.1 408 ")


def test_a_hundred_pipelined_requests_get_a_hundred_replies(server):
    client = connect(server)
    client.sendall((HEAD + b"\r\n") * 99 + HEAD + b"Connection: close\r\n\r\n")
    assert read_all(client).count(b"HTTP/1.1 200 OK") == 100


@pytest.mark.parametrize("head, status", [
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (HEAD + b"X: " + b"y" * 65536 + b"\r\n\r\n", 431),
    (HEAD + b"".join(b"X%d: 1\r\n" % i for i in range(200)) + b"\r\n", 431),
    (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
])
def test_heads_beyond_the_limits_are_refused_with_words(server, head, status):
    client = connect(server)
    client.sendall(head)
    reply = read_all(client)
    assert reply.startswith(b"HTTP/1.1 %d " % status)
    assert b'"error"' in reply
    assert server.get("/livez")[0] == 200
