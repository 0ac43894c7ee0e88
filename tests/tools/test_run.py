"""tests/run counts right: nothing that failed, crashed or could not run is ever a pass."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def runner(tmp_path):
    """runner(suite, scripts, **env) -> (status, output lines); scripts stand for programs."""
    def run(*suites, scripts, env=None, unit_seconds=120):
        tests = tmp_path / "tests"
        tests.mkdir(exist_ok=True)
        text = (ROOT / "tests/run").read_text()
        limit = "UNIT_SECONDS_MAX = 120"
        assert limit in text
        (tests / "run").write_text(text.replace(limit, f"UNIT_SECONDS_MAX = {unit_seconds}"))
        for name, body in scripts.items():
            kind = name.split("/")[0]
            source = "fuzz" if kind == "replay" else kind
            (tests / source).mkdir(exist_ok=True)
            (tests / source / f"{pathlib.Path(name).name}.c").write_text("")
            program = tmp_path / "build/release" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text("#!/bin/sh\n" + body)
            program.chmod(0o755)
        done = subprocess.run([sys.executable, tests / "run", *suites], text=True, cwd=tmp_path,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "CI": "", **(env or {})})
        return done.returncode, done.stdout.splitlines()
    return run


@pytest.mark.parametrize("body, closing, status", [
    ("echo 1..2; echo ok 1 - a; echo ok 2 - b", "2 passed, 0 failed, 0 skipped", 0),
    ("echo ok 1 - a; echo not ok 2 - b; exit 1", "1 passed, 1 failed, 0 skipped", 1),
    ("echo ok 1 - a; echo not ok 2 '# SKIP' b", "1 passed, 0 failed, 1 skipped", 0),
    ("echo ok 1 - a; kill -SEGV $$", "1 passed, 1 failed, 0 skipped", 1),
    ("echo ok 1 - a; exit 99", "1 passed, 1 failed, 0 skipped", 1),
    ("true", "0 passed, 1 failed, 0 skipped", 1),
])
def test_a_unit_program_is_counted(runner, body, closing, status):
    got, lines = runner("release:unit", scripts={"unit/test_a": body})
    assert lines[-1] == closing
    assert got == status
    assert sum(" passed, " in line for line in lines) == 1


def test_no_test_at_all_is_not_a_success(runner):
    assert runner("release:unit", scripts={}) == (
        1, ["release:unit: 0 passed in 0.0 s", "0 passed, 0 failed, 0 skipped"])


def test_replay_names_the_input_that_fails(runner, tmp_path):
    corpus = tmp_path / "tests/fuzz/corpus/fuzz_a"
    corpus.mkdir(parents=True)
    (corpus / "good").write_text("")
    (corpus / "evil").write_text("")
    status, lines = runner("release:replay", scripts={
        "replay/fuzz_a": 'for f; do case $f in */evil) exit 1 ;; esac; done'})
    assert status == 1
    assert "FAIL release:fuzz_a tests/fuzz/corpus/fuzz_a/evil" in lines
    assert lines[-1] == "1 passed, 1 failed, 0 skipped"


def test_a_missing_tool_is_a_skip_here_and_a_failure_in_ci(runner):
    scripts = {"unit/test_a": "echo ok 1 - a"}
    status, lines = runner("release:unit", "format", scripts=scripts)
    assert status == 0 and lines[-1] == "1 passed, 0 failed, 1 skipped"
    assert "SKIP format: build/venv is missing (make venv)" in lines
    status, lines = runner("release:unit", "format", scripts=scripts, env={"CI": "true"})
    assert status == 1 and lines[-1] == "1 passed, 1 failed, 0 skipped"


def test_a_program_that_hangs_is_ended_with_its_children(runner, tmp_path):
    script = f"sleep 1000 & echo $! >{tmp_path}/child; echo ok 1 - a; wait"
    status, lines = runner("release:unit", scripts={"unit/test_a": script}, unit_seconds=1)
    assert status == 1 and lines[-1] == "1 passed, 1 failed, 0 skipped"
    child = int((tmp_path / "child").read_text())
    state = pathlib.Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z"
