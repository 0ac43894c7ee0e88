"""Contracts against the published JSON Schema of the Open Data Contract Standard v3.1.0.

Could break: a draft of `slipway contract infer`, the manual's example or that of examples/triage
uses a key or a form that other tools of the standard refuse.
"""
import importlib.resources
import json
import pathlib
import re

import pytest
import yaml

jsonschema = pytest.importorskip("jsonschema")
standard = pytest.importorskip("open_data_contract_standard.model")


@pytest.fixture(scope="module")
def odcs():
    text = (importlib.resources.files("open_data_contract_standard") / "schema.json").read_text()
    return jsonschema.Draft201909Validator(json.loads(text))


def errors_of(odcs, document):
    return [f"{list(e.absolute_path)}: {e.message}" for e in odcs.iter_errors(document)]


def test_the_manuals_example_is_valid(odcs, root):
    page = (pathlib.Path(root) / "docs/contract.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", page, re.S).group(1)
    assert errors_of(odcs, yaml.safe_load(example)) == []


def test_the_contract_of_the_example_is_valid(odcs, root):
    text = (pathlib.Path(root) / "examples/triage/contract.yaml").read_text()
    assert errors_of(odcs, yaml.safe_load(text)) == []


def test_a_draft_is_valid_and_reads_the_same_elsewhere(odcs, root, cli, tmp_path):
    rows = pathlib.Path(root) / "tests/golden/contract/rows.csv"
    out = tmp_path / "contract.yaml"
    cli("contract", "infer", str(rows), "--target", "cancelled", "--key", "id", "--name", "hotel",
        "--owner", "me@example.org", "--unit", "size=mm", "--out", str(out))
    document = yaml.safe_load(out.read_text())
    assert errors_of(odcs, document) == []
    fields = {p["name"]: p for p in document["schema"][0]["properties"]}
    meal = fields["meal"]["quality"][0]["arguments"]["validValues"]
    assert meal == ["BB", "HB", 'say "hi", twice']
    model = standard.OpenDataContractStandard.from_file(str(out))
    assert model.id == "hotel" and model.status == "draft"


def test_the_json_schema_agrees_with_the_server_about_rows(root, cli, tmp_path):
    """JSON Schema of the example, applied by jsonschema, against what `slipway predict` says."""
    example = pathlib.Path(root) / "examples/triage"
    data = ("--data", str(tmp_path / "data"))
    cli("model", "register", "triage", str(example / "model.ubj"), "--owner", "lab@example.org",
        "--contract", str(example / "contract.yaml"), "--note", "test", "--alias", "champion",
        *data)
    schema = cli("contract", "show", "triage", "--schema", *data).json
    jsonschema.Draft202012Validator.check_schema(schema)
    judge = jsonschema.Draft202012Validator(schema)
    good = json.loads((example / "request.json").read_text())
    rows = {
        "good": good,
        "text for a number": json.loads((example / "bad_request.json").read_text()),
        "unknown field": {**good, "mean_radus": 1},
        "true for a number": {**good, "mean_radius": True},
        "a list": {**good, "mean_radius": [1]},
    }
    for name, row in rows.items():
        answer = cli("predict", "triage", "--json", json.dumps(row), *data, check=False)
        assert judge.is_valid(row) == (answer.status == 0), name
    assert judge.is_valid(good)
