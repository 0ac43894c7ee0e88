"""Python models through the real server: the tutorial of docs/runtimes/python.md, and failures.

What could break: a page whose steps do not work, a traceback that reaches the caller or not the
log, a crash that takes other requests or the server along, a model that is ready in a crash loop.
"""
import concurrent.futures
import os
import sys
import time

import pytest
import tritonclient.grpc as grpc

from api import REQUEST, Api
from server import ROOT

PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.skipif(not os.access(PYTHON, os.X_OK), reason=f"there is no {PYTHON}")

MODEL = """
import ctypes, os
from slipway_worker import InputError

def load(folder):
    print("loaded from", folder)
    return {"age": 0.5, "visits": -2.0}

def predict(weights, rows):
    if rows[0][0] == -1:
        raise KeyError("postcode")
    if rows[0][0] == -2:
        raise InputError("nobody is that old")
    if rows[0][0] == -3:
        ctypes.string_at(0)
    return [row[0] * weights["age"] + row[1] * weights["visits"] for row in rows]
"""

FIXED = """
class Fixed:
    def predict_proba(self, x):
        assert len(x[0]) == 30
        return [[0.25, 0.75] for _ in x]

def load(folder):
    return Fixed()
"""

ARRAYS = """
import numpy as np

kept = []

def predict(x):
    assert isinstance(x, np.ndarray) and x.dtype == np.float32
    kept.append(x)
    assert kept[0][0, 0] == 1
    return {"y": x.astype("f8").sum(axis=1), "n": np.arange(len(x), dtype="i4")}
"""

MIXED = """
import numpy as np

def predict(given, parameters):
    x, s = given["x"], given["s"]
    assert x.dtype == np.float32 and s.dtype == object
    unit = " " + parameters["unit"]
    hint = given["hint"][0] if "hint" in given else -1
    return (x.astype("f8").sum(axis=1), [b.decode().upper() + unit for b in s],
            np.full(len(x), hint, dtype="i2"))
"""


@pytest.fixture
def folder(tmp_path):
    churn = tmp_path / "churn"
    churn.mkdir()
    (churn / "model.py").write_text(MODEL)
    (churn / "slipway.yaml").write_text("features: [age, visits]\n")
    return churn


def body(*rows):
    return {"inputs": [{"name": "input", "datatype": "FP32", "shape": [len(rows), 2],
                        "data": [x for row in rows for x in row]}]}


def infer(api, *rows, expect=200):
    return api.post("/v2/models/churn/infer", body(*rows), expect=expect).json()


