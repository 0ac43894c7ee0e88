"""LightGBM and ONNX models through the real server, with the bits of the libraries they come from.

The unit tests hold the engines to the same rows; here they travel over HTTP as tritonclient sends
them. What could break on the way: doubles that become floats, labels that are texts, columns with
inputs of their own.
"""
import json

import numpy as np
import pytest
import tritonclient.http as http

from api import Api
from server import ROOT, Server, free_port

LIGHTGBM = ROOT / "tests/golden/lightgbm/4.7.0"
ONNX = ROOT / "tests/golden/onnx_ml"
DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": object}
SPECIAL = {None: np.nan, "inf": np.inf, "-inf": -np.inf}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all models of this file."""
    with free_port() as port:
        shared = Server(tmp_path_factory.mktemp("formats") / "data", port).start()
        yield shared
        assert shared.stop() == 0
        shared.check_clean()


def infer(server, model, inputs):
    """Outputs by name, every one the model has."""
    metadata = Api(server.url).get(f"/v2/models/{model}").json()
    with http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        result = client.infer(model, inputs, outputs=[
            http.InferRequestedOutput(output["name"]) for output in metadata["outputs"]])
    return {output["name"]: result.as_numpy(output["name"]) for output in metadata["outputs"]}


def lightgbm_golden(name):
    """[(inputs, margins, predictions) of doubles, and of the same rounded to float32]."""
    _, line, rest = (LIGHTGBM / f"{name}.golden").read_bytes().split(b"\n", 2)
    words = line.split()
    rows, features, margins, predictions = (int(words[i]) for i in (1, 3, 5, 7))
    sizes = [rows * features, rows * margins, rows * predictions] * 2
    parts = np.split(np.frombuffer(rest, np.float64), np.cumsum(sizes)[:-1])
    parts = [part.reshape(rows, -1) for part in parts]
    return parts[:3], parts[3:]


@pytest.mark.parametrize("name", ["binary", "multiclass", "categorical", "linear_tree",
                                  "missing_zero"])
def test_scores_have_the_bits_of_lightgbm(server, name):
    Api(server.url).register(name, (LIGHTGBM / f"{name}.txt").read_bytes())
    wide, narrow = lightgbm_golden(name)
    for (rows, margins, predictions), datatype in ((wide, "FP64"), (narrow, "FP32")):
        tensor = http.InferInput("input", list(rows.shape), datatype)
        tensor.set_data_from_numpy(rows if datatype == "FP64" else rows.astype(np.float32))
        outputs = infer(server, name, [tensor])
        with np.errstate(over="ignore"):
            known = predictions.astype(np.float32)
        assert outputs["margin"].tobytes() == margins.tobytes(), datatype
        assert outputs["predict"].tobytes() == known.tobytes(), datatype


def array(tensor):
    kind = DTYPES[tensor["datatype"]]
    data = [SPECIAL.get(v, v) if tensor["datatype"] == "FP32" else v for v in tensor["data"]]
    if tensor["datatype"] == "BYTES":
        data = [v.encode() for v in data]
    return np.array(data, kind).reshape(tensor["shape"])


@pytest.mark.parametrize("folder,name", [
    ("trees", "rf_names"), ("trees", "gb_binary"), ("trees", "rf_targets"),
    ("linear", "titanic_classes"), ("linear", "whole"), ("linear", "softmax_zipmap")])
def test_answers_are_those_of_onnx_runtime(server, folder, name):
    Api(server.url).register(name, (ONNX / folder / f"{name}.onnx").read_bytes())
    golden = json.loads((ONNX / folder / f"{name}.json").read_text())
    inputs = []
    for given in golden["inputs"]:
        inputs.append(http.InferInput(given["name"], given["shape"], given["datatype"]))
        inputs[-1].set_data_from_numpy(array(given))
    outputs = infer(server, name, inputs)
    assert len(outputs) == len(golden["outputs"])
    for expected in golden["outputs"]:
        got, known = outputs[expected["name"]], array(expected)
        assert got.shape == known.shape
        if folder == "trees" or expected["datatype"] != "FP32":
            assert got.tolist() == known.tolist()
        else:
            np.testing.assert_allclose(got, known, rtol=1e-5, atol=1e-5)


def test_an_operator_it_does_not_have_is_named(server):
    reply = Api(server.url).register(
        "nothing", (ROOT / "tests/golden/onnx/skl_kmeans/model.onnx").read_bytes(), expect=None,
        runtime="linear")
    assert "node" in reply["detail"] and "runtime onnx" in reply["hint"], reply
