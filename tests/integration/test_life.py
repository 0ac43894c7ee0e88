"""A server's life: what systemd is told and hands over.

What could break: a message to systemd that does not come or comes too early, a socket that was
handed over and that nobody accepts from, a file of systemd's that we remove.
"""
import contextlib
import os
import re
import signal
import socket
import stat
import sys
import time

import pytest

from api import Api, register_triage
from server import PATIENCE, PROGRAM

SECONDS = 10 * PATIENCE

# What systemd does for a socket unit: sockets from descriptor 3 on, then the program.
ACTIVATOR = """#!{python}
import fcntl, os, socket, sys, time
for i, where in enumerate(os.environ.pop("ACTIVATE").split()):
    host, _, port = where.rpartition(":")
    kind = socket.AF_INET if port.isdigit() else socket.AF_UNIX
    one = socket.socket(kind)
    one.bind((host, int(port)) if port.isdigit() else where)
    one.listen(16)
    os.dup2(fcntl.fcntl(one, fcntl.F_DUPFD, 100), 3 + i, inheritable=True)
    if 3 + i == one.fileno():
        one.detach()
os.environ.update(LISTEN_FDS=str(i + 1), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="x")
time.sleep(float(os.environ.pop("ACTIVATE_PAUSE", 0)))
os.execv("{program}", ["{program}", *sys.argv[1:]])
"""


@pytest.fixture
def activator(tmp_path):
    script = tmp_path / "activate"
    script.write_text(ACTIVATOR.format(python=sys.executable, program=PROGRAM))
    script.chmod(0o700)
    return script


@contextlib.contextmanager
def notify_socket(name):
    """(what NOTIFY_SOCKET is to say, the socket)"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0"))
        heard.settimeout(SECONDS)
        yield heard


def hear(heard, wanted):
    """The first message that has the line `wanted`; those before it are thrown away."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        message = heard.recv(4096).decode()
        if wanted in message.splitlines():
            return message
    raise AssertionError(f"systemd was not told {wanted}")


# ---- systemd ----

@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_hears_of_every_step(make_server, tmp_path, is_abstract):
    name = f"@slipway-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with notify_socket(name) as heard:
        server = make_server(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"})
        assert "STATUS=serves" in hear(heard, "READY=1")
        for _ in range(3):
            hear(heard, "WATCHDOG=1")
        server.process.send_signal(signal.SIGHUP)
        before = time.monotonic()
        message = hear(heard, "RELOADING=1")
        at = int(re.search(r"MONOTONIC_USEC=(\d+)", message)[1]) / 1e6
        assert abs(at - before) < SECONDS
        hear(heard, "READY=1")
        assert server.stop() == 0
        hear(heard, "STOPPING=1")


def test_nobody_hears_ready_when_the_start_fails(make_server, tmp_path):
    name = str(tmp_path / "notify")
    with notify_socket(name) as heard:
        server = make_server("--alert-rules", "/nowhere", start=False, env={"NOTIFY_SOCKET": name})
        server.start(wait=False)
        assert server.process.wait(SECONDS) != 0
        server.process = None
        heard.settimeout(0)
        with pytest.raises(BlockingIOError):
            heard.recv(4096)


def test_sockets_of_systemd_are_served(make_server, activator):
    server = make_server("--data-threads", 3, start=False, program=activator)
    server.data.mkdir(mode=0o700)
    server.env = {"ACTIVATE": f"127.0.0.1:{server.port} {server.unix}", "ACTIVATE_PAUSE": "0.5"}
    server.start(wait=False)
    end = time.monotonic() + SECONDS
    while not server.unix.exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    assert server.get("/livez", timeout=SECONDS)[0] == 200  # asked before the program ran
    register_triage(Api(server.url), 1)
    for _ in range(20):
        assert server.get("/readyz")[0] == 200
    assert "triage" in server.cli("model", "list").out
    assert server.stop() == 0
    assert stat.S_ISSOCK(server.unix.stat().st_mode)  # systemd's, for the next start


def test_a_socket_that_no_option_names_is_refused(make_server, activator):
    server = make_server(start=False, program=activator)
    server.data.mkdir(mode=0o700)
    server.env = {"ACTIVATE": f"127.0.0.2:{server.port}"}
    server.start(wait=False)
    assert server.process.wait(SECONDS) != 0
    server.process = None
    assert f"systemd listens on 127.0.0.2:{server.port}, which no option" in server.log_text()
