"""Servers that are compared: start, pin to a core, CPU time, memory, load, and the bar lines.

The server has core SERVER_CPU, the load generator core CLIENT_CPU. Both are raised in priority
when the user may do that, so that other programs on the machine disturb them less.
"""
import contextlib
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/slipway"
LOAD = ROOT / "build/release/bench/bench_load"
EXAMPLE = ROOT / "examples/triage"
SERVER_CPU = 0
CLIENT_CPU = 1 if (os.cpu_count() or 1) > 1 else 0
PRIORITY = -10
START_SECONDS_MAX = 30


def bar(name, measured, bound, is_ok):
    print(f"bar {name} {measured} {bound} {'ok' if is_ok else 'short'}", flush=True)


def info(text):
    print(f"    {text}", flush=True)


def middle_half(values):
    """25th and 75th percentile."""
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    return quarters[0], quarters[2]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpu):
    """For preexec_fn: the child runs on this core, or anywhere when `cpu` is None."""
    def run():
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    return run


class Server:
    """A running program and its children, listening on `port`."""

    def __init__(self, argv, port, cpu=SERVER_CPU, env=None):
        self.port = port
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(a) for a in argv], preexec_fn=pinned(cpu),
                                        stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(env or {})})

    def wait(self, path="/livez"):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if request(self.port, "GET", path)[0] == 200:
                    return self
            time.sleep(0.02)
        self.log.seek(0)
        raise SystemExit(f"{self.process.args[0]} did not answer:\n{self.log.read().decode()}")

    def pids(self):
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += [int(child) for child in children.read_text().split()]
        return found

    def cpu_ns(self):
        """CPU time of all threads of all processes so far. They must not end meanwhile."""
        return sum(int(stat.read_text().split()[0]) for pid in self.pids()
                   for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))

    def resident_bytes(self):
        return sum(1024 * int(pathlib.Path(f"/proc/{pid}/status").read_text()
                              .split("VmRSS:")[1].split()[0]) for pid in self.pids())

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def slipway(*args):
    """A command of the program; its standard output."""
    return subprocess.run([str(a) for a in (PROGRAM, *args)], check=True, capture_output=True,
                          text=True).stdout


def register_triage(folder):
    """Version 1, then version 2 (100 trees of depth 6) as champion."""
    for model, golden in (("model_v1.ubj", "golden_v1.csv"), ("model.ubj", "golden.csv")):
        slipway("model", "register", "triage", EXAMPLE / model, "--data", folder,
                "--alias", "champion", "--owner", "bench@example.org", "--note", "bench",
                "--contract", EXAMPLE / "contract.yaml", "--golden", EXAMPLE / golden)


def serve(folder, data_threads=1, cpu=SERVER_CPU, options=()):
    port = free_port()
    return Server([PROGRAM, "serve", "--data", folder, "--listen", f"127.0.0.1:{port}",
                   "--data-threads", data_threads, *options], port, cpu)


def request(port, method, path, body=None, headers=None):
    """Status, headers and body of one reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def write_request(path, method, target, body, headers=()):
    """A whole request as bytes in a file, for the load generator."""
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers,
            f"Content-Length: {len(body)}", "\r\n"]
    path.write_bytes("\r\n".join(head).encode() + body)
    return path


def start_load(port, files, cpu=CLIENT_CPU, **options):
    flags = [f"--{name}" if value is True else f"--{name}={value}"
             for name, value in options.items()]
    argv = [LOAD, f"--cpu={cpu}", *flags, port, *files]
    return subprocess.Popen([str(a) for a in argv], preexec_fn=pinned(cpu), stdout=subprocess.PIPE,
                            text=True)


def end_load(process):
    out = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"bench_load ended with {process.returncode}")
    return json.loads(out)


def load(port, files, **options):
    """One run of the load generator; its report."""
    return end_load(start_load(port, files, **options))
