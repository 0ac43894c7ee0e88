"""Feedback joins what the server answered: late, corrected, twice, too early, after kill -9.

What could break: an acknowledged outcome that is lost, one that counts twice or for the wrong
version, an orphan that never finds its prediction, figures that forget how many labels are missing.
"""
import csv
import time

import pytest

from api import Api
from server import PATIENCE, ROOT

CASES = ROOT / "tests/cases"
ROWS = [{"customer": f"C{i:04d}", "tenure": 3 + i, "calls": i % 5, "plan": ["basic", "pro"][i % 2]}
        for i in range(40)]


@pytest.fixture
def api(server):
    server.cli("model", "register", "churn", CASES / "churn.json", "--owner", "me@example.org",
               "--contract", CASES / "churn.yaml", "--alias", "champion")
    return Api(server.url)


def predict(api, rows=ROWS):
    return api.predict("churn", {"rows": rows})["predictions"]


def say(api, item, expect=200):
    return api.post("/feedback", item, expect=expect).json()


def outcomes(api, prediction):
    return api.get(f"/api/outcomes/{prediction['id']}").json()["outcomes"]


def eventually(check, seconds=20 * PATIENCE):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


def wrong(prediction):
    return "stays" if prediction["label"] == "leaves" else "leaves"


def test_labels_are_taken_once_corrected_and_kept_in_the_history(api):
    first, second = predict(api)[:2]
    item = {"id": first["id"], "label": "stays", "at": "2026-01-01"}
    assert say(api, item)["accepted"] == 1
    assert say(api, item)["duplicate"] == 1
    assert say(api, {**item, "label": "leaves", "at": "2026-01-02"})["corrected"] == 1
    assert say(api, {**item, "label": "stays", "at": "2025-12-31"})["outdated"] == 1
    assert [(o["label"], o["state"]) for o in outcomes(api, first)] == [
        ("stays", "replaced"), ("leaves", "current"), ("stays", "outdated")]
    problem = say(api, {**item, "label": "stays", "at": "2026-01-02"}, expect=400)
    assert "contradicts the label 'leaves'" in problem["detail"]
    problem = say(api, {"id": second["id"], "label": "perhaps"}, expect=400)
    assert "none of the classes of churn:1: stays, leaves" in problem["detail"]
    api.get(f"/api/outcomes/{second['id']}", expect=404)


def test_a_key_means_the_newest_prediction_with_it(api):
    old = predict(api)[3]
    new = predict(api)[3]
    result = say(api, {"model": "churn", "key": "C0003", "label": "stays"})["results"][0]
    assert (result["result"], result["prediction"]) == ("accepted", new["id"])
    api.get(f"/api/outcomes/{old['id']}", expect=404)


def test_a_key_tells_no_id_to_who_may_not_read_predictions(server, api):
    first = predict(api)[3]
    keys = {name: server.cli("key", "create", name, "--scope", scope, "--json").json["key"]
            for name, scope in (("narrow", "predict"), ("wide", "predict,operate"))}
    by_key = {"model": "churn", "key": "C0003", "label": "stays"}
    narrow, wide = (Api(server.url, keys[name]) for name in ("narrow", "wide"))
    hidden = say(narrow, by_key)["results"][0]
    assert (hidden["result"], hidden["version"], "prediction" in hidden) == ("accepted", 1, False)
    assert say(wide, by_key)["results"][0]["prediction"] == first["id"]
    by_id = {"id": first["id"], "label": "stays"}
    assert say(narrow, by_id)["results"][0]["prediction"] == first["id"]


def test_what_comes_before_its_prediction_waits_for_it(api):
    early = {"id": "early-0", "label": "stays"}
    assert say(api, early)["orphan"] == 1
    assert say(api, {"id": "early-1", "label": "perhaps"})["orphan"] == 1
    api.post("/predict/churn", {"rows": ROWS[:2]}, headers={"X-Request-Id": "early"})
    eventually(lambda: api.get("/api/orphans").json() == {"waiting": 0, "refused": 1})
    assert outcomes(api, {"id": "early-0"})[0]["state"] == "current"


def test_a_file_is_joined_by_its_own_column_names(server, api, tmp_path):
    answers = predict(api)
    path = tmp_path / "truth.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer", "gone", "spent", "note"])
        for i, answer in enumerate(answers):
            writer.writerow([f"C{i:04d}", answer["label"] if i < 30 else wrong(answer), i, "x"])
        writer.writerow(["C0000", "never", "", ""])
    server.cli("value", "set", "churn", "revenue", "--unit", "EUR", "--direction", "up")
    done = server.cli("feedback", "churn", "--csv", path, "--column", "customer=key", "--column",
                      "gone=label", "--column", "spent=values.revenue", "--ignore", "note",
                      check=False)
    assert done.out == "41 items: 80 accepted 1 refused\n"
    assert done.status == 1
    assert "line 42: label 'never' is none of the classes" in done.err
    again = server.cli("feedback", "churn", "--csv", path, "--column", "customer=key", "--column",
                       "gone=label", "--column", "spent=values.revenue", "--ignore", "note",
                       check=False)
    assert again.out == "41 items: 0 accepted 80 duplicate 1 refused\n"

    quality = api.get("/api/models/churn/quality").json()["versions"][0]
    assert quality["answered"] == 40
    accuracy = {m["name"]: m for m in quality["metrics"]}["accuracy"]
    assert (accuracy["value"], accuracy["n"]) == (0.75, 40)
    assert quality["coverage"] == 1
    revenue = quality["values"][0]
    assert (revenue["sum"], revenue["unit"]) == (sum(range(40)), "EUR")
    assert revenue["per_answer"]["value"] == sum(range(40)) / 40


