"""The command line as a person and a script use it: by folder, by socket, by URL.

What could break: a command that means another thing on a served folder than on a free one, exit
statuses that scripts rely on, a row of a CSV file that is lost or answered twice, a secret that is
written where it does not belong, a backup that cannot be restored.
"""
import csv
import functools
import hashlib
import http.server
import json
import os
import pathlib
import pty
import re
import select
import shlex
import sqlite3
import subprocess
import threading
import time

import pytest
import requests
from server import COMMAND_SECONDS_MAX, PREFIX, PROGRAM, ROOT, run_program

TRIAGE = ROOT / "examples/triage"
CONTRACT = TRIAGE / "contract.yaml"
V1 = ("register", "triage", TRIAGE / "model_v1.ubj", "--owner", "lab@example.org", "--contract",
      CONTRACT, "--golden", TRIAGE / "golden_v1.csv", "--note", "the first")
V2 = ("register", "triage", TRIAGE / "model.ubj", "--contract", CONTRACT, "--golden",
      TRIAGE / "golden.csv", "--note", "the second")


class Way:
    """One way to the API: cli(...) runs a command there."""

    def __init__(self, name, args, env=None):
        self.name = name
        self.args = args
        self.env = env or {}

    def __call__(self, *args, check=True, stdin=None):
        return run_program(*args, *self.args, check=check, stdin=stdin, env=self.env)


@pytest.fixture(params=["folder", "socket", "url"])
def way(request, tmp_path):
    if request.param == "folder":
        return Way("folder", ["--data", str(tmp_path / "data")])
    server = request.getfixturevalue("server")
    if request.param == "socket":
        return Way("socket", ["--data", str(server.data)])
    return Way("url", ["--server", server.url])


