"""`make install`: what a packager gets, away from the build tree.

Could break: a library that is found only in build/, a man page or completion nobody writes, a file
outside DESTDIR.
"""
import os
import subprocess

import pytest

from server import ROOT

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that stands for /, after `make install PREFIX=/usr`."""
    destdir = tmp_path_factory.mktemp("destdir")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", "install", f"DESTDIR={destdir}", "PREFIX=/usr"], cwd=ROOT, env=env,
                   check=True, stdout=subprocess.DEVNULL)
    return destdir


def test_the_installed_program_runs_by_itself(installed, tmp_path):
    done = subprocess.run([installed / "usr/bin/slipway", "--version"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("slipway ")


def test_the_installed_program_names_no_folder_of_the_build(installed):
    dynamic = subprocess.run(["readelf", "-d", installed / "usr/bin/slipway"], check=True,
                             capture_output=True, text=True).stdout
    assert str(ROOT) not in dynamic


def test_man_pages_and_completions_are_there(installed):
    share = installed / "usr/share"
    assert (share / "man/man1/slipway.1").read_text().startswith(".")
    for command in ("serve", "model", "predict"):
        assert (share / f"man/man1/slipway-{command}.1").exists()
    bash = share / "bash-completion/completions/slipway"
    subprocess.run(["bash", "-n", bash], check=True)
    assert "complete -F _slipway slipway" in bash.read_text()
    assert (share / "zsh/site-functions/_slipway").read_text().startswith("#compdef slipway")
