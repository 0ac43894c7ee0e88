"""Tensors of every datatype with tritonclient, unmodified: sent, echoed by a model, read back.

What could break: the layout of binary data (lengths of BYTES, order of inputs), 64-bit integers
that pass through a double, half floats, shapes that a client reads literally, rows of a contract
that feed several inputs, records of outputs that are no FP32 matrix.
"""
import json
import urllib.request

import numpy as np
import pytest
import tritonclient.http as http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from server import ROOT

CASES = ROOT / "tests" / "cases"
RANDOM = np.random.default_rng(4)


def integers(dtype):
    info = np.iinfo(dtype)
    some = RANDOM.integers(info.min, info.max, 2, dtype=dtype)
    return np.array([[info.min, info.max], [0, 1], some], dtype=dtype)


VALUES = {
    "bool": np.array([[True, False], [False, True]]),
    "u8": integers(np.uint8), "u16": integers(np.uint16),
    "u32": integers(np.uint32), "u64": integers(np.uint64),
    "i8": integers(np.int8), "i16": integers(np.int16),
    "i32": integers(np.int32), "i64": integers(np.int64),
    "f16": np.array([[0.1, -65504], [6e-8, np.inf]], dtype=np.float16),
    "f32": np.array([[0.1, -3.4e38], [1e-45, 7]], dtype=np.float32),
    "f64": np.array([[0.1, -1.7e308], [5e-324, 2**53 + 1]], dtype=np.float64),
    "text": np.array([["a", "é\"\\\n"], ["", "x" * 1000]], dtype=object),
}
BINARY_ONLY = {"f16"}


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    from server import Server, free_port
    with free_port() as port:
        shared = Server(tmp_path_factory.mktemp("echo") / "data", port).start()
        for name, file, contract in [("all", "echo.yaml", None), ("shapes", "shapes.yaml", None),
                                     ("columns", "columns.yaml", "columns_contract.yaml")]:
            more = ["--contract", str(CASES / contract)] if contract else []
            shared.cli("model", "register", name, str(CASES / file), "--owner", "me@example.org",
                       *more)
        yield shared
        status = shared.stop()
        shared.check_clean()
        assert status == 0, f"the server ended with {status}"


@pytest.fixture
def client(echo):
    with http.InferenceServerClient(f"127.0.0.1:{echo.port}") as client:
        yield client


def tensor(name, values, binary, datatype=None):
    made = http.InferInput(name, list(values.shape), datatype or np_to_triton_dtype(values.dtype))
    return made.set_data_from_numpy(values, binary_data=binary)


def same(got, sent):
    if sent.dtype == object:
        as_text = [v.decode() if isinstance(v, bytes) else v for v in got.reshape(-1)]
        return as_text == list(sent.reshape(-1)) and got.shape == sent.shape
    return got.dtype == sent.dtype and got.shape == sent.shape and got.tobytes() == sent.tobytes()


FORMS = {"binary": (True, True), "json": (False, False), "binary-in": (True, False),
         "json-in": (False, True)}


@pytest.mark.parametrize("name,form", [(name, form) for name in VALUES for form in FORMS
                                       if form == "binary" or name not in BINARY_ONLY])
def test_every_datatype_comes_back(client, name, form):
    binary_in, binary_out = FORMS[form]
    values = VALUES[name]
    output = http.InferRequestedOutput(name, binary_data=binary_out)
    result = client.infer("all", [tensor(name, values, binary_in)], outputs=[output])
    assert same(result.as_numpy(name), values)


def test_bfloat16_in_its_own_bytes(echo):
    """The upper 16 bits of a float: 1.5 is 3fc0, -2 is c000."""
    sent = np.array([1.5, -2], dtype=np.float32).view(np.uint32) >> 16
    blob = sent.astype("<u2").tobytes()
    assert blob == bytes.fromhex("c03f00c0")
    head = json.dumps({"inputs": [{"name": "bf16", "shape": [1, 2], "datatype": "BF16",
                                   "parameters": {"binary_data_size": 4}}],
                       "outputs": [{"name": "bf16", "parameters": {"binary_data": True}}]}).encode()
    answer, rest = send_raw(echo, "all", head + blob, len(head))
    assert answer["outputs"][0]["datatype"] == "BF16"
    assert rest == blob


def test_all_datatypes_in_one_request_mixed_forms(client):
    values = {name: array[:2] for name, array in VALUES.items()}
    inputs = [tensor(name, array, i % 2 == 0 or name in BINARY_ONLY)
              for i, (name, array) in enumerate(values.items())]
    outputs = [http.InferRequestedOutput(name, binary_data=i % 3 == 0 or name in BINARY_ONLY)
               for i, name in enumerate(values)]
    result = client.infer("all", inputs, outputs=outputs, request_id="mixed")
    assert result.get_response()["id"] == "mixed"
    for name, array in values.items():
        assert same(result.as_numpy(name), array), name


