"""POST /predict: named fields in, labels and probabilities out, as the reference library has them.

What could break: a column in the wrong place, a rounding, a lost row, an answer without its id, a
contract that lets something through or refuses without saying why.
"""
import json

import pytest

from api import EXAMPLE, FIELDS, REQUEST, golden_rows


@pytest.mark.parametrize("version,golden", [("1", "golden_v1.csv"), ("2", "golden.csv")])
def test_golden_rows_over_http_equal_xgboost(triage, version, golden):
    rows, expected = golden_rows(golden)
    reply = triage.api.post(f"/predict/triage/versions/{version}", {"rows": rows}).json()
    got = [row["probabilities"]["malignant"] for row in reply["predictions"]]
    assert reply["version"] == version
    assert got == pytest.approx(expected, rel=1e-6)
    labels = ["malignant" if p >= 0.5 else "benign" for p in expected]
    assert [row["label"] for row in reply["predictions"]] == labels


def test_one_row_alone_and_in_a_list_answer_the_same(triage):
    alone = triage.api.predict("triage", REQUEST)["predictions"][0]
    listed = triage.api.predict("triage", {"rows": [REQUEST]})["predictions"][0]
    alone.pop("id"), listed.pop("id")
    assert alone == listed


def test_the_example_request_answers_malignant(triage):
    body = json.loads((EXAMPLE / "request.json").read_text())
    row = triage.api.predict("triage", body)["predictions"][0]
    assert row["label"] == "malignant"
    assert 0.9 < row["probability"] <= 1
    assert row["probability"] == row["probabilities"]["malignant"]
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def test_each_row_has_its_own_prediction_id(triage):
    reply = triage.api.predict("triage", {"rows": [REQUEST] * 3},
                               headers={"X-Request-Id": "batch-7"})
    assert reply["request_id"] == "batch-7"
    assert [row["id"] for row in reply["predictions"]] == ["batch-7-0", "batch-7-1", "batch-7-2"]


def test_order_of_fields_does_not_matter(triage):
    turned = {name: REQUEST[name] for name in reversed(FIELDS)}
    assert triage.api.predict("triage", turned)["predictions"][0]["probabilities"] == \
        triage.api.predict("triage", REQUEST)["predictions"][0]["probabilities"]


@pytest.mark.parametrize("change", [{"worst_area": None}, {}], ids=["null", "absent"])
def test_a_missing_measurement_is_named(triage, change):
    """All 455 training rows have every field, so the contract requires them."""
    body = {name: value for name, value in REQUEST.items() if name != "worst_area"} | change
    violation = triage.api.predict("triage", body, 422)["violation"]
    assert (violation["field"], violation["rule"]) == ("worst_area", "missing")
    assert violation["expected"] == "a number (required)"


def test_a_value_outside_the_inferred_range_is_answered_and_marked(triage):
    """Bounds inferred from data are no physical limits: the row is scored, and flagged."""
    body = {"rows": [REQUEST, {**REQUEST, "mean_radius": 17990}]}
    rows = triage.api.predict("triage", body)["predictions"]
    assert "quality" not in rows[0]
    assert rows[1]["quality"] == "suspect"


def test_the_bad_example_is_told_model_version_row_field_expected_and_got(triage):
    body = json.loads((EXAMPLE / "bad_request.json").read_text())
    reply = triage.api.call("POST", "/predict/triage", 422, json=body)
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json()
    assert problem["violation"] == {
        "model": "triage", "version": 2, "row": 0, "field": "mean_radius", "rule": "type",
        "policy": "reject", "expected": "a number", "got": "'17,06'"}
    for word in ("triage", "version 2", "row 0", "mean_radius", "a number", "17,06"):
        assert word in problem["detail"]
    assert problem["request_id"] == reply.headers["X-Request-Id"]


def test_the_first_bad_row_of_many_is_named(triage):
    rows = [REQUEST] * 5 + [{**REQUEST, "mean_area": "x"}] + [REQUEST]
    violation = triage.api.predict("triage", {"rows": rows}, 422)["violation"]
    assert (violation["row"], violation["field"]) == (5, "mean_area")


def test_a_misspelt_field_is_named_with_the_nearest_one(triage):
    body = {**REQUEST, "mean_radus": 1.0}
    problem = triage.api.predict("triage", body, 422)
    assert problem["violation"]["rule"] == "unknown_field"
    assert problem["violation"]["field"] == "mean_radus"
    assert "mean_radius" in problem["detail"] + problem.get("hint", "")


def test_nothing_is_answered_when_one_row_breaks_the_contract(triage):
    problem = triage.api.predict("triage", {"rows": [REQUEST, {"mean_area": True}]}, 422)
    assert "predictions" not in problem


def test_a_version_is_chosen_by_number_and_by_alias(triage):
    for name, version in (("1", "1"), ("2", "2"), ("champion", "2")):
        path = f"/predict/triage/versions/{name}"
        assert triage.api.post(path, REQUEST).json()["version"] == version


@pytest.mark.parametrize("path", ["/predict/chrun", "/predict/triage/versions/99",
                                  "/predict/triage/versions/nobody"])
def test_what_is_not_there_is_404_with_a_hint(triage, path):
    problem = triage.api.post(path, REQUEST, 404).json()
    assert problem["code"] == "not_found"
    assert problem["hint"]


def test_schema_and_contract_can_be_read_back(triage):
    schema = triage.api.get("/api/models/triage/versions/champion/schema").json()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(FIELDS)
    contract = triage.api.get("/api/models/triage/versions/1/contract").content
    assert contract == (EXAMPLE / "contract.yaml").read_bytes() + b"# 1\n"


def test_csv_rows_are_checked_without_scoring(triage):
    rows = [",".join(FIELDS), ",".join(map(str, REQUEST.values())),
            ",".join(["oops", *map(str, list(REQUEST.values())[1:])])]
    report = triage.api.call("POST", "/api/models/triage/versions/champion/check", 200,
                             data="\n".join(rows) + "\n").json()
    assert (report["rows"], report["rejected_rows"]) == (2, 1)
    example = report["examples"][0]
    assert (example["line"], example["field"]) == (3, FIELDS[0])
