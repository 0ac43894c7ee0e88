"""What an idle server costs: program size, memory at rest, time to the first answer.

Starts build/slipway on a folder of its own with the triage example registered, on two data
threads. Prints one `bar` line each.
"""
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "build/slipway"
EXAMPLE = ROOT / "examples/triage"
STARTS = 15
MIB = 1024 * 1024


def bar(name, measured, unit, bound):
    verdict = "ok" if measured < bound else "short"
    print(f"bar {name} {measured:.2f}{unit} <{bound}{unit} {verdict}", flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def register(folder):
    subprocess.run(
        [PROGRAM, "model", "register", "triage", EXAMPLE / "model.ubj", "--data", folder,
         "--owner", "bench@example.org", "--contract", EXAMPLE / "contract.yaml",
         "--golden", EXAMPLE / "golden.csv"],
        check=True, stdout=subprocess.DEVNULL)


def start(folder, port):
    return subprocess.Popen(
        [PROGRAM, "serve", "--data", folder, "--listen", f"127.0.0.1:{port}",
         "--data-threads", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def answers(port, deadline):
    request = f"GET /v2/models/triage/ready HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
                s.sendall(request)
                if s.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.0005)
    raise SystemExit("the server did not answer in 10 s")


def start_milliseconds(folder):
    port = free_port()
    begin = time.monotonic()
    server = start(folder, port)
    try:
        answers(port, begin + 10)
        return 1000 * (time.monotonic() - begin)
    finally:
        server.terminate()
        server.wait()


def rest_bytes(folder):
    port = free_port()
    server = start(folder, port)
    try:
        answers(port, time.monotonic() + 10)
        time.sleep(2)
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        return 1024 * int(status.split("VmRSS:")[1].split()[0])
    finally:
        server.terminate()
        server.wait()


def stripped_bytes(folder):
    copy = folder / "slipway-stripped"
    shutil.copy(os.path.realpath(PROGRAM), copy)
    subprocess.run(["strip", copy], check=True)
    return copy.stat().st_size


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "data"
        register(data)
        bar("stripped_program", stripped_bytes(folder) / MIB, "MiB", 5)
        bar("idle_rss_2_threads", rest_bytes(data) / MIB, "MiB", 10)
        starts = [start_milliseconds(data) for _ in range(STARTS)]
        bar("start_with_one_model", statistics.median(starts), "ms", 50)


main()