def test_half_floats_and_foreign_bytes_are_refused_in_json(client):
    for name, words in [("f16", "sending FP16 data via JSON is not supported"),
                        ("text", "no UTF-8")]:
        values = VALUES["f16"] if name == "f16" else np.array([[b"\xff", b"ok"]], dtype=object)
        with pytest.raises(InferenceServerException) as raised:
            client.infer("all", [tensor(name, values, True)],
                         outputs=[http.InferRequestedOutput(name, binary_data=False)])
        assert words in raised.value.message()


def test_scalars_empty_and_open_dimensions(client):
    inputs = [tensor("any", np.arange(5, dtype=np.float32), True),
              tensor("box", np.arange(12, dtype=np.uint8).reshape(2, 3, 2), False)]
    scalar = http.InferInput("scalar", [], "INT32")
    scalar.set_data_from_numpy(np.array(-7, dtype=np.int32))
    result = client.infer("shapes", [scalar, *inputs])
    assert result.as_numpy("scalar").shape == () and result.as_numpy("scalar") == -7
    assert np.array_equal(result.as_numpy("same"), np.arange(5, dtype=np.float32))
    assert np.array_equal(result.as_numpy("box"), np.arange(12).reshape(2, 3, 2))


def test_classification(client):
    values = np.array([[0.25, 0.75], [4, -1]], dtype=np.float32)
    for binary in (True, False):
        output = http.InferRequestedOutput("f32", binary_data=binary, class_count=1)
        result = client.infer("all", [tensor("f32", values, True)], outputs=[output])
        got = result.as_numpy("f32")
        assert same(got, np.array([["0.750000:1"], ["4.000000:0"]], dtype=object))


def send_raw(echo, model, body, json_bytes):
    request = urllib.request.Request(f"{echo.url}/v2/models/{model}/infer", body, {
        "Inference-Header-Content-Length": str(json_bytes),
        "Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request) as reply:
        head = int(reply.headers["Inference-Header-Content-Length"])
        got = reply.read()
    return json.loads(got[:head]), got[head:]


def test_a_raw_body_is_the_one_input(echo):
    """Inference-Header-Content-Length 0: no JSON, the name and the shape are the model's."""
    echo.cli("model", "register", "raw", str(CASES / "raw.yaml"), "--owner", "me@example.org")
    sent = np.arange(12, dtype=np.int16)
    answer, blob = send_raw(echo, "raw", sent.tobytes(), 0)
    assert answer["outputs"][0]["shape"] == [3, 4]
    assert blob == sent.tobytes()


def test_shared_memory_is_refused_with_the_reason(client):
    client.unregister_system_shared_memory()
    assert client.get_system_shared_memory_status() == []
    with pytest.raises(InferenceServerException) as raised:
        client.register_system_shared_memory("region", "/etc/passwd", 64)
    assert "belongs to others" in raised.value.message()


def zeros(name, dtype, *shape):
    return tensor(name, np.zeros(shape, dtype), True)


WRONG = {
    "a datatype": ([tensor("u8", VALUES["i8"], True)],
                   "data-type is 'INT8', but model 'all' expects 'UINT8'"),
    "a shape": ([zeros("u8", np.uint8, 1, 3)], "Expected [-1,2], got [1,3]"),
    "rows": ([zeros("u8", np.uint8, 1, 2), zeros("i8", np.int8, 2, 2)],
             "batch size does not match other inputs"),
    "a name": ([zeros("u9", np.uint8, 1, 2)], "unexpected inference input 'u9'"),
    "twice": ([zeros("u8", np.uint8, 1, 2)] * 2, "already exists in request"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_have_tritons_words(client, case):
    inputs, words = WRONG[case]
    with pytest.raises(InferenceServerException) as raised:
        client.infer("all", inputs)
    assert words in raised.value.message()


def test_records_of_outputs_that_are_no_matrix(echo, client):
    """A record holds texts and integers of the answer; a model without rows of inputs has none."""
    inputs = [tensor("tenure", np.array([3, 600], dtype=np.int64), True),
              tensor("calls", np.array([0.5, 2.5], dtype=np.float64), True),
              tensor("plan", np.array(["family", "basic"], dtype=object), True),
              tensor("note", np.array(["one", "two"], dtype=object), True)]
    headers = {"X-Request-Id": "rec"}
    result = client.infer("columns", inputs, headers=headers)
    assert list(result.as_numpy("note")) == [b"one", b"two"]
    client.infer("all", [tensor("text", VALUES["text"], True)], headers={"X-Request-Id": "other"},
                 outputs=[http.InferRequestedOutput("text")])
    found = echo.cli("prediction", "show", "rec-1", "--json").json
    assert found["prediction"]["value"] == 2.5
    assert found["inputs"]["note"] == "two" and found["inputs"]["tenure"] == 600
    assert echo.cli("prediction", "show", "other-0", "--json").json["model"] == "all"
