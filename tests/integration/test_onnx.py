"""ONNX models behind the server: every type by the protocol's own client, contracts, refusals.

What could break: a type's bytes on the way in or out, an order of outputs that contracts do not
expect, a library that is missing, an error of ONNX Runtime that takes the server with it.
"""
import json

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
import tritonclient.http as http
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

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


@pytest.fixture(scope="module")
def client(served):
    with http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def ask(client, model, inputs, binary=True):
    made = []
    for name, (datatype, array) in inputs.items():
        if datatype == "BYTES":
            array = array.astype(np.object_)
        tensor = http.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return client.infer(model, made)


def test_every_type_comes_back_as_it_went(served, client):
    served.api.register("every_type", model_file("every_type"))
    result = ask(client, "every_type", tensors("every_type", "input"))
    for name, (datatype, want) in tensors("every_type", "output").items():
        got = result.as_numpy(name)
        assert result.get_output(name)["datatype"] == datatype
        assert got.shape == want.shape, name
        if datatype == "BYTES":
            assert [text.decode() for text in got.ravel()] == list(want.ravel())
        else:
            assert np.array_equal(got, want), name


def test_texts_and_numbers_in_inputs_of_their_own(served, client):
    served.api.register("columns", model_file("skl_columns"), runtime="onnx")
    for binary in (True, False):
        result = ask(client, "columns", tensors("skl_columns", "input"), binary)
        for name, (_, want) in tensors("skl_columns", "output").items():
            assert result.as_numpy(name) == pytest.approx(want, rel=1e-5, abs=1e-6)


SHARED = ROOT.parent / "shared/data"
OTHERS = {  # of other projects, with free dimensions given a size
    "yalue-onnxruntime_go/test_data/example_float16.onnx": {},
    "yalue-onnxruntime_go/test_data/example_multitype.onnx": {},
    "yalue-onnxruntime_go/test_data/example_several_inputs_and_outputs.onnx": {},
    "yalue-onnxruntime_go/test_data/example_dynamic_axes.onnx": {0: 3},
    "yalue-onnxruntime_go/test_data/example_0_dim_output.onnx": {},
    "yalue-onnxruntime_go/test_data/example_big_fanout.onnx": {},
    "ankane-onnxruntime-ruby/test/support/identity_string.onnx": {},
    "ankane-onnxruntime-ruby/test/support/logical_and.onnx": {},
    "ankane-onnxruntime-ruby/test/support/abs_free_dimensions.onnx": {0: 2, 1: 3},
    "microsoft-onnxruntime-inference-examples/c_cxx/MNIST/mnist.onnx": {},
    "microsoft-onnxruntime-inference-examples/mobile/examples/Xamarin/Models/"
    "Ultraface.version-RFB-320.onnx": {},
}


def some_values(rng, datatype, shape):
    if datatype == "BYTES":
        return np.array(["a", "Zürich", ""])[rng.integers(0, 3, shape)]
    if datatype == "BF16":
        return rng.normal(size=shape).astype(ml_dtypes.bfloat16)
    if datatype == "BOOL":
        return rng.random(shape) > 0.5
    return (rng.normal(size=shape) * 3).astype(triton_to_np_dtype(datatype))


