"""Clients of other servers, unmodified: KServe's InferenceRESTClient and MLflow's scoring client.

What could break: a path, a health reply or a body that those clients read otherwise than we write.
They want other versions of what the tests run on, so each runs in build/venv-clients.
"""
import json
import subprocess

import pytest

from api import FIELDS, golden_rows
from server import ROOT

ROWS, EXPECTED = golden_rows()
MATRIX = [[row[name] for name in FIELDS] for row in ROWS]
PYTHON = ROOT / "build/venv-clients/bin/python"

pytestmark = pytest.mark.skipif(not PYTHON.exists(),
                                reason="build/venv-clients is missing (make test)")


def ask(script, *args):
    command = [PYTHON, ROOT / "tests/clients" / script, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_kserve_client_speaks_v1_and_v2(triage):
    got = ask("kserve_client.py", triage.url, "triage", json.dumps(MATRIX))
    for version in ("v1", "v2"):
        assert got[version].pop("predictions") == pytest.approx(EXPECTED, rel=1e-6)
    assert got == {"v1": {"live": True, "ready": True},
                   "v2": {"live": True, "server_ready": True, "ready": True}}


def test_mlflow_client_sends_its_data_frame(triage):
    got = ask("mlflow_client.py", triage.port, json.dumps(FIELDS), json.dumps(MATRIX))
    assert got["predictions"] == pytest.approx(EXPECTED, rel=1e-6)
    assert got["version"]
