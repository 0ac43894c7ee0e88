"""A server's life: systemd, and processes that follow each other without a gap.

What could break: a message to systemd that does not come or comes too early, a socket that was
handed over and that nobody accepts from, a request that fails while a new process takes over, an
answer that the new one does not know of, a failure of the new one that the old one notices.
"""
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import queue
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from api import REQUEST, Api, register_triage
from server import PATIENCE, PROGRAM, Adopted, become_subreaper, free_port
from test_python import PYTHON, folder, infer, workers_of  # noqa: F401
from test_rollout import PROMOTE, canary, register_churn, start, status, wait_until
from test_rollout import ask as ask_churn

triton = pytest.importorskip("tritonclient.grpc")
from tritonclient.utils import InferenceServerException  # noqa: E402

SECONDS = 10 * PATIENCE
BODY = json.dumps(REQUEST)
REAL = pathlib.Path(PROGRAM).resolve()

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
    become_subreaper()
    server.upgrade()  # handed on, and still systemd's
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


# ---- a new process takes over (SIGUSR2) ----

class Load:
    """Clients of every kind that ask one after another; what went wrong, and how much went well."""

    def __init__(self, port):
        self.port = port
        self.wrong = []
        self.kept = set()  # ids of predictions that were answered
        self.counts = dict.fromkeys(["keep-alive", "fresh", "gRPC", "stream"], 0)
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=[name, each], daemon=True)
                        for name, each in [("keep-alive", self.keep_alive),
                                           ("keep-alive", self.keep_alive),
                                           ("fresh", self.fresh), ("gRPC", self.grpc),
                                           ("stream", self.stream)]]

    def __enter__(self):
        become_subreaper()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), self.counts

    def run(self, name, each):
        try:
            for _ in each():
                self.counts[name] += 1
                if self.is_over.is_set():
                    return
        except Exception as error:  # noqa: BLE001
            self.wrong.append(f"{name} after {self.counts[name]}: {error!r}")

    def ask(self, connection, headers={}):  # noqa: B006
        connection.request("POST", "/predict/triage", BODY, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text

    def keep_alive(self):
        """One connection until the server says `Connection: close`, then another one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        for i in itertools.count():
            prediction = f"kept-{threading.get_ident()}-{i}"
            self.ask(connection, {"X-Request-Id": prediction})
            self.kept.add(prediction)
            yield

    def fresh(self):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
            yield self.ask(connection)
            connection.close()

    def grpc(self):
        with triton.InferenceServerClient(f"127.0.0.1:{self.port}") as client:
            while True:
                yield client.infer("triage", [tensor()])

    def stream(self):
        """A stream ends between two messages, with UNAVAILABLE; then its client opens another."""
        while not self.is_over.is_set():
            with triton.InferenceServerClient(f"127.0.0.1:{self.port}") as client:
                answers = queue.Queue()
                client.start_stream(lambda result, error: answers.put((result, error)))
                while True:
                    with contextlib.suppress(InferenceServerException):  # it has ended: see below
                        client.async_stream_infer("triage", [tensor()])
                    result, error = answers.get(timeout=SECONDS)
                    if error is not None:
                        assert error.status() == "StatusCode.UNAVAILABLE", error
                        break
                    yield result


def tensor():
    made = triton.InferInput("input", [1, len(REQUEST)], "FP32")
    made.set_data_from_numpy(np.array([list(REQUEST.values())], np.float32))
    return made


@contextlib.contextmanager
def draining(server):
    """The old process cannot end: it has half of a request."""
    body = b'{"rows": []}'
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock:
        sock.sendall(b"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n"
                     b"\r\n" + body[:6])
        assert server.get("/livez")[0] == 200  # sent after it, and answered
        time.sleep(0.1 * PATIENCE)
        become_subreaper()
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_log("waits for the folder")
        try:
            yield
        finally:
            sock.sendall(body[6:])
            answer = sock.recv(65536)
            server.adopt()
        assert answer.startswith(b"HTTP/1.1 40") and b"connection: close" in answer.lower()
    server.wait_for_log("has the folder")


def test_no_request_fails_while_processes_follow_each_other(make_server):
    server = make_server("--data-threads", 2)
    register_triage(Api(server.url))
    pids = {server.pid}
    with Load(server.port) as load:
        for _ in range(4):
            time.sleep(0.5)
            server.upgrade()
            pids.add(server.pid)
        time.sleep(0.5)
    assert not load.wrong
    exported = server.cli("prediction", "export", "triage").out.splitlines()
    assert load.kept <= {json.loads(line)["request_id"] for line in exported}
    assert len(pids) == 5
    assert min(load.counts.values()) > 20, load.counts
    assert Api(server.url).get("/api/status").json()["pid"] == server.pid


def test_what_the_old_process_answered_is_known_to_the_new(make_server):
    """Also what the new one answers before the folder is its own, and changes made meanwhile."""
    server = make_server("--data-threads", 2)
    api = Api(server.url)
    register_triage(api, 3)
    ids = [api.predict("triage", REQUEST)["predictions"][0]["id"] for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        with draining(server):
            api = Api(server.url)
            ids += [api.predict("triage", REQUEST)["predictions"][0]["id"] for _ in range(3)]
            waiting = [pool.submit(Api(server.url).set_alias, "triage", "champion", 1),
                       pool.submit(Api(server.url).post, "/feedback",
                                   {"items": [{"id": ids[i], "label": "benign"} for i in (0, -1)]}),
                       pool.submit(server.cli, "model", "list")]
            time.sleep(0.3 * PATIENCE)
            assert not any(future.done() for future in waiting)  # predictions do not wait:
            assert api.serving() == "3"
        _, feedback, listed = [future.result(SECONDS) for future in waiting]
    assert feedback.json()["accepted"] == 2 and "triage" in listed.out
    assert api.serving() == "1"
    for prediction in ids:
        assert api.get(f"/api/predictions/{prediction}").json()["id"] == prediction
    assert api.get("/api/doctor").json()["healthy"] is True


def test_a_rollout_goes_on_with_what_both_processes_have_seen(server):
    api = Api(server.url)
    register_churn(api)
    rollout = start(api, steps=[canary(), PROMOTE])
    before = {f"c{i}": ask_churn(api, f"c{i}") for i in range(20)}
    with draining(server):
        assert {key: ask_churn(Api(server.url), key) for key in before} == before
    api = Api(server.url)
    assert {key: ask_churn(api, key) for key in before} == before
    wait_until(lambda: "evidence" in status(api))
    wait_until(lambda: sum(status(api)["evidence"]["requests"].values()) == 60)
    assert status(api)["salt"] == rollout["salt"]
    assert sum(status(api)["evidence"]["keys"].values()) == 20


@pytest.mark.skipif(not os.access(PYTHON, os.X_OK), reason=f"there is no {PYTHON}")
def test_each_process_has_workers_of_its_own(server, folder):  # noqa: F811
    """The new one's answer while the old one's still run; those end with it."""
    server.cli("model", "register", "churn", folder, "--owner", "me@example.org")
    register_triage(Api(server.url))
    old = workers_of(server.pid)
    with draining(server):
        assert infer(Api(server.url), [40, 1])["outputs"][0]["data"] == [18]
        assert len(old) == 1 and is_alive(old[0])
    end = time.monotonic() + SECONDS
    while is_alive(old[0]):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert infer(Api(server.url), [20, 3])["outputs"][0]["data"] == [4]
    assert len(workers_of(server.pid)) == 1


def test_a_change_in_the_old_process_is_seen_by_the_new(make_server):
    """A rollback by an open connection to the old one counts where requests are answered."""
    server = make_server()
    api = Api(server.url)
    register_triage(api, 2)
    old = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    old.request("GET", "/livez")
    old.getresponse().read()
    with draining(server):
        assert Api(server.url).serving() == "2"
        old.request("POST", "/api/models/triage/rollback", "{}",
                    {"Content-Type": "application/json"})
        answer = old.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.headers["Connection"] == "close"
        old.close()
        end = time.monotonic() + SECONDS
        while Api(server.url).serving() != "1":
            assert time.monotonic() < end
    assert Api(server.url).serving() == "1"


def failed_upgrade(server, reason):
    """SIGUSR2, of which nothing comes."""
    had = server.log_text().count("this one goes on")
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_log("this one goes on", had + 1)
    assert reason in server.log_text().splitlines()[-1], server.log_text()
    assert server.get("/readyz")[0] == 200
    assert Api(server.url).get("/api/status").json()["pid"] == server.pid
    server.cli("status")  # by the Unix socket, whose file is still there


def test_a_new_process_that_fails_changes_nothing(make_server, tmp_path):
    become_subreaper()
    program, rules = tmp_path / "slipway", tmp_path / "rules.yaml"
    program.symlink_to(REAL)
    server = make_server("--alert-rules", rules, start=False, program=program)
    rules.write_text("rules: {}\n")
    server.start()
    api = Api(server.url)
    register_triage(api)
    rules.write_text("nonsense: [\n")
    failed_upgrade(server, "it ended with status")
    assert "rules.yaml" in server.log_text()
    rules.write_text("rules: {}\n")

    replace(program, "#!/bin/sh\nexit 3\n")
    failed_upgrade(server, "it ended with status 3")
    replace(program, "no program at all")
    failed_upgrade(server, "Exec format error")
    program.unlink()
    program.symlink_to(REAL)
    server.upgrade()  # what is there now

    for blob in (server.data / "blobs").glob("*/*"):
        blob.chmod(0o600)
        blob.write_bytes(b"broken")
    failed_upgrade(server, "it ended with status")
    assert "model 'triage' version 2 does not load" in server.log_text()
    assert api.serving() == "2"


def replace(path, content):
    """As an upgrade does it: another file takes the name."""
    fresh = path.with_name("fresh")
    fresh.write_text(content)
    fresh.chmod(0o700)
    fresh.rename(path)


@pytest.fixture
def stuck(make_server, tmp_path):
    """A server whose successor will not get ready."""
    become_subreaper()
    program = tmp_path / "slipway"
    program.symlink_to(REAL)
    server = make_server("--handover-timeout-ms", f"{PATIENCE}s", start=False, program=program)
    server.start()
    replace(program, "#!/bin/sh\nexec sleep 600\n")
    return server


def successor(server):
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_log("new process started")
    return int(re.findall(r"new process started pid=(\d+)", server.log_text())[-1])


def is_alive(pid):
    """Not ended; who has not been waited for yet has."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_process_at_a_time_gets_ready_and_not_for_ever(stuck):
    pid = successor(stuck)
    assert is_alive(pid)
    failed_upgrade(stuck, f"process {pid} is getting ready already")
    stuck.wait_for_log("was not ready in time, and was ended by signal 9")
    assert not is_alive(pid)
    assert stuck.get("/readyz")[0] == 200


def test_sigterm_ends_both(stuck):
    pid = successor(stuck)
    assert stuck.stop() == 0
    assert not is_alive(pid)


def test_sigterm_to_the_new_process_waits_for_the_folder(make_server):
    server = make_server()
    register_triage(Api(server.url))
    with draining(server):
        heir = int(re.findall(r"handed over pid=(\d+)", server.log_text())[-1])
        id = Api(server.url).predict("triage", REQUEST)["predictions"][0]["id"]
        os.kill(heir, signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    server.process = None
    server.start()
    assert Api(server.url).get(f"/api/predictions/{id}").json()["id"] == id


def test_when_the_old_process_is_killed_the_new_one_has_the_folder(make_server):
    server = make_server()
    register_triage(Api(server.url))
    become_subreaper()
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock:
        sock.sendall(b"POST /predict/triage HTTP/1.1\r\nHost: localhost\r\n")
        time.sleep(0.2 * PATIENCE)
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_log("waits for the folder")
        server.process.kill()
        server.process.wait()
        server.wait_for_log("has the folder")
    server.process = Adopted(int(re.findall(r"handed over pid=(\d+)", server.log_text())[-1]))
    Api(server.url).set_alias("triage", "champion", 1)
    assert Api(server.url).serving() == "1"


def test_the_options_of_the_new_process_hold(make_server, tmp_path):
    """More threads, fewer threads, other addresses: every socket that stays is accepted from."""
    program, config = tmp_path / "configured", tmp_path / "config.yaml"
    program.write_text(f"#!/bin/sh\nexec {PROGRAM} serve --config {config}\n")
    program.chmod(0o700)
    with free_port() as other:
        server = make_server(start=False, program=program)

        def configure(threads, *ports):
            listen = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
            config.write_text(f"data_dir: {server.data}\nunix_socket: {server.unix}\n"
                              f"data_threads: {threads}\nlisten: [{listen}]\n")

        become_subreaper()
        configure(2, server.port)
        server.start()
        for threads, ports in [(5, [server.port, other]), (1, [server.port, other]),
                               (3, [server.port])]:
            configure(threads, *ports)
            server.upgrade()
            for port in ports:
                for _ in range(40):
                    socket.create_connection(("127.0.0.1", port), SECONDS).close()
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
                    connection.request("GET", "/readyz")
                    assert connection.getresponse().status == 200
                    connection.close()
            assert f'"data_threads": {threads}' in server.cli("status", "--json").out.replace(
                '":', '": ').replace(":  ", ": ")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", other), SECONDS)


def test_systemd_hears_of_the_new_process(make_server, tmp_path):
    name = str(tmp_path / "notify")
    with notify_socket(name) as heard:
        server = make_server(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"})
        hear(heard, "READY=1")
        become_subreaper()
        server.upgrade()
        hear(heard, "STATUS=serves; a new process gets ready")
        assert "READY=1" in hear(heard, f"MAINPID={server.pid}")
        hear(heard, "READY=1")
        hear(heard, "WATCHDOG=1")


def test_the_first_process_of_a_container_is_not_replaced(make_server, tmp_path):
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no process namespaces here")
    program = tmp_path / "contained"
    program.write_text(f'#!/bin/sh\nexec {" ".join(unshare)} {PROGRAM} "$@"\n')
    program.chmod(0o700)
    server = make_server(start=False, program=program).start()
    children = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    inside = int(children.split()[0])
    os.kill(inside, signal.SIGUSR2)
    server.wait_for_log("it is the first process of a container")
    assert server.get("/readyz")[0] == 200
    os.kill(inside, signal.SIGTERM)
    server.process.wait(SECONDS)
    server.process = None