def run_apart(path, inputs):
    """name -> (shape, array) as onnxruntime itself has it. Arrays of bfloat16 go in as OrtValue and
    do not come out, since numpy has none."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    if any(datatype == "BYTES" for datatype, _ in inputs.values()):
        found = session.run(names, {name: array for name, (_, array) in inputs.items()})
        return {name: (list(array.shape), array) for name, array in zip(names, found)}
    values = {}
    for name, (datatype, array) in inputs.items():
        values[name] = (onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
            array, TensorProto.BFLOAT16) if datatype == "BF16"
            else onnxruntime.OrtValue.ortvalue_from_numpy(array))
    found = session.run_with_ort_values(names, values)
    return {name: (value.shape(), None if "bfloat16" in value.data_type() else value.numpy())
            for name, value in zip(names, found)}


@pytest.mark.skipif(not SHARED.exists(), reason="the models of other projects are not here")
@pytest.mark.parametrize("file", OTHERS, ids=lambda file: file.rsplit("/", 1)[-1])
def test_models_of_other_projects_answer_as_onnxruntime_does(served, client, file):
    name = file.rsplit("/", 1)[-1].removesuffix(".onnx")
    served.api.register(name, (SHARED / file).read_bytes(), runtime="onnx")
    rng = np.random.default_rng(0)
    inputs = {}
    for i in client.get_model_metadata(name)["inputs"]:
        shape = [OTHERS[file].get(d, 1) if n == -1 else n for d, n in enumerate(i["shape"])]
        inputs[i["name"]] = i["datatype"], some_values(rng, i["datatype"], shape)
    result = ask(client, name, inputs)
    for output, (shape, want) in run_apart(str(SHARED / file), inputs).items():
        got = result.as_numpy(output)
        assert list(got.shape) == shape
        if result.get_output(output)["datatype"] == "BYTES":
            assert [text.decode() for text in got.ravel()] == list(want.ravel())
        elif want is not None:
            assert got == pytest.approx(want, rel=1e-4, abs=1e-5)


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
    served.api.register(name, model_file("skl_scaled_matrix"), contract(threshold), golden,
                        runtime="onnx")
    between = [i for i, p in enumerate(scores) if 0.5 <= p < 0.9]
    assert between, "the rows have none that the threshold decides"
    for i in [0, 1, *between[:3]]:
        body = {f"f{k}": float(v) for k, v in enumerate(rows[i])}
        reply = served.api.predict(name, body)
        answer = reply["predictions"][0]
        assert answer["label"] == ("benign" if scores[i] >= threshold else "malignant"), answer
        assert answer["probabilities"]["benign"] == pytest.approx(float(scores[i]), rel=1e-4)


def gather():
    """y = table[i], which fails for an index that is out of range."""
    table = numpy_helper.from_array(np.array([5, 6, 7], np.float32), "table")
    graph = helper.make_graph([helper.make_node("Gather", ["table", "i"], ["y"])], "g",
                              [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
                              [table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_an_error_of_the_model_is_an_error_of_that_request(served, client):
    served.api.register("table", gather())
    with pytest.raises(InferenceServerException) as failed:
        ask(client, "table", {"i": ("INT64", np.array([1, 99]))})
    assert "model 'table' version 1: ONNX Runtime cannot compute this request" in str(failed.value)
    result = ask(client, "table", {"i": ("INT64", np.array([2, 0]))})
    assert list(result.as_numpy("y")) == [7, 5]


@pytest.mark.parametrize("file, words", [
    ("custom_operator", "operator 'Magic' of 'com.example'"),
    ("external_data", "tensor 'w' are in another file"),
])
def test_a_refused_file_says_why(served, file, words):
    artifact = (GOLDEN / f"refused/{file}.onnx").read_bytes()
    reply = served.api.register("refused", artifact, expect=None)
    assert words in json.dumps(reply), reply
    served.api.get("/api/models/refused", expect=404)


def columns_contract():
    """A text and two numbers, each an input of its name, and the class that comes out."""
    def role(name):
        return [{"property": "slipwayRole", "value": name}]
    fields = [{"name": "city", "logicalType": "string", "required": True,
               "quality": [{"type": "library", "metric": "invalidValues", "mustBe": 0,
                            "arguments": {"validValues": ["Bern", "Genf", "Zürich"]}}],
               "customProperties": role("feature")}]
    fields += [{"name": name, "logicalType": "number", "required": True,
                "customProperties": role("feature")} for name in ("age", "income")]
    fields.append({"name": "verdict", "logicalType": "string",
                   "quality": [{"type": "library", "metric": "invalidValues", "mustBe": 0,
                                "arguments": {"validValues": ["no", "yes"]}}],
                   "customProperties": role("prediction")})
    return json.dumps({
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "columns", "name": "columns",
        "version": "1.0.0", "status": "active",
        "schema": [{"name": "row", "logicalType": "object", "properties": fields}]}).encode()


def test_columns_stand_behind_a_contract_whose_fields_are_the_inputs(served):
    served.api.register("people", model_file("skl_columns"), columns_contract(), runtime="onnx")
    inputs, outputs = tensors("skl_columns", "input"), tensors("skl_columns", "output")
    for i in range(5):
        reply = served.api.predict("people", {"city": str(inputs["city"][1][i, 0]),
                                              "age": float(inputs["age"][1][i, 0]),
                                              "income": float(inputs["income"][1][i, 0])})
        answer = reply["predictions"][0]
        assert answer["label"] == ["no", "yes"][outputs["output_label"][1][i]]
        want = outputs["probabilities"][1][i, 1]
        assert answer["probabilities"]["yes"] == pytest.approx(float(want), rel=1e-4)


def test_a_loop_without_end_ends_at_the_deadline_of_its_request(served):
    """The next request needs the thread that the first one would have kept for hours."""
    served.api.register("loop", model_file("loop"))

    def ask_loop(times, expect, **parameters):
        inputs = [{"name": "times", "datatype": "INT64", "shape": [], "data": [times]},
                  {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]
        return served.api.post("/v2/models/loop/infer",
                               {"inputs": inputs, "parameters": parameters}, expect).json()
    ask_loop(2**40, 504, timeout=50_000)
    assert ask_loop(10, 200)["outputs"][0]["data"] == [1024]


def test_a_small_image_is_answered(served, client):
    """A window of 3 on an image of height 1: floor((1 - 3) / 2) + 1 = 0 rows, and 12 columns."""
    artifact = (GOLDEN / "small_image/any_size.onnx").read_bytes()
    served.api.register("image", artifact)
    result = ask(client, "image", {"x": ("FP32", np.zeros((1, 16, 1, 26), np.float32))})
    assert result.get_output("y")["shape"] == [1, 16, 0, 12]


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
