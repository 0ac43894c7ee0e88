"""Starts the real program on a free loopback port with a data folder of its own.

Used by the pytest fixtures and by the cases. A server ends by its own process id, and output of
a sanitizer on its log is a failure even when every answer was right.
"""
import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("SLIPWAY_BIN", str(ROOT / "build/slipway"))
PREFIX = shlex.split(os.environ.get("SLIPWAY_PREFIX", ""))
# Sanitizers are slower: every wait is multiplied by this.
PATIENCE = 4 if os.environ.get("SLIPWAY_MODE", "").startswith(("asan", "tsan")) else 1
READY_SECONDS_MAX = 10 * PATIENCE
STOP_SECONDS_MAX = 20 * PATIENCE
COMMAND_SECONDS_MAX = 60 * PATIENCE
# Below the kernel's range for outgoing connections, which starts at 32768.
PORTS = range(20000, 30000)
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:)[^\n]*")


@contextlib.contextmanager
def free_port():
    """A port that is ours for the length of the block.

    Listeners share ports (SO_REUSEPORT), so two servers on one port would not notice each other:
    a locked file per port keeps test runs apart.
    """
    folder = pathlib.Path(tempfile.gettempdir()) / f"slipway-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    first = os.getpid() % len(PORTS)
    for port in [*PORTS[first:], *PORTS[:first]]:
        with open(folder / str(port), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            yield port
            return
    raise RuntimeError("no free port on 127.0.0.1")


def program_env(extra):
    """The caller's environment without options of Slipway, but for those a test sets itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    return {**kept, **(extra or {})}


class Result:
    """What a command printed and how it ended."""

    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out}\nstderr: {self.err}"


def run_program(*args, check=True, env=None, cwd=None, stdin=None):
    """`slipway args...`; with check, a status other than 0 is an error that shows the output."""
    done = subprocess.run([*PREFIX, PROGRAM, *map(str, args)], capture_output=True, text=True,
                          timeout=COMMAND_SECONDS_MAX, cwd=cwd, input=stdin,
                          env=program_env(env))
    result = Result(done)
    if check and result.status != 0:
        raise AssertionError(f"slipway {' '.join(map(str, args))}: {result}")
    if SANITIZER.search(result.err):
        raise AssertionError(f"slipway {' '.join(map(str, args))}: {result.err}")
    return result


def become_subreaper():
    """Processes whose parent has ended become ours, so that we hear how they end."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


class Adopted:
    """A process that another one of ours has started; as much of Popen as is used here."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def poll(self):
        """None also while it is another process's child."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds=STOP_SECONDS_MAX):
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", seconds)
            time.sleep(0.005)
        return self.returncode


class Server:
    """One `slipway serve`. start(), stop(), kill(), restart(); url and data say where it is."""

    def __init__(self, data, port, args=(), env=None, program=PROGRAM):
        self.program = program
        self.data = pathlib.Path(data)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.unix = self.data / "slipway.sock"
        self.log = self.data.parent / f"{self.data.name}.log"
        self.args = list(args)
        self.env = env
        self.process = None

    def start(self, wait=True):
        assert self.process is None, "the server runs already"
        argv = [*PREFIX, str(self.program), "serve", "--data", str(self.data), "--listen",
                f"127.0.0.1:{self.port}", "--unix", str(self.unix), *map(str, self.args)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=program_env(self.env))
        if wait:
            self.wait_ready()
        return self

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def get(self, path, timeout=5):
        """(status, body) of one GET on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def wait_ready(self, path="/readyz", seconds=READY_SECONDS_MAX):
        end = time.monotonic() + seconds
        last = "no connection"
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n"
                                     f"{self.log_text()}")
            try:
                status, last = self.get(path)
                if status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.005)
        raise AssertionError(f"not ready after {seconds} s ({last}):\n{self.log_text()}")

    def stop(self):
        """SIGTERM, as an operator does it; returns the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self):
        """SIGKILL: what a power cut looks like to the files."""
        return self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process is None:
            return 0
        self.process.send_signal(number)
        try:
            status = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end on signal {number}:\n{self.log_text()}") from None
        finally:
            self.process = None
        return status

    def restart(self):
        self.stop()
        return self.start()

    def upgrade(self):
        """SIGUSR2: a new process takes over; returns when it has the data folder."""
        had = self.log_text().count("has the folder")
        self.process.send_signal(signal.SIGUSR2)
        self.wait_for_log("handed over", had + 1)
        self.adopt()
        self.wait_for_log("has the folder", had + 1)
        return self

    def adopt(self):
        """The old process has handed over: it ends, and its successor is the server's."""
        found = re.findall(r"handed over pid=(\d+)", self.log_text())
        old, self.process = self.process, Adopted(int(found[-1]))
        status = old.wait(STOP_SECONDS_MAX)
        assert status == 0, f"the old process ended with {status}:\n{self.log_text()}"

    def wait_for_log(self, text, count=1, seconds=READY_SECONDS_MAX):
        end = time.monotonic() + seconds
        while self.log_text().count(text) < count:
            assert time.monotonic() < end, f"no '{text}' in the log:\n{self.log_text()}"
            time.sleep(0.01)

    def cli(self, *args, check=True, stdin=None):
        """A command on this server's data folder, the way a person on the machine runs it."""
        return run_program(*args, "--data", str(self.data), check=check, stdin=stdin)

    def check_clean(self):
        """No sanitizer has spoken."""
        found = SANITIZER.search(self.log_text())
        assert not found, f"{found[0]}\n{self.log_text()}"
