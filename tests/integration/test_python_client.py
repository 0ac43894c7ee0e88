"""The Python client (python/slipway) against the real server.

What could break: an export that loses or repeats a row at the seam of two pages, a column of
another type than the record's, an error that hides what the server said.
"""
import csv
import datetime
import json
import subprocess
import sys
import time

import pytest

from api import ROOT, Api

sys.path.insert(0, str(ROOT / "python"))
import slipway  # noqa: E402
from slipway import export as client_export  # noqa: E402

pytestmark = pytest.mark.once
CASES = ROOT / "tests/cases"
ROWS = [{"customer": f"C{i:04}", "tenure": i % 60, "calls": None if i % 7 == 0 else i / 4,
         "plan": ["basic", "pro", None][i % 3]} for i in range(25)]


def register_churn(client, **members):
    return client.register("churn", CASES / "churn.json", CASES / "churn.yaml",
                           CASES / "churn.csv", owner="lab@example.org", **members)


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    """A server with churn and 25 kept predictions."""
    from server import Server, free_port
    with free_port() as port:
        server = Server(tmp_path_factory.mktemp("python") / "data", port).start()
        with slipway.Client(server.url) as client:
            register_churn(client)
            server.answers = client.predict("churn", ROWS)
            while len(list(client.predictions("churn"))) < len(ROWS):
                time.sleep(0.02)
            yield server
        assert server.stop() == 0


@pytest.fixture
def client(churn):
    with slipway.Client(churn.url) as made:
        yield made


def test_registry_calls(client):
    assert [model["name"] for model in client.models()] == ["churn"]
    assert client.model("churn")["champion"] == 1
    assert [version["version"] for version in client.versions("churn")] == [1]
    assert client.version("churn", "champion")["version"] == 1
    moved = client.set_alias("churn", "canary", 1, reason="a first try")
    assert client.alias("churn", "canary")["version"] == 1
    with pytest.raises(slipway.SlipwayError) as caught:
        client.set_alias("churn", "canary", 1, if_revision=moved["revision"] + 7)
    assert caught.value.status == 412


def test_predictions_of_one_row_and_of_many(client, churn):
    one = client.predict("churn", ROWS[3])
    assert one["label"] in ("stays", "leaves") and one["id"].endswith("-0")
    assert [answer["label"] for answer in churn.answers] == \
        [answer["label"] for answer in client.predict("churn", ROWS)]


def test_tensors_by_name(client):
    from slipway import oip
    assert oip.to_tensor("x", [[1, 2.5], [3, 4]]) == \
        {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4]}
    assert oip.nested({"shape": [2, 1, 2], "data": [1, 2, 3, 4]}) == [[[1, 2]], [[3, 4]]]
    with pytest.raises(ValueError, match="different lengths"):
        oip.to_tensor("x", [[1], [2, 3]])
    columns = {"customer": ["C0001"], "tenure": [3], "calls": [5.0], "plan": ["basic"]}
    risk = client.infer("churn", columns)["predict"]
    assert risk[0] == pytest.approx(0.880797, abs=1e-6)  # its row of churn.csv


def test_an_error_has_what_the_server_said(client):
    with pytest.raises(slipway.SlipwayError) as caught:
        client.predict("churn", {"customer": "C0001", "tenure": "long"})
    error = caught.value
    assert (error.status, error.code) == (422, "contract_violation")
    assert error.violation["field"] == "tenure" and error.violation["got"] == "'long'"
    assert error.request_id and "tenure" in str(error)
    with pytest.raises(slipway.SlipwayError) as caught:
        client.infer("nosuch", {"x": [1.0]})
    assert caught.value.status == 404 and "nosuch" in caught.value.detail
    with pytest.raises(slipway.SlipwayError) as caught:
        client.model("nosuch")
    assert "hint: " in str(caught.value) and caught.value.hint
    with pytest.raises(slipway.ConnectionFailed, match="does the server run"):
        slipway.Client("http://127.0.0.1:9").models()
    with pytest.raises(ValueError, match="in the clear"):
        slipway.Client("http://ml.example.org", key="secret")


def test_feedback_reaches_the_prediction(client, churn):
    said = client.feedback({"id": churn.answers[0]["id"], "label": "leaves"})
    assert said["accepted"] == 1
    said = client.feedback_csv(f"id,label\n{churn.answers[1]['id']},stays\n".encode(), "churn")
    assert said["accepted"] == 1
    outcomes = client.call("GET", f"/api/outcomes/{churn.answers[0]['id']}")
    assert "leaves" in json.dumps(outcomes)


