"""Every kind of model through the real server: margins come back with XGBoost's own bits.

The unit tests hold the engine to the same rows; here they travel over HTTP. What could break on the
way: a shape of several columns, a missing value, a class index that is no label, a number that is
taken for a class.
"""
import json
import math

import numpy as np
import pytest
import tritonclient.http as http

from api import Api
from server import ROOT, Server, free_port

FOLDER = ROOT / "tests/golden/trees/3.2.0"
NAMES = sorted(path.stem for path in FOLDER.glob("*.golden"))


def read_golden(name):
    """(inputs, margins, predictions) as float32, one row each; make.py says what is in there."""
    head, line, rest = (FOLDER / f"{name}.golden").read_bytes().split(b"\n", 2)
    words = line.split()
    rows, features, margins, predictions = (int(words[i]) for i in (1, 3, 5, 7))
    numbers = np.frombuffer(rest, np.float32)
    ends = np.cumsum([rows * features, rows * margins])
    parts = np.split(numbers, ends)
    return [part.reshape(rows, -1) for part in parts]


def model_bytes(name):
    paths = [FOLDER / f"{name}{suffix}" for suffix in (".ubj", ".json")]
    return next(path for path in paths if path.exists()).read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all models of this file."""
    with free_port() as port:
        shared = Server(tmp_path_factory.mktemp("models") / "data", port).start()
        yield shared
        assert shared.stop() == 0
        shared.check_clean()


@pytest.mark.parametrize("name", NAMES)
def test_margins_have_the_bits_of_xgboost(server, name):
    inputs, margins, predictions = read_golden(name)
    api = Api(server.url)
    reply = api.register(name, model_bytes(name), expect=None)
    if "contract" in reply.get("detail", ""):
        pytest.skip(f"{name}: {reply['detail']}")
    assert reply["version"] == 1, reply
    tensor = http.InferInput("input", list(inputs.shape), "FP32")
    tensor.set_data_from_numpy(np.ascontiguousarray(inputs))
    with http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        result = client.infer(name, [tensor], outputs=[http.InferRequestedOutput("margin"),
                                                       http.InferRequestedOutput("predict")])
    assert result.as_numpy("margin").tobytes() == margins.tobytes()
    got = result.as_numpy("predict").reshape(predictions.shape)
    np.testing.assert_allclose(got, predictions, rtol=1e-6)


def contract(name, features, answers):
    """Fields x0, x1, ... and an answer, as short as a contract gets."""
    fields = "".join(f"  - {{name: {field}, logicalType: number}}\n" for field in features)
    role = "customProperties: [{property: slipwayRole, value: %s}]"
    if answers:
        check = ("quality: [{type: library, metric: invalidValues, mustBe: 0, arguments: "
                 f"{{validValues: [{', '.join(answers)}]}}}}]")
        fields += f"  - {{name: answer, logicalType: string, {check}, {role % 'prediction'}}}\n"
        fields += f"  - {{name: sure, logicalType: number, {role % 'score'}}}\n"
    else:
        fields += f"  - {{name: answer, logicalType: number, {role % 'prediction'}}}\n"
    return (f"apiVersion: v3.1.0\nkind: DataContract\nid: {name}\nversion: 1.0.0\nstatus: active\n"
            f"schema:\n- name: row\n  properties:\n{fields}").encode()


def predict_rows(server, model, golden, answers, names=None):
    """The golden rows that JSON can carry, by field names: (replies, their predictions). A model
    that has names gets a contract with the same ones turned round: it is fed by name."""
    inputs, _, predictions = read_golden(golden)
    fields = names[::-1] if names else [f"x{i}" for i in range(inputs.shape[1])]
    names = names or fields
    api = Api(server.url)
    problem = api.register(model, model_bytes(golden), contract(model, fields, answers),
                           expect=None)
    assert problem.get("version") == 1, problem.get("detail")
    keep = ~np.isinf(inputs).any(axis=1)
    rows = [{name: None if math.isnan(value) else float(value)
             for name, value in zip(names, row)} for row in inputs[keep]]
    replies = api.predict(model, {"rows": rows})["predictions"]
    assert len(replies) == len(rows) > 20
    return replies, predictions[keep]


def test_several_classes_answer_with_names_and_all_probabilities(server):
    names = ["north", "east", "south", "west"]
    replies, expected = predict_rows(server, "compass", "multi_softprob", names)
    for reply, probabilities in zip(replies, expected):
        assert list(reply["probabilities"]) == names
        assert list(reply["probabilities"].values()) == pytest.approx(probabilities, rel=1e-6)
        assert reply["label"] == names[int(np.argmax(probabilities))]
        assert reply["probability"] == max(reply["probabilities"].values())
        assert "value" not in reply


def test_a_class_without_probabilities_answers_with_its_name(server):
    names = ["north", "east", "south", "west"]
    replies, expected = predict_rows(server, "needle", "multi_softmax", names)
    assert [reply["label"] for reply in replies] == [names[int(row[0])] for row in expected]
    assert all("probability" not in reply for reply in replies)


@pytest.mark.parametrize("golden,names", [("reg_squarederror", list("abcde")),
                                          ("count_poisson", None), ("rank_ndcg", None)])
def test_numbers_answer_as_value(server, golden, names):
    replies, expected = predict_rows(server, f"number-{golden}", golden, [], names)
    assert [reply["value"] for reply in replies] == pytest.approx(expected[:, 0], rel=1e-6)
    assert all("label" not in reply for reply in replies)


def test_a_contract_with_too_few_class_names_does_not_fit(server):
    inputs, _, _ = read_golden("multi_softprob")
    names = [f"x{i}" for i in range(inputs.shape[1])]
    problem = Api(server.url).register("wrong", model_bytes("multi_softprob"),
                                       contract("wrong", names, ["north", "east"]), expect=400)
    assert "4" in problem["detail"] and "2" in problem["detail"], json.dumps(problem)
