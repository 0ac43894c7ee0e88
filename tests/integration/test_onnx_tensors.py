"""Every golden ONNX model with tritonclient, unmodified: its inputs sent, its outputs compared.

What could break: names that are no identifiers, models without a batch, several inputs of several
datatypes, texts, half floats, outputs that are scalars or empty.
"""
import numpy as np
import pytest
import tritonclient.http as http
from onnx import TensorProto, numpy_helper

from api import Api
from server import ROOT, Server, free_port

GOLDEN = ROOT / "tests/golden/onnx"
MODELS = sorted(path.parent.name for path in GOLDEN.glob("*/output_0.pb"))
DATATYPES = {9: "BOOL", 2: "UINT8", 4: "UINT16", 12: "UINT32", 13: "UINT64", 3: "INT8",
             5: "INT16", 6: "INT32", 7: "INT64", 10: "FP16", 16: "BF16", 1: "FP32", 11: "FP64",
             8: "BYTES"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with free_port() as port:
        server = Server(tmp_path_factory.mktemp("onnx") / "data", port,
                        ["--onnxruntime-path", str(ROOT / "build/venv")]).start()
        server.api = Api(server.url)
        yield server
        status = server.stop()
        server.check_clean()
        assert status == 0, f"the server ended with {status}"


def tensors(model, kind):
    """(name, datatype, array) of each file."""
    found = []
    for path in sorted((GOLDEN / model).glob(f"{kind}_*.pb")):
        proto = TensorProto.FromString(path.read_bytes())
        found.append((proto.name, DATATYPES[proto.data_type], numpy_helper.to_array(proto)))
    return found


def texts(array):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in np.asarray(array).reshape(-1)]


@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_the_golden_ones(served, model):
    served.api.register(model, (GOLDEN / model / "model.onnx").read_bytes(), runtime="onnx")
    inputs = []
    for name, datatype, array in tensors(model, "input"):
        made = http.InferInput(name, list(array.shape), datatype)
        inputs.append(made.set_data_from_numpy(array, binary_data=True))
    expected = tensors(model, "output")
    outputs = [http.InferRequestedOutput(name, binary_data=True) for name, _, _ in expected]
    with http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        result = client.infer(model, inputs, outputs=outputs)
    for name, datatype, array in expected:
        got = result.as_numpy(name)
        assert list(got.shape) == list(array.shape), name
        if datatype == "BYTES":
            assert texts(got) == texts(array), name
        elif np.issubdtype(array.dtype, np.integer) or array.dtype == bool:
            assert np.array_equal(got, array), name
        else:
            np.testing.assert_allclose(got.astype(np.float64), array.astype(np.float64),
                                       rtol=1e-5, atol=1e-6, err_msg=name)