def test_acknowledged_feedback_survives_kill_9(server, api):
    answers = predict(api)
    assert say(api, {"items": [{"id": a["id"], "label": "stays"} for a in answers[:20]]})[
        "accepted"] == 20
    time.sleep(0.3)  # records, unlike outcomes, may lose their last 100 ms
    server.kill()
    server.start()
    api = Api(server.url)
    for answer in answers[:20]:
        assert outcomes(api, answer)[0]["label"] == "stays"
    # What was predicted before the end is still found after it.
    say(api, {"id": answers[20]["id"], "label": "stays"})
    eventually(lambda: api.get("/api/orphans").json()["waiting"] == 0)
    assert outcomes(api, answers[20])[0]["label"] == "stays"
    assert say(api, {"id": answers[0]["id"], "label": "stays"})["duplicate"] == 1


def test_a_release_ends_in_a_page_with_numbers(server, api):
    server.cli("model", "register", "churn", CASES / "churn.json", "--contract",
               CASES / "churn.yaml", "--note", "again", "--golden", CASES / "churn.csv")
    answers = predict(api)
    say(api, {"items": [{"id": a["id"], "label": a["label"]} for a in answers]})
    server.cli("alias", "set", "churn", "champion", "2", "--reason", "retrained")
    for answer in predict(api)[:10]:
        say(api, {"id": answer["id"], "label": wrong(answer)})

    def measure(name):
        lines = api.get("/api/models/churn/report").json()["measures"]
        return next((line for line in lines if line["name"] == name), None)

    accuracy = measure("accuracy")
    assert (accuracy["before"]["value"], accuracy["after"]["value"]) == (1, 0)
    assert (accuracy["verdict"], accuracy["matured"]) == ("worse", 0.25)
    page = server.cli("report", "churn").out
    assert page.startswith("# churn: version 1 replaced by 2\n")
    assert "retrained" in page
    assert "not random halves" in page
    assert "labels cover 25 % of the answers after the change" in page


def test_rankings_are_measured_within_their_groups(server, tmp_path):
    """C0001: the item that was right has the lower score, place 2: NDCG 1 / log2 3. C0002: 1."""
    contract = tmp_path / "ranking.yaml"
    contract.write_text((CASES / "churn.yaml").read_text() + "customProperties:\n"
                        "  - {property: slipwayRankingGroup, value: customer}\n")
    server.cli("model", "register", "churn", CASES / "churn.json", "--owner", "me@example.org",
               "--contract", contract, "--alias", "champion")
    api = Api(server.url)
    high, low = {"tenure": 3, "calls": 5, "plan": "basic"}, {"tenure": 48, "plan": "family"}
    answers = predict(api, [{"customer": f"C000{i}", **row} for i in (1, 2) for row in (high, low)])
    truth = ["stays", "leaves", "leaves", "stays"]
    said = say(api, {"items": [{"id": a["id"], "label": label}
                               for a, label in zip(answers, truth)]})
    assert said["accepted"] == 4
    section, = api.get("/api/models/churn/quality").json()["versions"]
    metrics = {m["name"]: m for m in section["metrics"]}
    assert metrics["accuracy"]["value"] == 0.5
    assert metrics["ndcg"]["value"] == pytest.approx((1 + 0.63092975) / 2, abs=1e-7)
    assert (metrics["map"]["value"], metrics["mrr"]["value"]) == (0.75, 0.75)
    assert metrics["mrr"]["n"] == 2


def test_labels_below_the_floor_raise_an_alert(server, tmp_path):
    contract = tmp_path / "floor.yaml"
    contract.write_text((CASES / "churn.yaml").read_text() + "customProperties:\n"
                        "  - {property: slipwayQualityFloor, value: {accuracy: 0.9}}\n")
    server.cli("model", "register", "churn", CASES / "churn.json", "--owner", "me@example.org",
               "--contract", contract, "--alias", "champion")
    api = Api(server.url)
    answers = predict(api) + predict(api)
    say(api, {"items": [{"id": a["id"], "label": wrong(a)} for a in answers]})
    metrics = api.get("/metrics").text
    assert 'slipway_outcomes_total{model="churn",version="1",name="label"} 80' in metrics
    assert 'slipway_quality_ratio{model="churn",version="1",metric="accuracy"} 0' in metrics
    assert 'slipway_feedback_total{result="accepted"} 80' in metrics
    eventually(lambda: "quality/churn/1/accuracy" in api.get("/api/alerts").text)
