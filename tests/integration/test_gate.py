"""Gates on the example's real model by the command line: verdicts, exit codes, leaked rows, JUnit.

What could break: an exit code that says pass to a worse model, held-out rows that were trained on,
a report that a parser of JUnit refuses, a champion that was never tested.
"""
import csv
import json
import xml.etree.ElementTree

import pytest
from api import EXAMPLE
from server import ROOT

CASES = ROOT / "tests/golden/gate/cases.csv"
WORSE = ROOT / "tests/golden/gate/worse.json"
FILE = """
floors: {auc: 0.9, accuracy: 0.85}
champion: {margins: {accuracy: 0.06, auc: 0.02}}
speed: {off: true}
"""


@pytest.fixture
def command(server, cli):
    """command(*args, status=0): on the server's folder; the result."""
    def run(*args, status=0):
        result = cli(*args, "--data", server.data, check=False)
        assert result.status == status, str(result)
        return result
    return run


def prepared(command, cli, tmp_path):
    """Versions 1 (20 trees), 2 (100 trees), 3 (trained on labels of which a third are wrong), under
    a contract that knows which rows were trained on."""
    contract = tmp_path / "contract.yaml"
    train = [row for row in read_rows(CASES) if row["set"] == "train"]
    write_rows(tmp_path / "train.csv", train)
    cli("contract", "infer", tmp_path / "train.csv", "--target", "diagnosis", "--classes",
        "benign,malignant", "--name", "triage", "--out", contract)
    for model in (EXAMPLE / "model_v1.ubj", EXAMPLE / "model.ubj", WORSE):
        command("model", "register", "triage", model, "--owner", "lab@example.org", "--contract",
                contract)
    held_out = tmp_path / "held_out.csv"
    write_rows(held_out, [row for row in read_rows(CASES) if row["set"] == "test"])
    file = tmp_path / "gate.yaml"
    file.write_text(FILE)
    return held_out, file, tmp_path / "train.csv"


def read_rows(path):
    with open(path, newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    names = [name for name in rows[0] if name != "set"]
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def checks_of(result):
    report = json.loads(result.out)["report"]
    return {(check["kind"], check["name"]): check for check in report["checks"]}


def test_a_better_version_passes_and_a_worse_one_fails(command, cli, tmp_path):
    held_out, file, train = prepared(command, cli, tmp_path)
    passed = command("gate", "triage:2", "--data", held_out, "--file", file, "--json")
    checks = checks_of(passed)
    assert checks["leakage", "training rows"]["verdict"] == "pass"
    assert checks["floor", "auc"]["low"] >= 0.9
    failed = command("gate", "triage:3", "--data", held_out, "--file", file, "--json", status=1)
    assert checks_of(failed)["champion", "auc"]["verdict"] == "fail"

    # Scored on the rows they were trained on, both look perfect; the gate knows the rows.
    leaked = command("gate", "triage:2", "--data", train, "--file", file, "--json", status=1)
    verdicts = {key: check["verdict"] for key, check in checks_of(leaked).items()}
    assert [key for key, verdict in verdicts.items() if verdict == "fail"] == [
        ("leakage", "training rows")]

    # Ten rows show nothing, either way.
    few = tmp_path / "few.csv"
    few.write_text("\n".join(held_out.read_text().splitlines()[:11]) + "\n")
    unknown = command("gate", "triage:2", "--data", few, "--file", file, "--format", "junit",
                      status=2)
    suite = xml.etree.ElementTree.fromstring(unknown.out)
    assert suite.get("failures") == "0" and int(suite.get("errors")) >= 2
    assert len(suite.findall("testcase")) == int(suite.get("tests"))


def test_a_required_gate_stands_before_the_champion(command, cli, tmp_path):
    held_out, file, _ = prepared(command, cli, tmp_path)
    command("gate", "require", "triage", "--file", file)
    refused = command("alias", "set", "triage", "champion", "2", status=4)
    assert "may not get traffic" in refused.err
    command("gate", "triage:3", "--data", held_out, status=1)  # by the required file
    assert "ended with fail" in command("alias", "set", "triage", "champion", "3", status=4).err
    command("gate", "triage:2", "--data", held_out)
    command("alias", "set", "triage", "champion", "2")
    command("rollback", "triage")  # never asked
    listed = json.loads(command("gate", "list", "triage", "--json").out)
    assert [result["verdict"] for result in listed["results"]] == ["pass", "fail"]
    assert all(result["file_sha256"] == listed["required"]["file_sha256"]
               for result in listed["results"])
    markdown = command("gate", "show", "triage:2", "--format", "markdown").out
    assert markdown.startswith("## Gate: **pass**")
    card = command("model", "card", "triage:2").out
    for part in ("# triage version 2\n", "## Gate: pass\n", "| training rows | 455 |\n",
                 "| auc | 0.9911 |", "**gap: the model has no description**",
                 "- limits: the contract is a draft that nobody has completed\n"):
        assert part in card, part
    assert "audit" in command("doctor").out
