"""What somebody meets on the first day: hints that say what to do next.

What could break: a column that is silently not sent, a plan that cannot come to its end and says
nothing, a refusal without a way out.
"""
import csv
import json
import socket

import pytest

from api import Api
from server import ROOT, run_program

TRIAGE = ROOT / "examples/triage"
CASES = ROOT / "tests/cases"


@pytest.fixture
def churn(tmp_path):
    """churn(*words) on a folder with the model of the cases."""
    def run(*words, **options):
        return run_program(*words, "--data", tmp_path / "data", **options)
    run("model", "register", "churn", CASES / "churn.json", "--owner", "me@example.org",
        "--contract", CASES / "churn.yaml")
    return run


def test_a_model_without_a_contract_is_said_to_have_none(tmp_path):
    out = run_program("model", "register", "triage", TRIAGE / "model.ubj", "--owner", "me@x.org",
                      "--data", tmp_path / "data").out
    assert "it has no contract" in out and "slipway contract infer" in out


def test_many_changes_of_one_kind_are_one_line(tmp_path):
    data = ["--data", tmp_path / "data"]
    contract = (TRIAGE / "contract.yaml").read_text()
    assert contract.count("required: true") == 30
    wider = tmp_path / "wider.yaml"
    wider.write_text(contract.replace("required: true", "required: false"))
    run_program("model", "register", "triage", TRIAGE / "model.ubj", "--owner", "me@x.org",
                "--contract", TRIAGE / "contract.yaml", *data)
    out = run_program("model", "register", "triage", TRIAGE / "model.ubj", "--contract", wider,
                      *data).out
    lines = [line for line in out.splitlines() if line.startswith("safe")]
    assert len(lines) == 1 and " and 29 more" in lines[0], out


def test_feedback_of_a_column_that_is_not_there(churn, tmp_path):
    (tmp_path / "truth.csv").write_text("customer,churned\nC0001,leaves\n")
    words = ["feedback", "churn", "--csv", tmp_path / "truth.csv", "--column", "churned=label"]
    got = churn(*words, "--column", "custumer=key", check=False)
    assert got.status != 0
    assert "has no column 'custumer'" in got.err and "did you mean 'customer'?" in got.err
    got = churn(*words, "--column", "customer", check=False)
    assert got.status == 2 and "--column needs COLUMN=MEMBER" in got.err
    got = churn("feedback", "churn", "--key", "C0001", "--label", "leaves", check=False)
    assert "--key is the API key" in got.err


def test_columns_of_a_check_may_be_ignored(churn, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("index,customer,tenure,note\n0,C0001,3,\"a\nb\"\n\n1,C0002,-5,c\n")
    for contract in ("churn", CASES / "churn.yaml"):
        got = churn("contract", "check", contract, rows, "--ignore", "index", "--ignore", "note",
                    "--json", check=False)
        assert got.status == 1 and got.json["rejected_rows"] == 1
        assert got.json["examples"][0]["line"] == 5
    got = churn("contract", "check", "churn", rows, "--ignore", "indx", check=False)
    assert "the file has no column 'indx'" in got.err and "did you mean 'index'?" in got.err


def test_the_answer_in_a_file_of_rows_is_not_sent(churn, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("customer,tenure,answer\nC0001,3,leaves\n")
    got = churn("predict", "churn", "--csv", rows)
    assert "the column 'answer' is not sent: the contract says it is the answer" in got.err
    assert len(list(csv.reader(got.out.splitlines()))) == 2
    rows.write_text("customer,tenure,anwser\nC0001,3,leaves\n")
    assert "--ignore anwser" in churn("predict", "churn", "--csv", rows, check=False).err


ROLLOUT = {"model": "churn", "to": 2, "steps": [
    {"do": "canary", "weight": "1%", "min": "15m", "max": "1h"}, {"do": "promote"}],
    "guards": [{"event": "error"}, {"event": "override", "dry_run": True}]}


def test_a_plan_says_what_cannot_come_to_its_end(churn, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text((CASES / "churn.yaml").read_text() + "# 2\n")
    churn("model", "register", "churn", CASES / "churn.json", "--contract", other)
    file = tmp_path / "rollout.yaml"
    file.write_text(json.dumps(ROLLOUT))
    out = churn("rollout", "plan", file, "--rate", "1").out
    assert "warning: prove error needs " in out
    assert "at 1 %; after 1.0 h (the step's max) it holds" in out
    assert "guard override" in out and "dry run: decides nothing" in out
    assert "warning" not in churn("rollout", "plan", file, "--rate", "1e6").out


def test_a_log_without_events_says_what_to_do(churn, tmp_path):
    line = {"at": "2026-01-01T00:00:00.000000Z", "status": 200, "row": 0, "model": "churn",
            "latency_us": 100, "request_id": "r", "prediction": {"label": "leaves"}}
    file, log = tmp_path / "rollout.yaml", tmp_path / "log.jsonl"
    file.write_text(json.dumps(ROLLOUT))
    log.write_text(json.dumps(line) + "\n")
    out = run_program("rollout", "simulate", file, "--log", log, "--worse", "3").out
    assert "the log has no event of any guard, so 3x as many are none" in out
    assert "slipway rollout plan" in out


def test_status_says_when_http_needs_a_key(server):
    assert "needs no key" in server.cli("status").out
    server.cli("key", "create", "ana", "--scope", "admin")
    assert "needs a key" in server.cli("status").out


def test_an_address_in_use_names_the_way_out(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        got = run_program("serve", "--data", tmp_path / "data", "--listen",
                          f"127.0.0.1:{taken.getsockname()[1]}", check=False)
    assert got.status != 0 and "SLIPWAY_LISTEN" in got.err


def test_times_may_be_dates_or_ago(server):
    api = Api(server.url)
    api.register("churn", (CASES / "churn.json").read_bytes(), (CASES / "churn.yaml").read_bytes())
    api.predict("churn", {"customer": "C0001", "tenure": 3})
    assert server.cli("prediction", "export", "churn", "--from", "1h").out.count("\n") == 1
    assert server.cli("prediction", "export", "churn", "--from", "2020-01-01").out.count("\n") == 1
    assert server.cli("prediction", "export", "churn", "--to", "1h").out == ""
    assert "1" in server.cli("who-answered", "churn", "--at", "0s").out
    assert "30m, 2h, 7d (ago)" in api.get("/api/models/churn/quality?from=soon", 400).text
