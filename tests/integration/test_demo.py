"""examples/demo as `make demo` starts it: gates, rollouts, review, kill -9, on real traffic.

What could break: a good version that is not promoted, a bad one that is, a step that waits for a
person, something acknowledged that is gone after kill -9, a demo nobody waits for.
"""
import os
import re
import shutil
import subprocess

import pytest

from server import PATIENCE, PROGRAM, ROOT, free_port

DEMO_SECONDS_MAX = 60 * PATIENCE


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """What the demo printed, and the log of its server."""
    folder = tmp_path_factory.mktemp("demo")
    with free_port() as port:
        env = {**os.environ, "SLIPWAY_LISTEN": f"127.0.0.1:{port}", "SLIPWAY_BIN": PROGRAM,
               "SLIPWAY_DEMO_DIR": str(folder)}
        done = subprocess.run([ROOT / "examples/demo/run"], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEMO_SECONDS_MAX)
    log = (folder / "server.log").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert "Sanitizer" not in log
    return done.stdout, log


def test_the_good_version_is_promoted(story):
    out, log = story
    assert "rows differ" in out and "step 3 of 4 (canary) is done" in out
    assert 'action=advance cause=step reason="step 3 of 4 (canary) is done"' in log, log
    assert re.search(r"champion +1 +-> +2 +set +slipway:rollout", out), out


def test_the_bad_version_is_rolled_back_with_its_blast_radius(story):
    out, _ = story
    found = re.search(r"invalid_output: the canary has (\d+) of (\d+) keys with the event", out)
    assert found and found[1] == found[2] and int(found[1]) >= 5, out
    assert "2 -> 3, rolled back" in out
    assert "unit change? (cm as mm?)" in out


def test_nothing_acknowledged_is_lost(story):
    out, _ = story
    after = out.split("kill -9, in the middle")[1]
    assert re.search(r"accuracy .* 569 ", after), after
    assert "ok  audit chain" in after and "healthy" in after, after


@pytest.mark.once
def test_making_the_files_again_gives_the_same_bytes(cli, root, tmp_path):
    """Only where the training packages are: nothing else needs them."""
    python = root / "build/venv-triage/bin/python"
    if not python.exists():
        pytest.skip("build/venv-triage has no training packages; examples/triage/train.py says how")
    for name in ("triage", "demo"):
        shutil.copytree(root / "examples" / name, tmp_path / "examples" / name)
    subprocess.run([python, tmp_path / "examples/demo/train.py"], check=True, capture_output=True,
                   timeout=120)
    for file in ("cases.csv", "truth.csv", "heldout.csv", "heldout_cm.csv", "model_cm.ubj"):
        made = (tmp_path / "examples/demo" / file).read_bytes()
        assert made == (root / "examples/demo" / file).read_bytes(), file
