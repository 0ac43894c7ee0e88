"""What an idle server costs: program size, memory at rest, time to the first answer.

The server has a folder of its own with the triage example registered, and two data threads.
"""
import http.client
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import PROGRAM, bar, info, register_triage, request, serve

STARTS = 15
START_SECONDS_MAX = 10
REST_SECONDS = 2
POLL_SECONDS = 0.0005
MIB = 1024 * 1024


def bar_below(name, measured, unit, bound):
    bar(name, f"{measured:.2f}{unit}", f"<{bound}{unit}", measured < bound)


def wait_ready(port, deadline):
    while time.monotonic() < deadline:
        try:
            if request(port, "GET", "/v2/models/triage/ready")[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"the server was not ready in {START_SECONDS_MAX} s")


def start_milliseconds(folder):
    begin = time.monotonic()
    with serve(folder, data_threads=2, cpu=None) as server:
        wait_ready(server.port, begin + START_SECONDS_MAX)
        return 1000 * (time.monotonic() - begin)


def rest_bytes(folder):
    """Resident memory of a server that has answered once, and what of it is its own."""
    with serve(folder, data_threads=2, cpu=None) as server:
        wait_ready(server.port, time.monotonic() + START_SECONDS_MAX)
        time.sleep(REST_SECONDS)
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        own = 1024 * int(status.split("RssAnon:")[1].split()[0])
        return server.resident_bytes(), own


def stripped_bytes(folder):
    copy = folder / "slipway-stripped"
    shutil.copy(os.path.realpath(PROGRAM), copy)
    subprocess.run(["strip", copy], check=True)
    return copy.stat().st_size


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "data"
        register_triage(data)
        bar_below("stripped_program", stripped_bytes(folder) / MIB, "MiB", 5)
        resident, own = rest_bytes(data)
        info(f"at rest {resident / MIB:.2f} MiB, of which {own / MIB:.2f} MiB are its own and the "
             "rest pages of program and libraries")
        bar_below("idle_rss_2_threads", resident / MIB, "MiB", 10)
        starts = [start_milliseconds(data) for _ in range(STARTS)]
        info(f"{STARTS} starts to ready: {min(starts):.1f}..{max(starts):.1f} ms")
        bar_below("start_with_one_model", statistics.median(starts), "ms", 50)


main()