@pytest.fixture
def folder(tmp_path):
    """A folder that nobody serves, with two versions of triage; 2 is the champion."""
    way = Way("folder", ["--data", str(tmp_path / "data")])
    way("model", *V1)
    way("model", *V2, "--alias", "champion")
    return way


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def write_rows(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def cases(tmp_path):
    """36 good rows without the expected score, as lists; the first is the header."""
    return [row[:-1] for row in rows_of(TRIAGE / "golden.csv")]


# ---- the whole job, three ways ----

def test_a_model_lives_its_life(way):
    assert "is the champion" in way("model", *V1).out
    second = way("model", *V2, "--lineage", "code_commit=4f2a91c", "--json").json
    assert second["version"] == 2 and second["is_champion"] is False
    assert second["golden_rows"] == len(rows_of(TRIAGE / "golden.csv")) - 1

    moved = way("alias", "set", "triage", "champion", "latest", "--reason", "better")
    assert moved.out == "triage: champion is version 2 (before: 1, revision 2)\n"
    answer = way("predict", "triage", "--json", f"@{TRIAGE / 'request.json'}").json
    assert answer["version"] == "2" and answer["predictions"][0]["label"] == "malignant"

    back = way("rollback", "triage", "--reason", "complaints", "--json").json
    assert (back["from"], back["to"], back["durable"]) == (2, 1, True)
    again = way("rollback", "triage", check=False)
    assert again.status == 4 and again.err.startswith("slipway: ") and "\nhint: " in again.err

    history = way("model", "history", "triage").out.splitlines()
    assert [line.split()[2:8] for line in history[1:]][0][:5] == ["champion", "2", "->", "1",
                                                                 "rollback"]
    assert "complaints" in history[1] and "better" in history[2] and len(history) == 4
    shown = way("model", "show", "triage:2", "--json").json
    assert shown["lineage"] == {"code_commit": "4f2a91c"} and shown["note"] == "the second"
    assert way("doctor").out.splitlines()[-1].startswith("healthy: 5 blobs")


def test_json_is_what_the_api_says(way):
    way("model", *V1)
    models = way("model", "list", "--json").json["models"]
    assert [(m["name"], m["owner"], m["champion"]) for m in models] == [
        ("triage", "lab@example.org", 1)]
    both = way("model", "show", "triage", "--json").json
    assert both["model"]["latest_version"] == 1
    assert [v["version"] for v in both["versions"]] == [1]
    status = way("status", "--json").json
    assert status["is_serving"] is (way.name != "folder")
    events = way("audit", "--json").json["events"]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert way("audit", "--after", str(len(events) - 1), "--json").json["events"] == events[-1:]
    assert way("audit", "--subject", "model/none", "--json").json == {"events": []}
    assert way("contract", "show", "triage").out.strip() == CONTRACT.read_text().strip()
    schema = way("contract", "show", "triage", "--schema").json
    assert "mean_radius" in schema["properties"]


def test_exit_statuses_are_for_scripts(way):
    """Each kind of failure has its own, with one line that says what and one that helps."""
    way("model", *V1)
    bad = f"@{TRIAGE / 'bad_request.json'}"
    for status, *words in [
        (1, "predict", "triage", "--json", bad),
        (2, "model", "history"),
        (2, "model", "update", "triage"),
        (2, "key", "create", "ci", "--scope", "predict", "--expires", "soon"),
        (3, "model", "show", "nosuch"),
        (3, "model", "show", "triage:7"),
        (3, "model", "register", "m", "/nosuch.ubj", "--owner", "me"),
        (4, "alias", "set", "triage", "champion", "1", "--if-revision", "9"),
        (4, "alias", "delete", "triage", "champion"),
        (4, "model", *V1),
        (8, "predict", "triage", "--json", "{"),
        (8, "model", "register", "m", CONTRACT, "--owner", "me"),
        (8, "model", "show", "../x"),
    ]:
        got = way(*words, check=False)
        assert got.status == status, f"{words}: {got}"
        assert got.out == ""
        assert re.match(r"slipway: \S.*\n(hint: .+\n)?\Z", got.err), f"{words}: {got.err}"


def test_uploads_skip_what_is_there(way):
    """The second version shares its contract with the first; nothing is sent twice."""
    way("model", *V1)
    way("model", *V2)
    shown = way("model", "show", "triage", "--json").json["versions"]
    assert shown[0]["contract"] == shown[1]["contract"] == hashlib.sha256(
        CONTRACT.read_bytes()).hexdigest()
    assert way("gc", "--json").json == {"dry_run": False, "blobs": 0, "bytes": 0, "kept_recent": 0,
                                              "folders": 0, "folder_bytes": 0}


# ---- predictions from CSV ----

def test_csv_answers_are_the_models_own(way, cases, tmp_path):
    """Against the probabilities that XGBoost gave for the same rows."""
    way("model", *V2, "--owner", "me")
    out = tmp_path / "answers.csv"
    write_rows(tmp_path / "rows.csv", cases)
    got = way("predict", "triage", "--csv", tmp_path / "rows.csv", "--out", out)
    assert got.err == f"{len(cases) - 1} rows predicted\n" and got.out == ""
    answers = rows_of(out)
    assert answers[0] == ["line", "id", "label", "probability", "probability_benign",
                          "probability_malignant", "quality"]
    expected = [float(row[-1]) for row in rows_of(TRIAGE / "golden.csv")[1:]]
    for i, (answer, probability) in enumerate(zip(answers[1:], expected, strict=True)):
        assert answer[0] == str(i + 2)
        assert abs(float(answer[5]) - probability) < 1e-6
        assert answer[2] == ("malignant" if probability >= 0.5 else "benign")
    assert not (tmp_path / "rows.csv.errors.csv").exists()


def test_only_bad_rows_are_set_aside(folder, cases, tmp_path):
    """3,000 rows in several batches, 6 bad ones at both ends, side by side and alone."""
    rows = [list(cases[1 + i % (len(cases) - 1)]) for i in range(3000)]
    bad = {0: "x", 1: "17,06", 1500: "x", 2998: "inf", 2999: "x"}
    for i, text in bad.items():
        rows[i][0] = text
    rows[700] = rows[700][:5]
    write_rows(tmp_path / "rows.csv", [cases[0], *rows])
    got = folder("predict", "triage", "--csv", tmp_path / "rows.csv", check=False)
    assert got.status == 1
    assert got.err == (f"2994 rows predicted, 6 refused: see {tmp_path}/rows.csv.errors.csv\n")
    lines = [int(line.split(",")[0]) for line in got.out.splitlines()[1:]]
    assert lines == [i + 2 for i in range(3000) if i not in bad and i != 700]
    errors = rows_of(tmp_path / "rows.csv.errors.csv")
    assert errors[0] == ["line", "field", "expected", "got"]
    assert [int(e[0]) for e in errors[1:]] == sorted(i + 2 for i in [*bad, 700])
    by_line = {int(e[0]): e for e in errors[1:]}
    assert by_line[3][1] == "mean_radius" and "17,06" in by_line[3][3]
    assert by_line[702] == ["702", "", "30 columns", "5"]
    ids = [line.split(",")[1] for line in got.out.splitlines()[1:]]
    assert len(set(ids)) == len(ids)


def test_a_file_of_bad_rows_ends(folder, cases, tmp_path):
    write_rows(tmp_path / "rows.csv", [cases[0]] + [["x"] * 30] * 300)
    got = folder("predict", "triage", "--csv", tmp_path / "rows.csv", "--errors",
                 tmp_path / "side.csv", check=False)
    assert got.status == 1 and got.out == "" and len(rows_of(tmp_path / "side.csv")) == 301


def test_columns_are_the_contracts(folder, cases, tmp_path):
    path = tmp_path / "rows.csv"
    write_rows(path, [["mean_radios", *cases[0][1:]], *cases[1:]])
    got = folder("predict", "triage", "--csv", path, check=False)
    assert got.status == 8 and "did you mean 'mean_radius'?" in got.err
    write_rows(path, [row + ["x"] for row in [cases[0] + ["extra"]][:1]] +
               [row + ["1", "2"] for row in cases[1:3]])
    got = folder("predict", "triage", "--csv", path, "--ignore", "extra", "--ignore", "x",
                 check=False)
    assert got.status == 0 and len(got.out.splitlines()) == 3
    got = folder("predict", "triage", "--csv", "/dev/null", check=False)
    assert got.status == 8 and "first line names the columns" in got.err


def test_rows_come_by_standard_input_too(folder, cases):
    text = "\n".join(",".join(row) for row in cases[:3])
    got = folder("predict", "triage:1", "--csv", "-", stdin=text)
    assert len(got.out.splitlines()) == 3
    row = json.dumps(dict(zip(cases[0], map(float, cases[1]))))
    assert folder("predict", "triage", "--json", "-", stdin=row).json["version"] == "2"


# ---- contracts ----

def test_check_and_diff_here_and_there(folder, cases, tmp_path):
    path = tmp_path / "rows.csv"
    cases[2][0] = "x"
    cases[3][0] = "9999"
    write_rows(path, cases)
    there = folder("contract", "check", "triage", path, "--json", check=False)
    here = folder("contract", "check", CONTRACT, path, "--json", check=False)
    assert there.status == here.status == 1 and there.json == here.json
    assert there.json["rejected_rows"] == 1 and there.json["bad_rows"] == 2
    assert "'x'" in folder("contract", "check", CONTRACT, path, check=False).out
    write_rows(path, [cases[0], cases[3]])
    assert folder("contract", "check", CONTRACT, path).status == 0
    assert folder("contract", "check", CONTRACT, path, "--strict", check=False).status == 1

    other = tmp_path / "other.yaml"
    other.write_text(CONTRACT.read_text().replace("name: mean_radius", "name: mean_radios", 1))
    same = folder("contract", "diff", "triage:1", CONTRACT, "--json")
    assert same.json == {"compatible": True, "changes": []}
    differs = folder("contract", "diff", CONTRACT, other, check=False)
    assert differs.status == 1 and "mean_radius" in differs.out and "NOT compatible" in differs.out


def test_infer_drafts_a_contract_that_fits(tmp_path):
    rows = [["age", "plan", "joined", "left"]]
    rows += [[str(20 + i % 50), ["basic", "plus"][i % 2], f"2024-01-{1 + i % 28:02}",
              "yes" if i % 2 else "no"] for i in range(1200)]
    write_rows(tmp_path / "train.csv", rows)
    out = tmp_path / "contract.yaml"
    words = ["contract", "infer", tmp_path / "train.csv", "--target", "left", "--classes",
             "no,yes", "--name", "churn", "--owner", "me@example.org", "--unit", "age=a",
             "--ignore", "joined", "--out", out]
    got = run_program(*words)
    assert got.out == "" and "look at plan: " in got.err  # plan tells the label
    assert "me@example.org" in out.read_text()
    again = run_program(*words, check=False)
    assert again.status == 4 and "is there already" in again.err
    first = out.read_text()
    run_program(*words, "--force")
    assert out.read_text() == first
    as_json = run_program(*words[:-2], "--json").json
    assert as_json["contract"] == first and as_json["rows"] == 1200
    write_rows(tmp_path / "rows.csv", [["age", "plan"], ["30", "basic"]])
    run_program("contract", "check", out, tmp_path / "rows.csv")


# ---- keys and the way in ----

def test_keys_open_the_door_and_shut_it(server):
    admin = server.cli("key", "create", "ops", "--scope", "admin")
    secret = admin.out.strip()
    assert re.fullmatch(r"slw_[0-9a-f]{16}_\S+", secret) and secret not in admin.err
    reader = server.cli("key", "create", "ci", "--scope", "observe", "--expires", "30d",
                        "--json").json
    there = ["--server", server.url]
    for env, args, status in [
        ({}, [], 5),
        ({"SLIPWAY_KEY": secret}, [], 0),
        ({}, ["--key", secret], 0),
        ({}, ["--key", "slw_0000000000000000_nope"], 5),
        ({}, ["--key", "bad key\r\nX-Evil: 1"], 8),
    ]:
        got = run_program("model", "list", *there, *args, check=False, env=env)
        assert got.status == status, f"{args}: {got}"
    denied = run_program("gc", *there, "--key", reader["key"], check=False)
    assert denied.status == 5 and "admin" in denied.err
    path = server.data.parent / "key"
    path.write_text(secret + "\n")
    assert run_program("doctor", *there, "--key", f"@{path}").status == 0
    listed = server.cli("key", "list")
    assert "ops" in listed.out and secret not in listed.out
    server.cli("key", "revoke", "ci")
    gone = run_program("model", "list", *there, "--key", reader["key"], check=False)
    assert gone.status == 5
    assert server.cli("key", "revoke", "ci", check=False).status == 3
    assert secret not in server.log_text()


def test_a_key_does_not_travel_in_the_open():
    for host in ("ml.example.org", "127.0.0.1.example.org", "localhost.example.org:80",
                 "127.0.0.1@example.org", "10.0.0.7", "[::2]:80", "127"):
        got = run_program("model", "list", "--server", f"http://{host}", "--key", "slw_x",
                          check=False)
        assert got.status == 8 and "plain HTTP" in got.err, host
    for host in ("127.0.0.1:1", "127.9.9.9:1/", "localhost:1", "[::1]:1"):
        got = run_program("model", "list", "--server", f"http://{host}", "--key", "slw_x",
                          check=False)
        assert got.status == 6, f"{host}: {got}"


def test_another_web_server_is_no_slipway(tmp_path):
    """Its pages are neither an empty list of models nor a healthy doctor."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api/models").write_text("<html>models</html>")
    (tmp_path / "api/doctor").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        for words in (["model", "list"], ["doctor"], ["status"]):
            got = run_program(*words, "--server", f"http://127.0.0.1:{other.server_port}",
                              check=False)
            assert got.status in (3, 6) and got.out == "", f"{words}: {got}"
        other.shutdown()


def test_tls_is_trusted_by_the_root_that_is_named(make_server, tmp_path):
    """Against a certificate of our own: refused without --ca, or under another name."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    server = make_server("--tls-cert", cert, "--tls-key", key, start=False)
    server.start(wait=False)
    end = time.monotonic() + COMMAND_SECONDS_MAX
    while server.cli("status", check=False).status and time.monotonic() < end:
        time.sleep(0.05)
    url = f"https://localhost:{server.port}"
    got = run_program("status", "--server", url, "--ca", cert, "--json")
    assert got.json["is_serving"] is True
    got = run_program("status", "--server", url, check=False)
    assert got.status == 6 and "not trusted" in got.err and "--ca" in got.err
    got = run_program("status", "--server", f"https://127.0.0.1:{server.port}", "--ca", cert,
                      check=False)
    assert got.status == 6 and "not trusted" in got.err


def test_serve_refuses_a_wrong_line(tmp_path):
    for words in (["--lisen", "127.0.0.1:1"], ["--data-threads", "many"], ["now"]):
        got = run_program("serve", "--data", tmp_path / "data", *words, check=False)
        assert got.status == 2, f"{words}: {got}"
        assert got.err.startswith("slipway: ")
    assert not (tmp_path / "data").exists()


def test_the_audit_trail_goes_on_behind_a_page(server):
    """1,100 events: more than the 1,000 that one reply has."""
    server.cli("model", *V1)
    server.cli("model", *V2)
    with requests.Session() as session:
        for i in range(1100):
            reply = session.put(f"{server.url}/api/models/triage/aliases/try",
                                json={"version": 1 + i % 2})
            assert reply.status_code == 200
    events = server.cli("audit", "--json").json["events"]
    # before them: the model, its two versions, the first champion
    assert [e["seq"] for e in events] == list(range(1, 1105))
    lines = server.cli("audit", "--limit", "1050").out.splitlines()
    assert len(lines) == 1051 and lines[-1].split()[0] == "1050"


def test_nobody_there_is_said_and_quick(tmp_path):
    begin = time.monotonic()
    got = run_program("model", "list", "--server", "http://127.0.0.1:1", check=False)
    assert got.status == 6 and "127.0.0.1:1" in got.err
    got = run_program("model", "list", "--data", tmp_path / "none", check=False)
    assert got.status == 3 and not (tmp_path / "none").exists()
    got = run_program("model", "list", "--data", tmp_path, "--server", "http://x", check=False)
    assert got.status == 2
    assert time.monotonic() - begin < 5


def test_environment_says_what_flags_do_not(folder, tmp_path):
    data = folder.args[1]
    got = run_program("model", "list", "--names", env={"SLIPWAY_DATA_DIR": data})
    assert got.out == "triage\n"
    got = run_program("model", "list", "--names", "--data", data,
                      env={"SLIPWAY_SERVER": "http://127.0.0.1:1"})
    assert got.out == "triage\n"  # a folder on the line is meant
    got = run_program("model", "list", env={"SLIPWAY_SERVER": "http://127.0.0.1:1"}, check=False)
    assert got.status == 6


def test_two_commands_on_one_folder_wait_for_each_other(folder):
    argv = [*PREFIX, PROGRAM, "alias", "set", "triage", "try", "1", *folder.args]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(6)]
    for process in running:
        out, err = process.communicate(timeout=COMMAND_SECONDS_MAX)
        assert process.returncode == 0, err
    assert folder("doctor").status == 0


