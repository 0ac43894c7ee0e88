"""A hundred times another process takes over from the server while clients ask: none may notice.

`slipway bench` keeps connections and opens new ones when it is told to; one client here opens a
connection for each request, one keeps a connection that is mostly idle.
"""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import EXAMPLE, PROGRAM, bar, info, register_triage, request, serve

REEXECS = int(os.environ.get("BENCH_REEXECS", "100"))
SECONDS_MAX = 30
IDLE_SECONDS = 0.3
RATE = 1000
PR_SET_CHILD_SUBREAPER = 36
BODY = json.dumps(json.loads((EXAMPLE / "request.json").read_text()))


class Client(threading.Thread):
    """Asks one after another; counts what was answered with 200, and what was not."""

    def __init__(self, port, keeps, pause):
        super().__init__(daemon=True)
        self.port, self.keeps, self.pause = port, keeps, pause
        self.answered, self.failed = 0, []
        self.is_over = threading.Event()

    def run(self):
        connection = None
        while not self.is_over.wait(self.pause):
            if connection is None or not self.keeps:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/predict/triage", BODY)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    self.failed.append(text.decode())
                self.answered += answer.status == 200
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection = None
            if connection and not self.keeps:
                connection.close()

    def end(self):
        self.is_over.set()
        self.join()


def serving_pid(port):
    """Of the process that has the data folder: this call waits for it."""
    status, _, body = request(port, "GET", "/api/status")
    return json.loads(body)["pid"] if status == 200 else None


def follow(port, old):
    """One process after the other; the new one's id."""
    os.kill(old, signal.SIGUSR2)
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(old, os.WNOHANG)
        with contextlib.suppress(OSError, http.client.HTTPException):
            pid = serving_pid(port)
            if pid not in (None, old) and not pathlib.Path(f"/proc/{old}").exists():
                return pid
        time.sleep(0.01)
    raise SystemExit(f"nobody took over from process {old} in {SECONDS_MAX} s")


class Load(threading.Thread):
    """Runs of `slipway bench`, one after another."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.sent, self.failed, self.p99_us = 0, 0, 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.is_set():
            out = subprocess.run([str(PROGRAM), "bench",
                                  f"http://127.0.0.1:{self.port}/predict/triage", "--connections",
                                  "8", "--rate", str(RATE), "--duration", "10s", "--json"],
                                 capture_output=True, text=True).stdout
            one = json.loads(out)["versions"][0]
            self.sent += one["sent"]
            self.failed += one["failed"]
            self.p99_us = max(self.p99_us, one["p99_us"])

    def end(self):
        self.is_over.set()
        self.join()


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as name:
        data = pathlib.Path(name) / "data"
        register_triage(data)
        server = serve(data, data_threads=2, cpu=None).wait("/v2/models/triage/ready")
        pid = server.process.pid
        clients = [Client(server.port, False, 0.001), Client(server.port, True, 0),
                   Client(server.port, True, IDLE_SECONDS)]
        load = Load(server.port)
        for client in [*clients, load]:
            client.start()
        begin = time.monotonic()
        for _ in range(REEXECS):
            pid = follow(server.port, pid)
        seconds = time.monotonic() - begin
        for client in [*clients, load]:
            client.end()
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    failed = [failure for client in clients for failure in client.failed]
    answered = sum(client.answered for client in clients)
    total = len(failed) + load.failed
    info(f"{REEXECS} processes after each other in {seconds:.0f} s, "
         f"{load.sent} requests by slipway bench (the largest p99 of 10 s: "
         f"{load.p99_us / 1000:.1f} ms), {answered} by others")
    for failure in failed[:5]:
        info(failure)
    bar(f"reexec_{REEXECS}_failed", total, "0", total == 0)


main()
