"""Open Inference Protocol v2 with its own client, unmodified: tritonclient, sync and asyncio.

What could break: anything that client sends or reads otherwise than we do (header names, binary
blobs, compression, empty bodies, the error form).
"""
import asyncio

import numpy as np
import pytest
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

from api import FIELDS, golden_rows

ROWS, EXPECTED = golden_rows()
MATRIX = np.array([[row[name] for name in FIELDS] for row in ROWS], dtype=np.float32)


@pytest.fixture
def client(triage):
    with http.InferenceServerClient(f"127.0.0.1:{triage.port}") as client:
        yield client


def tensor(matrix, binary, name="input", datatype="FP32", module=http):
    made = module.InferInput(name, list(matrix.shape), datatype)
    made.set_data_from_numpy(matrix, binary_data=binary)
    return made


def flat(result, name="predict"):
    return result.as_numpy(name).reshape(-1)


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("triage")
    assert client.is_model_ready("triage", "2")
    server = client.get_server_metadata()
    assert server["name"] == "slipway"
    assert "binary_tensor_data" in server["extensions"]
    model = client.get_model_metadata("triage")
    assert model["name"] == "triage"
    assert model["versions"] == ["2", "1"]
    assert model["platform"] == "xgboost_trees"
    assert model["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 30]}]
    assert {output["name"] for output in model["outputs"]} == {"predict", "margin"}


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary-in", "json-in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary-out", "json-out"])
def test_golden_rows_equal_xgboost_in_every_form(client, binary_in, binary_out):
    output = http.InferRequestedOutput("predict", binary_data=binary_out)
    result = client.infer("triage", [tensor(MATRIX, binary_in)], outputs=[output], request_id="r1")
    assert flat(result) == pytest.approx(EXPECTED, rel=1e-6)
    head = result.get_response()
    assert head["model_name"] == "triage"
    assert head["model_version"] == "2"
    assert head["id"] == "r1"


def test_json_and_binary_answers_have_the_same_bits(client):
    answers = [flat(client.infer("triage", [tensor(MATRIX, True)], outputs=[
        http.InferRequestedOutput("predict", binary_data=binary)])) for binary in (True, False)]
    assert answers[0].tobytes() == answers[1].astype(np.float32).tobytes()


def test_without_named_outputs_the_usual_one_comes(client):
    result = client.infer("triage", [tensor(MATRIX, True)])
    assert flat(result) == pytest.approx(EXPECTED, rel=1e-6)


def test_margins_are_the_logits_of_the_probabilities(client):
    """probability = 1 / (1 + e^-margin)"""
    outputs = [http.InferRequestedOutput(name) for name in ("predict", "margin")]
    result = client.infer("triage", [tensor(MATRIX, True)], outputs=outputs)
    margin = flat(result, "margin").astype(np.float64)
    assert 1 / (1 + np.exp(-margin)) == pytest.approx(flat(result), rel=1e-5)


def test_one_tensor_per_field(client):
    columns = [tensor(np.ascontiguousarray(MATRIX[:, i:i + 1]), i % 2 == 0, name)
               for i, name in enumerate(FIELDS)]
    assert flat(client.infer("triage", columns)) == pytest.approx(EXPECTED, rel=1e-6)


def test_a_field_may_come_as_a_vector_of_doubles(client):
    columns = [tensor(np.ascontiguousarray(MATRIX[:, i].astype(np.float64)), True, name, "FP64")
               for i, name in enumerate(FIELDS)]
    assert flat(client.infer("triage", columns)) == pytest.approx(EXPECTED, rel=1e-6)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_both_ways(client, coding):
    big = np.repeat(MATRIX, 200, axis=0)
    result = client.infer("triage", [tensor(big, True)],
                          outputs=[http.InferRequestedOutput("predict", binary_data=False)],
                          request_compression_algorithm=coding,
                          response_compression_algorithm=coding)
    assert flat(result) == pytest.approx(np.repeat(EXPECTED, 200), rel=1e-6)


def test_query_parameters_are_ignored(client):
    result = client.infer("triage", [tensor(MATRIX, True)], query_params={"test_1": 1})
    assert flat(result) == pytest.approx(EXPECTED, rel=1e-6)


def test_a_version_in_the_path(client):
    result = client.infer("triage", [tensor(MATRIX, True)], model_version="1")
    rows, expected = golden_rows("golden_v1.csv")
    assert rows == ROWS
    assert result.get_response()["model_version"] == "1"
    assert flat(result) == pytest.approx(expected, rel=1e-6)


def test_asyncio_client(triage):
    async def ask():
        async with aio.InferenceServerClient(f"127.0.0.1:{triage.port}") as client:
            assert await client.is_server_ready()
            assert (await client.get_model_metadata("triage"))["name"] == "triage"
            results = await asyncio.gather(*[
                client.infer("triage", [tensor(MATRIX, True, module=aio)]) for _ in range(20)])
            return [flat(result) for result in results]

    for answer in asyncio.run(ask()):
        assert answer == pytest.approx(EXPECTED, rel=1e-6)


# What is wrong, and the words that clients match in the error.
WRONG = {
    "unknown model": ("nobody", [tensor(MATRIX, True)], "unknown model"),
    "unknown output": ("triage", [tensor(MATRIX, True)], "unexpected inference output"),
    "unknown input": ("triage", [tensor(MATRIX, True, "inputs")], "inputs"),
    "too few columns": ("triage", [tensor(MATRIX[:, :29].copy(), True)], "unexpected shape"),
    "three dimensions": ("triage", [tensor(MATRIX[None], True)], "unexpected shape"),
    "no rows": ("triage", [tensor(MATRIX[:0], True)], "no rows"),
    "wrong type": ("triage", [tensor(MATRIX.astype(np.int32), True, datatype="INT32")],
                   "data-type is 'INT32'"),
    "infinity": ("triage", [tensor(np.full((1, 30), np.inf, np.float32), True)], "mean_radius"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_come_in_the_protocols_own_form(client, case):
    model, inputs, words = WRONG[case]
    name = "nothing" if case == "unknown output" else "predict"
    with pytest.raises(InferenceServerException) as raised:
        client.infer(model, inputs, outputs=[http.InferRequestedOutput(name)])
    assert words in raised.value.message()
    assert client.is_server_live()


def test_a_broken_contract_is_400_and_explained(triage):
    """OIP clients know 400; the text carries what /predict says in members."""
    data = MATRIX[0].tolist()
    data[1] = 1e39  # finite in JSON, not in float32
    body = {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32", "data": data}]}
    reply = triage.api.post("/v2/models/triage/infer", body, 400)
    assert reply.headers["Content-Type"] == "application/json"
    assert list(reply.json()) == ["error"]
    for word in ("triage", "version 2", "row 0", "mean_texture"):
        assert word in reply.json()["error"]


def test_nested_and_flat_data_are_both_taken(triage):
    flat_data = MATRIX[:2].reshape(-1).tolist()
    nested = MATRIX[:2].tolist()
    answers = []
    for data in (flat_data, nested):
        body = {"inputs": [{"name": "input", "shape": [2, 30], "datatype": "FP32", "data": data}]}
        answers.append(triage.api.post("/v2/models/triage/infer", body).json()["outputs"])
    assert answers[0] == answers[1]


def test_health_is_json_for_clients_that_parse_it(triage):
    assert triage.api.get("/v2/health/live").json()["live"] is True
    assert triage.api.get("/v2/health/ready").json()["ready"] is True


def test_unknown_top_level_members_are_tolerated(triage):
    """KServe's own client adds model_name."""
    body = {"model_name": "triage", "id": "x", "inputs": [
        {"name": "input", "shape": [1, 30], "datatype": "FP32", "data": MATRIX[0].tolist()}]}
    reply = triage.api.call("POST", "/v2/models/triage/infer", 200, json=body)
    assert reply.json()["id"] == "x"