def test_the_tutorial_can_be_followed(server, api, cli, folder, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("age,visits\n40,1\n20,3\n")
    tried = cli("worker", "test", folder, "--rows", rows)
    assert "predict FP32 [2]: [18.0,4.0]" in tried.out
    assert "landlock calls limits" in tried.out
    assert "loaded from /model" in tried.err or os.geteuid() != 0
    registered = server.cli("model", "register", "churn", folder, "--owner", "me@example.org")
    assert "churn version 1 is registered (python" in registered.out
    assert infer(api, [40, 1], [20, 3])["outputs"][0]["data"] == [18, 4]
    assert "loaded from" in server.cli("model", "logs", "churn").out
    again = server.cli("model", "register", "churn", folder, "--owner", "me@example.org",
                       check=False)
    assert again.status == 4  # the same bytes are the same version


def test_failures_are_the_callers_alone(server, api, folder):
    server.cli("model", "register", "churn", folder, "--owner", "me@example.org")
    assert "KeyError: 'postcode'" in infer(api, [-1, 0], expect=502)["error"]
    assert "nobody is that old" in infer(api, [-2, 0], expect=400)["error"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        good = [pool.submit(infer, api, [40, 1]) for _ in range(20)]
        error = infer(api, [-3, 0], expect=502)["error"]
        assert all(g.result()["outputs"][0]["data"] == [18] for g in good)
    assert "signal 11" in error
    assert "Traceback" not in error
    assert infer(api, [40, 1])["outputs"][0]["data"] == [18]
    deadline = time.monotonic() + 10
    while "line 11, in predict" not in (log := server.cli("model", "logs", "churn").out):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)


def test_a_folder_that_does_not_load_is_refused(server, folder):
    (folder / "model.py").write_text("import no_such_module\n")
    refused = server.cli("model", "register", "churn", folder, "--owner", "me@example.org",
                         check=False)
    assert refused.status != 0
    assert "No module named 'no_such_module'" in refused.err
    (folder / "slipway.yaml").unlink()
    refused = server.cli("model", "register", "churn", folder, "--owner", "me@example.org",
                         check=False)
    assert "has no slipway.yaml" in refused.err


def test_gc_removes_what_was_unpacked_of_refused_models(server, api, folder):
    """The folder of one that is served stays, whatever its file's age is."""
    server.cli("model", "register", "churn", folder, "--owner", "me@example.org")
    (folder / "model.py").write_text("def load(folder):\n    raise RuntimeError('not today')\n")
    server.cli("model", "register", "churn", folder, "--owner", "me@example.org", check=False)
    models = server.data / "work/python/models"
    assert len(list(models.iterdir())) == 2
    for blob in (server.data / "blobs").glob("??/*"):
        os.utime(blob, (0, 0))
    assert server.cli("gc", "--json").json["folders"] >= 1
    assert len(list(models.iterdir())) == 1
    assert server.cli("gc", "--json").json["folders"] == 0
    assert infer(api, [40, 1])["outputs"][0]["data"] == [18]


def test_a_contract_says_what_the_model_takes(server, api, tmp_path):
    """The example's contract: 30 features, two classes; only model.py has to be written."""
    folder = tmp_path / "triage"
    folder.mkdir()
    (folder / "model.py").write_text(FIXED)
    server.cli("model", "register", "triage", folder, "--owner", "me@example.org",
               "--contract", ROOT / "examples/triage/contract.yaml")
    assert "0.75" in str(api.predict("triage", REQUEST))


def test_workers_end_with_the_server(server, folder):
    server.cli("model", "register", "churn", folder, "--owner", "me@example.org")
    children = workers_of(server.pid)
    assert len(children) == 1
    assert "slipway_workers 1\n" in str(server.get("/metrics")[1]).replace("\\n", "\n")
    server.kill()
    deadline = time.monotonic() + 10
    while left := [state for state in map(state_of, children) if state not in ("gone", "Z")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_numpy_arrays_of_an_environment(make_server, tmp_path):
    """The environment of these tests has numpy; a kept array must not change with the next call."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    (folder / "model.py").write_text(ARRAYS)
    (folder / "slipway.yaml").write_text(
        "environment: tests\nmemory: 2G\n"
        "features: [a, b]\n"
        "outputs:\n  - {name: y, dtype: FP32, shape: [-1]}\n"
        "  - {name: n, dtype: FP32, shape: [-1, 1]}\n")
    server = make_server("--python-environments", f"tests={sys.prefix}")
    server.cli("model", "register", "arrays", folder, "--owner", "me@example.org")
    for first in (1, 5):
        answer = Api(server.url).post("/v2/models/arrays/infer",
                                       body([first, 2], [3, 4])).json()
        outputs = {o["name"]: o["data"] for o in answer["outputs"]}
        assert outputs == {"y": [first + 2, 7], "n": [0, 1]}


def test_several_inputs_and_texts(make_server, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "model.py").write_text(MIXED)
    (folder / "slipway.yaml").write_text(
        "environment: tests\n"
        "inputs:\n  - {name: x, dtype: FP32, shape: [-1, 2]}\n"
        "  - {name: s, dtype: BYTES, shape: [-1]}\n"
        "  - {name: hint, dtype: INT64, shape: [1], optional: true}\n"
        "outputs:\n  - {name: y, dtype: FP64, shape: [-1]}\n"
        "  - {name: t, dtype: BYTES, shape: [-1]}\n  - {name: n, dtype: INT32, shape: [-1, 1]}\n")
    server = make_server("--python-environments", f"tests={sys.prefix}")
    server.cli("model", "register", "mixed", folder, "--owner", "me@example.org")
    asked = {"parameters": {"unit": "mm"}, "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]},
        {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "\u00df"]}]}
    answer = Api(server.url).post("/v2/models/mixed/infer", asked).json()
    outputs = {o["name"]: (o["datatype"], o["data"]) for o in answer["outputs"]}
    assert outputs == {"y": ("FP64", [3, 7]), "t": ("BYTES", ["A mm", "SS mm"]),
                       "n": ("INT32", [-1, -1])}
    asked["inputs"].append({"name": "hint", "datatype": "INT64", "shape": [1], "data": [9]})
    answer = Api(server.url).post("/v2/models/mixed/infer", asked).json()
    assert answer["outputs"][2]["data"] == [9, 9]
    asked["inputs"][0]["shape"] = [4]
    assert "shape" in Api(server.url).post("/v2/models/mixed/infer", asked,
                                           expect=400).json()["error"]


def test_a_crash_loop_is_not_ready(server, api, folder):
    server.cli("model", "register", "churn", folder, "--owner", "me@example.org")
    assert server.get("/readyz")[0] == 200
    for _ in range(3):
        infer(api, [-3, 0], expect=502)
    deadline = time.monotonic() + 10
    while server.get("/readyz")[0] != 503:
        assert time.monotonic() < deadline
    assert "keeps ending" in str(server.get("/readyz")[1])
    assert api.get("/v2/models/churn/ready", expect=503).status_code == 503
    with grpc.InferenceServerClient(server.url.split("//")[1]) as client:
        assert client.is_server_live() and not client.is_model_ready("churn")
    deadline = time.monotonic() + 20
    while server.get("/readyz")[0] != 200:
        assert time.monotonic() < deadline
        api.call("POST", "/v2/models/churn/infer", json=body([40, 1]))
        time.sleep(0.1)


def state_of(pid):
    """The letter that ps shows, or "gone". Z: it has ended, and nobody has asked how."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def workers_of(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
            found += children.read().split()
    return found
