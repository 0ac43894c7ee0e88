"""The image's files as a root of their own, and the server under what the unit allows it.

What could break: a library that the image lacks, a system call that the unit's filter refuses and
that only some requests need. What else is in deploy/: tests/tools/test_deploy_files.py.
"""
import ctypes.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from api import REQUEST, Api, register_triage
from server import COMMAND_SECONDS_MAX, PATIENCE, PREFIX, PROGRAM, ROOT, Server, free_port
from test_python import MODEL, PYTHON, infer

DEPLOY = ROOT / "deploy"
IMAGE_MIB_MAX = 20  # 13.6 on Debian 12; OpenSSL 3.5 of Debian 13 is larger
USER = 65532
pytestmark = pytest.mark.skipif(PATIENCE > 1 or bool(PREFIX),
                                reason="the release build is what is deployed")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """What deploy/image puts together, without the tools that make an image of it."""
    folder = tmp_path_factory.mktemp("image")
    done = subprocess.run([DEPLOY / "image", folder], capture_output=True, text=True,
                          timeout=COMMAND_SECONDS_MAX, check=True,
                          env={**os.environ, "PATH": "/usr/bin:/bin", "SLIPWAY_BIN": PROGRAM,
                               "SLIPWAY_IMAGE": "files"})
    assert "KiB" in done.stdout
    return folder


def test_the_image_is_small_and_whole(image):
    root = image / "rootfs"
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < IMAGE_MIB_MAX << 20
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 50
    assert (root / "usr/lib/ssl/cert.pem").resolve().name == "ca-certificates.crt"
    (loader,) = root.glob("lib*/ld-linux*")
    shown = subprocess.run([loader, "--library-path", root / "usr/lib", "--list",
                            root / "usr/bin/slipway"], capture_output=True, text=True, check=True,
                           timeout=COMMAND_SECONDS_MAX).stdout
    linked = [line.split("=>")[1].split()[0] for line in shown.splitlines() if "=>" in line]
    assert len(linked) >= 10
    assert all(path.startswith(str(root)) for path in linked), shown
    for line in (image / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            assert (image / line.split()[-2]).is_dir(), line


def enter(root):
    """A command in front, after which `root` is all there is; [] when that is not allowed here."""
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
    unshare = shutil.which("unshare") or "unshare"
    for command in ([chroot, f"--userspec={USER}:{USER}", str(root)],
                    [unshare, "--user", "--map-root-user", chroot, str(root)]):
        if subprocess.run([*command, "/usr/bin/slipway", "version"], capture_output=True,
                          timeout=COMMAND_SECONDS_MAX, check=False).returncode == 0:
            return command
    pytest.skip("chroot is not allowed here")


def test_the_program_starts_in_the_image(image):
    root = image / "rootfs"
    command = enter(root)
    data = root / "data"
    data.mkdir(mode=0o755)
    if os.geteuid() == 0:
        os.chown(data, USER, USER)
    made = subprocess.run([*command, "/usr/bin/slipway", "key", "create", "admin", "--scope",
                           "admin"], capture_output=True, text=True, check=True,
                          timeout=COMMAND_SECONDS_MAX,
                          env={"SLIPWAY_DATA_DIR": "/data"})
    with free_port() as port:
        env = {"SLIPWAY_DATA_DIR": "/data", "SLIPWAY_LISTEN": f"0.0.0.0:{port}",
               "SLIPWAY_BEHIND_PROXY": "true"}  # as in the Dockerfile
        with open(image / "log", "wb") as log:
            process = subprocess.Popen([*command, "/usr/bin/slipway", "serve"], env=env,
                                       stdout=log, stderr=log)
        try:
            server = Server(data, port)
            server.process = process
            server.wait_ready("/v2/health/ready")
            api = Api(server.url, made.stdout.strip())
            register_triage(api, 1)
            assert api.predict("triage", REQUEST)["version"] == "1"
            Api(server.url).get("/api/models", 401)
        finally:
            process.terminate()
            status = process.wait(20)
        assert status == 0, (image / "log").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze") or not ctypes.util.find_library("seccomp"),
                    reason="systemd-analyze and libseccomp are not installed")
def test_the_units_filter_lets_everything_through_that_is_needed(make_server, tmp_path):
    """Registering, predicting, a Python model in its sandbox, a backup, a reload, a stop."""
    confined = tmp_path / "slipway"
    confined.write_text(f"#!/bin/sh\nexec {sys.executable} {ROOT}/tests/integration/confine.py "
                        f"{DEPLOY}/slipway.service {PROGRAM} \"$@\"\n")
    confined.chmod(0o755)
    server = make_server(program=confined)
    api = Api(server.url)
    register_triage(api)
    assert api.predict("triage", REQUEST)["version"] == "2"
    churn = tmp_path / "churn"
    churn.mkdir()
    (churn / "model.py").write_text(MODEL)
    (churn / "slipway.yaml").write_text("features: [age, visits]\n")
    if os.access(PYTHON, os.X_OK):
        parts = [re.search("sandbox: [^,]*", subprocess.run(
            [program, "worker", "test", churn], capture_output=True, text=True, check=True,
            timeout=COMMAND_SECONDS_MAX).stdout) for program in (PROGRAM, confined)]
        assert parts[0] and parts[0][0] == parts[1][0]  # no part of it is missing
        server.cli("model", "register", "churn", churn, "--owner", "me@example.org")
        assert infer(api, [40, 1])["outputs"][0]["data"] == [18]
    server.cli("backup", tmp_path / "backup")
    os.kill(server.pid, 1)
    assert api.predict("triage", REQUEST)["version"] == "2"
    server.restart()
    assert Api(server.url).predict("triage", REQUEST)["version"] == "2"
    assert "Operation not permitted" not in server.log_text()