def test_a_store_of_another_build_is_not_waited_for(folder):
    """It will be of another build in ten seconds too: that is no folder in use (status 4)."""
    with sqlite3.connect(pathlib.Path(folder.args[1]) / "slipway.db") as store:
        store.execute("UPDATE schema SET digest = 'x' WHERE version = 1")
    got = folder("model", "list", check=False)
    assert got.status == 8 and "with another text than 0001_registry" in got.err, got


# ---- backup and restore ----

def test_backup_while_serving_restores_the_same(server, tmp_path):
    for words in (V1, V2):
        server.cli("model", *words)
    server.cli("alias", "set", "triage", "champion", "2")
    copy = tmp_path / "copy"
    server.cli("backup", copy)
    server.cli("rollback", "triage")  # after it: not in the copy
    manifest = json.loads((copy / "backup.json").read_text())
    for file in manifest["files"]:
        data = (copy / file["path"]).read_bytes()
        assert len(data) == file["bytes"] and hashlib.sha256(data).hexdigest() == file["sha256"]
    kept = [f for f in manifest["files"] if f["path"].startswith("predictions/")]
    # besides: the store, two models, a contract, two golden files
    assert kept and len(manifest["files"]) - len(kept) == 6
    assert server.cli("backup", copy, check=False).status == 4

    back = tmp_path / "back"
    assert "healthy" in run_program("restore", copy, "--data", back).out
    restored = Way("restored", ["--data", str(back)])
    assert restored("model", "show", "triage", "--json").json["model"]["champion"] == 2
    request = f"@{TRIAGE / 'request.json'}"
    assert restored("predict", "triage", "--json", request).json["version"] == "2"
    assert [p.name for p in tmp_path.iterdir() if "restoring" in p.name] == []
    assert run_program("restore", copy, "--data", back, check=False).status == 4


