"""ONNX models behind the server: contracts, refusals, no library.

What could break: an order of outputs that contracts do not expect, a library that is missing.
"""
import json

import pytest
from onnx import TensorProto, numpy_helper

from api import Api
from server import ROOT, Server, free_port

GOLDEN = ROOT / "tests/golden/onnx"
LIBRARY = ROOT / "build/venv"
DATATYPES = {9: "BOOL", 2: "UINT8", 4: "UINT16", 12: "UINT32", 13: "UINT64", 3: "INT8",
             5: "INT16", 6: "INT32", 7: "INT64", 10: "FP16", 16: "BF16", 1: "FP32", 11: "FP64",
             8: "BYTES"}


def model_file(name):
    return (GOLDEN / name / "model.onnx").read_bytes()


def tensors(model, kind):
    """name -> (datatype, array) of a golden model."""
    found = {}
    for path in sorted((GOLDEN / model).glob(f"{kind}_*.pb")):
        proto = TensorProto.FromString(path.read_bytes())
        found[proto.name] = DATATYPES[proto.data_type], numpy_helper.to_array(proto)
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with free_port() as port:
        server = Server(tmp_path_factory.mktemp("onnx") / "data", port,
                        ["--onnxruntime-path", str(LIBRARY)]).start()
        server.api = Api(server.url)
        yield server
        status = server.stop()
        server.check_clean()
        assert status == 0


def contract(threshold):
    """Eight numbers, a class and its score; class 1 from `threshold` on."""
    def role(name):
        return [{"property": "slipwayRole", "value": name}]
    fields = [{"name": f"f{i}", "logicalType": "number", "required": True,
               "customProperties": role("feature")} for i in range(8)]
    fields.append({"name": "verdict", "logicalType": "string",
                   "quality": [{"type": "library", "metric": "invalidValues", "mustBe": 0,
                                "arguments": {"validValues": ["malignant", "benign"]}}],
                   "customProperties": role("prediction")})
    fields.append({"name": "score", "logicalType": "number", "customProperties": role("score")})
    return json.dumps({
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "tumour", "name": "tumour",
        "version": "1.0.0", "status": "active",
        "customProperties": [{"property": "slipwayDecisionThreshold", "value": threshold}],
        "schema": [{"name": "row", "logicalType": "object", "properties": fields}]}).encode()


def golden_csv():
    rows = tensors("skl_scaled_matrix", "input")["X"][1]
    scores = tensors("skl_scaled_matrix", "output")["probabilities"][1][:, 1]
    lines = [",".join([f"f{i}" for i in range(8)] + ["score"])]
    lines += [",".join(repr(float(v)) for v in [*row, p]) for row, p in zip(rows, scores)]
    return "\n".join(lines).encode(), rows, scores


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_a_classifier_of_scikit_learn_stands_behind_a_contract(served, threshold):
    """Two columns of probabilities: the second is class 1, which the threshold is about."""
    golden, rows, scores = golden_csv()
    name = f"tumour-{int(threshold * 100)}"
    served.api.register(name, model_file("skl_scaled_matrix"), contract(threshold), golden)
    between = [i for i, p in enumerate(scores) if 0.5 <= p < 0.9]
    assert between, "the rows have none that the threshold decides"
    for i in [0, 1, *between[:3]]:
        body = {f"f{k}": float(v) for k, v in enumerate(rows[i])}
        reply = served.api.predict(name, body)
        answer = reply["predictions"][0]
        assert answer["label"] == ("benign" if scores[i] >= threshold else "malignant"), answer
        assert answer["probabilities"]["benign"] == pytest.approx(float(scores[i]), rel=1e-4)


@pytest.mark.parametrize("file, words", [
    ("custom_operator", "operator 'Magic' of 'com.example'"),
    ("external_data", "tensor 'w' are in another file"),
])
def test_a_refused_file_says_why(served, file, words):
    artifact = (GOLDEN / f"refused/{file}.onnx").read_bytes()
    reply = served.api.register("refused", artifact, expect=None)
    assert words in json.dumps(reply), reply
    served.api.get("/api/models/refused", expect=404)


def test_a_file_that_crashes_onnx_runtime_crashes_a_process_apart(served):
    """A pooling window larger than the image, which 1.32 does not survive. The server does."""
    artifact = (GOLDEN / "small_image/fixed_size.onnx").read_bytes()
    reply = served.api.register("crashes", artifact, expect=None)
    assert "ONNX Runtime does not survive this model" in json.dumps(reply), reply
    served.api.get("/api/models/crashes", expect=404)
    served.api.get("/livez")


def test_without_the_library_it_says_how_to_get_it(make_server, tmp_path):
    """Nothing is registered, and what needs no library goes on."""
    server = make_server("--onnxruntime-path", str(tmp_path))
    api = Api(server.url)
    reply = api.register("net", model_file("mlp"), expect=503)
    assert "no libonnxruntime.so in" in reply["detail"]
    assert "pip install onnxruntime" in json.dumps(reply)
    api.get("/readyz")