def test_the_same_through_the_unix_socket(churn):
    with slipway.Client(f"unix:{churn.unix}") as local:
        assert local.model("churn")["name"] == "churn"


def test_keys(make_server):
    server = make_server()
    secret = server.cli("key", "create", "app", "--scope", "predict").out
    key = next(word for word in secret.split() if word.startswith("slw_") or len(word) > 30)
    with pytest.raises(slipway.SlipwayError) as caught:
        slipway.Client(server.url).models()
    assert caught.value.status == 401
    with pytest.raises(slipway.SlipwayError) as caught:
        slipway.Client(server.url, key=key).models()
    assert caught.value.status == 403


def answered(client, **options):
    return [row["id"] for row in client.predictions("churn", **options)]


def test_pages_join_without_a_seam(client, churn, tmp_path, monkeypatch):
    whole = answered(client)
    assert whole[:25] == [answer["id"] for answer in churn.answers]
    monkeypatch.setattr(client_export, "PAGE_ROWS", 4)
    assert answered(client) == whole
    count = client.export_predictions("churn", tmp_path / "p.csv")
    with open(tmp_path / "p.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == whole and count == len(whole)
    assert answered(client, since=datetime.timedelta(hours=1)) == whole
    assert answered(client, until=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)) == []
    with pytest.raises(ValueError, match="time zone"):
        answered(client, since=datetime.datetime(2020, 1, 1))
    assert {path.name for path in tmp_path.iterdir()} == {"p.csv"}


def test_parquet_is_the_json_lines_in_columns(client, tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet
    monkeypatch.setattr(client_export, "PAGE_ROWS", 6)
    monkeypatch.setattr("slipway.parquet.ROWS_OF_BATCH", 10)
    lines, columns = tmp_path / "p.jsonl", tmp_path / "p.parquet"
    client.export_predictions("churn", lines)
    count = client.export_predictions("churn", columns)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    table = pyarrow.parquet.read_table(columns)
    assert count == table.num_rows == len(rows)
    types = {field.name: field.type for field in table.schema}
    assert types["at"] == pa.timestamp("us", tz="UTC")
    assert types["customer"] == types["plan"] == types["label"] == pa.string()
    assert types["tenure"] == pa.int64()
    assert types["calls"] == types["probability"] == types["probability.leaves"] == pa.float32()
    for row, read in zip(rows, table.to_pylist()):
        prediction = row["prediction"] or {"label": None, "probabilities": {}}
        assert read["id"] == row["id"] and read["label"] == prediction["label"]
        assert read["at"] == datetime.datetime.fromisoformat(row["at"].replace("Z", "+00:00"))
        assert {name: read[name] for name in row["inputs"] or {}} == (row["inputs"] or {})
        for name, probability in prediction["probabilities"].items():
            assert read[f"probability.{name}"] == pytest.approx(probability, rel=1e-7)
        assert read["violations"] == row["violations"] and read["rollout"] is None


def test_an_export_of_a_model_without_predictions(client, tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet
    assert client.export_predictions("nosuch", tmp_path / "p.parquet") == 0
    assert pyarrow.parquet.read_table(tmp_path / "p.parquet").num_rows == 0


def test_a_failed_export_leaves_nothing(tmp_path):
    gone = slipway.Client("http://127.0.0.1:9")
    with pytest.raises(slipway.ConnectionFailed):
        gone.export_predictions("churn", tmp_path / "p.jsonl")
    with pytest.raises(ValueError, match="expected one of jsonl, csv, parquet"):
        gone.export_predictions("churn", tmp_path / "p.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_the_command(churn, tmp_path):
    def run(*args, **options):
        return subprocess.run([sys.executable, *options.pop("flags", []), "-m", "slipway",
                               "--server", churn.url, *args], cwd=ROOT / "python", text=True,
                              capture_output=True, timeout=60)
    done = run("export", "churn", "--out", str(tmp_path / "p.jsonl"), "--since", "1h")
    assert done.returncode == 0 and "rows" in done.stderr, done.stderr
    done = run("predict", "churn", json.dumps(ROWS[0]))
    assert json.loads(done.stdout)["label"] in ("stays", "leaves")
    # -S: without the packages of the test's environment
    done = run("export", "churn", "--out", str(tmp_path / "p.parquet"), flags=["-S"])
    assert done.returncode == 1 and "pip install 'slipway[parquet]'" in done.stderr