def damaged_blob(copy):
    path = next((copy / "blobs").glob("*/*"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def missing_blob(copy):
    next((copy / "blobs").glob("*/*")).unlink()


def escaping_path(copy):
    manifest = json.loads((copy / "backup.json").read_text())
    manifest["files"][1]["path"] = "../../escaped"
    (copy / "backup.json").write_text(json.dumps(manifest))


def no_manifest(copy):
    (copy / "backup.json").unlink()


def blob_left_out(copy):
    manifest = json.loads((copy / "backup.json").read_text())
    manifest["files"] = manifest["files"][:1]
    (copy / "backup.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [damaged_blob, missing_blob, escaping_path, no_manifest,
                                    blob_left_out])
def test_a_damaged_backup_makes_no_folder(folder, tmp_path, damage):
    copy = tmp_path / "copy"
    folder("backup", copy)
    damage(copy)
    before = sorted(p.name for p in tmp_path.iterdir())
    got = run_program("restore", copy, "--data", tmp_path / "back", check=False)
    assert got.status in (3, 7, 8) and got.err.startswith("slipway: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_doctor_finds_a_damaged_artifact(folder):
    blobs = pathlib.Path(folder.args[1]) / "blobs"
    damaged_blob(blobs.parent)
    got = folder("doctor", check=False)
    assert got.status == 1 and "PROBLEM" in got.out and "NOT healthy" in got.out


# ---- help, completion, man pages ----

GROUPS = ("model", "alias", "contract", "key", "outcome", "value", "rollout", "prediction",
          "review", "alert", "webhook", "worker")


def test_every_command_helps_with_an_example():
    pages = run_program("man", "--list").out.split()
    assert len(pages) > 30 and {f"slipway-{group}" for group in GROUPS} < set(pages)
    for page in pages[1:]:
        words = ["who-answered"] if page == "slipway-who-answered" else page.split("-")[1:]
        text = run_program(*words, "--help").out
        assert text.startswith(f"usage: slipway {' '.join(words)}")
        assert max(map(len, text.split("\nFlags\n")[0].splitlines())) <= 80
        assert run_program("help", *words).out == text
        if words[0] not in GROUPS or len(words) == 2:
            assert "\nExample\n  slipway" in text or "\nExample\n  source" in text


def test_help_of_what_is_not_there_is_a_usage_error():
    for words in (["help", "modle"], ["man", "modle"], ["help", "model", "lst"], []):
        got = run_program(*words, check=False)
        assert got.status == 2 and got.out == "" and got.err


def test_examples_are_command_lines_that_parse(tmp_path):
    """Every example, joined over its line ends, is understood (with what it names not there)."""
    text = run_program("reference").out
    shell = re.findall(r"```sh\n(.*?)```", text, re.S)
    lines = [line for block in shell for line in block.replace("\\\n", " ").splitlines()]
    assert len(lines) > 30
    for line in lines:
        words = shlex.split(line.split(" > ")[0].split(" | ")[0])
        if words[0] != "slipway" or words[1] == "serve":
            continue
        got = run_program(*words[1:], check=False, cwd="/",
                          env={"SLIPWAY_DATA_DIR": str(tmp_path / "absent")})
        assert got.status != 2, f"{line}: {got}"


def test_reference_page_is_the_tables():
    assert (ROOT / "docs/cli.md").read_text() == run_program("reference").out, \
        "docs/cli.md is old: build/slipway reference > docs/cli.md"


def test_man_pages_are_roff(tmp_path):
    for page in run_program("man", "--list").out.split():
        text = run_program("man", page).out
        assert text.startswith('.TH "') and "\n.SH NAME\n" in text
        if subprocess.run(["which", "groff"], capture_output=True).returncode == 0:
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, text=True,
                                  capture_output=True, timeout=20)
            assert done.returncode == 0 and done.stderr == ""


def complete(*words, data=None):
    args = ["--data", str(data)] if data else []
    lines = run_program("complete", "--", *args, *words).out.splitlines()
    return [line.split("\t")[0] for line in lines]


def test_completion_knows_words_flags_and_models(folder, tmp_path):
    assert complete("mo") == ["model", "monitor"]
    assert complete("model", "") == ["register", "list", "show", "history", "update", "serving",
                                     "logs", "card"]
    assert "complete" not in complete("") and "serve" in complete("")
    assert complete("model", "register", "m", "") == [":file"]
    assert complete("model", "register", "m", "f", "--contract", "") == [":file"]
    assert complete("completion", "") == ["bash", "zsh"]
    assert complete("alias", "set", "--rea") == ["--reason"]
    assert "--listen" in complete("serve", "--li")
    data = folder.args[1]
    assert complete("rollback", "--data", data, "tri") == ["triage"]
    assert complete("rollback", "--data", str(tmp_path / "absent"), "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts_are_shell(shell, tmp_path):
    if subprocess.run(["which", shell], capture_output=True).returncode:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "completion"
    script.write_text(run_program("completion", shell).out)
    subprocess.run([shell, "-n", script], check=True, timeout=20)


def test_bash_completes(folder, tmp_path):
    script = tmp_path / "completion"
    script.write_text(run_program("completion", "bash").out)
    lines = f"""
        source {script}
        COMP_WORDS=({PROGRAM} model sh); COMP_CWORD=2; _slipway; echo "${{COMPREPLY[*]}}"
        COMP_WORDS=({PROGRAM} rollback ""); COMP_CWORD=2; _slipway; echo "${{COMPREPLY[*]}}"
    """
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=20,
                          env={**os.environ, "SLIPWAY_DATA_DIR": folder.args[1]})
    assert done.stdout == "show\ntriage\n", done


# ---- terminals ----

def on_terminal(*words, env=None):
    """Output of a command whose standard output and error are a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen([*PREFIX, PROGRAM, *map(str, words)], stdout=slave, stderr=slave,
                               stdin=subprocess.DEVNULL,
                               env={**os.environ, "TERM": "xterm", **(env or {})})
    os.close(slave)
    text = b""
    end = time.monotonic() + COMMAND_SECONDS_MAX
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                text += os.read(master, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    os.close(master)
    process.wait(5)
    return text.decode()


def test_colour_only_on_a_terminal(folder):
    words = ("doctor", *folder.args)
    assert "\033[32m" in on_terminal(*words)
    assert "\033[" not in on_terminal(*words, env={"NO_COLOR": "1"})
    assert "\033[" not in on_terminal(*words, env={"TERM": "dumb"})
    assert "\033[" not in folder("doctor").out


def test_rows_cannot_steer_a_terminal(folder, cases, tmp_path):
    cases[1][0] = "\033[2Jgone"
    write_rows(tmp_path / "rows.csv", cases[:3])
    words = ("contract", "check", "triage", tmp_path / "rows.csv")
    assert "?[2Jgone" in folder(*words, check=False).out
    assert "\033[2J" not in on_terminal(*words, *folder.args)


def test_a_long_command_shows_how_far_it_is(folder, cases, tmp_path):
    write_rows(tmp_path / "rows.csv", [cases[0]] + cases[1:] * 200)
    shown = on_terminal("predict", "triage", "--csv", tmp_path / "rows.csv", "--out",
                        tmp_path / "out.csv", *folder.args)
    assert re.search(r"predicting  \[#*-*\] +\d+ %  \d+ rows  \d+ rows/s", shown), shown
    assert shown.endswith(f"\r\033[K{len(cases[1:]) * 200} rows predicted\r\n")


def test_an_upload_shows_how_far_it_is(way):
    shown = on_terminal("model", *V1, *way.args)
    assert way.name == "folder" or "uploading model_v1.ubj  [" in shown, shown
    assert "is registered" in shown


def test_a_closed_pipe_is_no_error(folder):
    """`slipway audit | head -1`: quiet, with the status a shell knows."""
    for i in range(3):
        folder("alias", "set", "triage", "try", str(1 + i % 2))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PREFIX, PROGRAM, "audit", *folder.args], stdout=write,
                          stderr=subprocess.PIPE, text=True, timeout=COMMAND_SECONDS_MAX)
    os.close(write)
    assert done.returncode == 141 and done.stderr == ""


def test_a_full_output_is_an_error(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PREFIX, PROGRAM, "model", "list", *folder.args], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=COMMAND_SECONDS_MAX)
    assert done.returncode == 7 and "standard output" in done.stderr
