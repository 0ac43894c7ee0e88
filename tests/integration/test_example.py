"""examples/triage as `make run` starts it, and the commands it prints, pasted into a shell.

What could break: a first start that is interrupted and never finished, a second start that undoes a
rollback, a printed command that does not work.
"""
import os
import re
import shutil
import subprocess
import time

import pytest

from api import Api, read
from server import COMMAND_SECONDS_MAX, PATIENCE, PROGRAM, ROOT, free_port

READY_SECONDS_MAX = 20 * PATIENCE


class Example:
    """The script on a folder and a port of its own."""

    def __init__(self, folder, port):
        self.log = folder / "run.log"
        self.url = f"http://127.0.0.1:{port}"
        self.env = {**os.environ, "SLIPWAY_DATA_DIR": str(folder / "data"),
                    "SLIPWAY_LISTEN": f"127.0.0.1:{port}", "SLIPWAY_BIN": PROGRAM}
        self.process = None

    def start(self):
        """Returns what it printed until the commands to try were there, and the seconds."""
        begin = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([ROOT / "examples/triage/run"], env=self.env,
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while time.monotonic() - begin < READY_SECONDS_MAX:
            text = self.log.read_text()
            if "rollback triage\n" in text:
                return text, time.monotonic() - begin
            assert self.process.poll() is None, text
            time.sleep(0.02)
        raise AssertionError(f"nothing to try after {READY_SECONDS_MAX} s:\n{text}")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20 * PATIENCE) == 0

    def paste(self, command):
        return subprocess.run(["sh", "-c", command], cwd=ROOT, env=self.env, check=True,
                              capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX).stdout


@pytest.fixture
def example(tmp_path):
    with free_port() as port:
        example = Example(tmp_path, port)
        yield example
        if example.process and example.process.poll() is None:
            example.stop()


def test_what_it_prints_can_be_pasted(example):
    text, _ = example.start()
    commands = re.findall(r"^  ([^#\s].*)$", text, re.M)
    predict, refuse, history, rollback = map(example.paste, commands)
    assert '"label":"malignant"' in predict and '"id":"' in predict
    assert "'17,06'" in refuse and "a number" in refuse
    assert [line.split()[3:6] for line in history.splitlines()[1:]] == [
        ["1", "->", "2"], ["-", "->", "1"]]
    assert "champion 2 -> 1" in rollback
    assert '"version":"1"' in example.paste(commands[0])


def test_the_second_start_is_quick_and_undoes_nothing(example):
    example.start()
    Api(example.url).rollback("triage")
    example.stop()
    text, seconds = example.start()
    assert seconds < 2 * PATIENCE
    assert "registered" not in text
    assert Api(example.url).champion("triage") == 1


def test_a_first_start_that_broke_off_is_finished_by_the_next(example):
    """Only version 1 is there, as after a Ctrl-C between the two registrations."""
    example.paste(f"{PROGRAM} model register triage examples/triage/model_v1.ubj --alias champion "
                  "--owner lab@example.org --contract examples/triage/contract.yaml "
                  "--golden examples/triage/golden_v1.csv")
    example.start()
    assert Api(example.url).champion("triage") == 2


def test_a_port_in_use_is_told(example):
    example.start()
    other = Example(example.log.parent, int(example.url.rsplit(":", 1)[1]))
    other.env["SLIPWAY_DATA_DIR"] += "-other"
    other.log = other.log.with_name("other.log")
    with pytest.raises(AssertionError, match="in use"):
        other.start()


@pytest.mark.once
def test_training_and_inferring_again_give_the_same_bytes(cli, root, tmp_path):
    """Only where the training packages are: nothing else needs them."""
    python = root / "build/venv-triage/bin/python"
    if not python.exists():
        pytest.skip("build/venv-triage has no training packages; examples/triage/train.py says how")
    shutil.copytree(root / "examples/triage", tmp_path / "examples/triage")
    subprocess.run([python, tmp_path / "examples/triage/train.py"], check=True,
                   capture_output=True, timeout=120)
    for file in ("model.ubj", "model_v1.ubj", "golden.csv", "golden_v1.csv", "request.json",
                 "bad_request.json"):
        assert (tmp_path / "examples/triage" / file).read_bytes() == read(file), file
    drafted = cli("contract", "infer", tmp_path / "build/triage/train.csv", "--target", "diagnosis",
                  "--classes", "benign,malignant", "--name", "triage", "--owner", "lab@example.org",
                  "--required-rows", "400")
    assert drafted.out.encode() == read("contract.yaml")
