"""From `slipway rollback` to the first answer of the version before.

Each of ROLLBACKS: the alias is set to version 2 by the API, then the clock starts, the command is
started as a process of its own, and a client with one open connection asks for predictions without
pause until version 1 answers. The bar is the median. A rollback waits for the disk once, so the
slowest ones say as much about the disk: between two of them a plain write and fdatasync is timed.
"""
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import EXAMPLE, PROGRAM, bar, info, pinned, register_triage, serve

ROLLBACKS = 20
BOUND_MS = 50
SECONDS_MAX = 10
JSON = {"Content-Type": "application/json"}


def call(client, method, path, body):
    client.request(method, path, body, JSON)
    reply = client.getresponse()
    answer = json.loads(reply.read())
    if reply.status != 200:
        raise SystemExit(f"{method} {path}: {reply.status} {answer}")
    return answer


def answering_version(client, row):
    return call(client, "POST", "/predict/triage", row)["version"]


def rollback_ms(client, folder, row):
    """Milliseconds to the first answer of version 1, and to the end of the command."""
    call(client, "PUT", "/api/models/triage/aliases/champion", json.dumps({"version": 1}))
    call(client, "PUT", "/api/models/triage/aliases/champion", json.dumps({"version": 2}))
    if answering_version(client, row) != "2":
        raise SystemExit("version 2 does not answer before the rollback")
    begin = time.monotonic()
    command = subprocess.Popen([PROGRAM, "rollback", "triage", "--data", folder],
                               stdout=subprocess.DEVNULL, preexec_fn=pinned(None))
    while answering_version(client, row) != "1":
        if time.monotonic() - begin > SECONDS_MAX:
            raise SystemExit("the rollback took no effect")
    answered = time.monotonic()
    if command.wait():
        raise SystemExit("slipway rollback failed")
    return 1000 * (answered - begin), 1000 * (time.monotonic() - begin)


def sync_ms(path):
    """A write of 4 KiB and its fdatasync, beside the store."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        begin = time.monotonic()
        os.write(fd, bytes(4096))
        os.fdatasync(fd)
        return 1000 * (time.monotonic() - begin)
    finally:
        os.close(fd)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "data"
        register_triage(folder)
        row = (EXAMPLE / "request.json").read_bytes()
        with serve(folder, cpu=None) as server:
            server.wait()
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS_MAX)
            times, syncs = [], []
            for _ in range(ROLLBACKS):
                times.append(rollback_ms(client, folder, row))
                syncs.append(sync_ms(pathlib.Path(name) / "sync"))
    answers = [answer for answer, _ in times]
    measured = statistics.median(answers)
    info(f"{ROLLBACKS} rollbacks: first answer after {min(answers):.1f}..{max(answers):.1f} ms; "
         f"the command ends after {statistics.median(end for _, end in times):.1f} ms (median)")
    info(f"a write and fdatasync alone: {min(syncs):.1f}..{max(syncs):.1f} ms, median "
         f"{statistics.median(syncs):.1f} ms")
    bar("rollback_to_first_answer", f"{measured:.1f}ms", f"<={BOUND_MS}ms", measured <= BOUND_MS)


main()
