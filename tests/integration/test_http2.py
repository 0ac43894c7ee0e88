"""HTTP/2 by curl and h2load, as they are: by prior knowledge, by ALPN, many requests at once.

What could break: an answer that differs from HTTP/1's, a key that one request lends another, a
connection whose streams wait for each other, a server that does not end while streams are open.
"""
import json
import os
import shutil
import subprocess

import pytest

from api import REQUEST
from server import COMMAND_SECONDS_MAX
from test_tls import Secure

pytestmark = pytest.mark.skipif(not shutil.which("curl") or not shutil.which("h2load"),
                                reason="curl or h2load is not installed")


def curl(*args):
    """The body, and below it what -w printed."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", *map(str, args)],
                          capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=True)
    return done.stdout


def test_all_routes_answer_as_over_http1(triage):
    for path in ["/readyz", "/v2/models/triage", "/api/models", "/api/models/none", "/nowhere",
                 "/openapi.json", "/v2/models/none"]:
        answers = [curl(way, "-w", "\n%{http_version} %{http_code}", triage.url + path)
                   for way in ["--http1.1", "--http2-prior-knowledge"]]
        bodies = [answer.rsplit("\n", 1)[0] for answer in answers]
        if bodies[0].startswith("{") and "request_id" in bodies[0]:
            bodies = [{**json.loads(body), "request_id": ""} for body in bodies]
        assert bodies[0] == bodies[1]
        first, second = (answer.rsplit("\n", 1)[1].split() for answer in answers)
        assert [first[0], second[0]] == ["1.1", "2"]
        assert first[1] == second[1]


def test_a_prediction_and_its_refusal(triage):
    ask = ["--http2-prior-knowledge", triage.url + "/predict/triage", "-d"]
    answer = json.loads(curl(*ask, json.dumps(REQUEST)))
    same = json.loads(curl(*ask[1:], json.dumps(REQUEST)))
    for field in ["label", "probabilities"]:
        assert answer["predictions"][0][field] == same["predictions"][0][field]
    assert json.loads(curl(*ask, "{"))["status"] == 400


def test_alpn_chooses_http2_and_keys_are_asked_for(make_server, tmp_path):
    secure = Secure(make_server, tmp_path)
    ask = ["--cacert", secure.cert, "-w", "\n%{http_version} %{http_code}"]
    assert curl(*ask, secure.url + "/readyz").endswith("2 200")
    assert curl(*ask, secure.url + "/api/models").endswith("2 401")
    key = ["-H", f"Authorization: Bearer {secure.token}"]
    assert curl(*ask, *key, secure.url + "/api/models").endswith("2 200")
    assert curl(*ask, "--http1.1", *key, secure.url + "/api/models").endswith("1.1 200")
    # One connection, two callers: the second has no key.
    ask[-1] = "\n%{http_code} %{num_connects}\n"
    lines = curl(*ask, *key, secure.url + "/api/models", "--next", "--silent", *ask,
                 secure.url + "/api/models").splitlines()
    assert [line for line in lines if line in ["200 1", "401 0"]] == ["200 1", "401 0"]


def test_many_at_once_all_succeed(triage, tmp_path):
    body = tmp_path / "request.json"
    body.write_text(json.dumps(REQUEST))
    count = 500 if os.environ.get("SLIPWAY_MODE", "").startswith(("asan", "tsan")) else 20000
    for more in [[], ["-w", "10"]]:  # also with windows of 1023 bytes
        done = subprocess.run(["h2load", "-n", str(count), "-c", "4", "-m", "32", "-d", str(body),
                               *more, triage.url + "/predict/triage"], capture_output=True,
                              text=True, timeout=COMMAND_SECONDS_MAX, check=True)
        assert f"{count} succeeded, 0 failed, 0 errored" in done.stdout
