"""TLS as other machines see it: certificates, keys, reload on SIGHUP, the command line over https.

What could break: a server that others reach without TLS or key, a renewed certificate that needs a
restart, a broken one that takes the server down.
"""
import http.client
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests

from api import Api, REQUEST, register_triage
from server import COMMAND_SECONDS_MAX, PATIENCE, run_program

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


def make_certificate(folder, name, subject="localhost"):
    """A self-signed certificate for localhost and 127.0.0.1; returns (cert, key)."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={subject}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert],
                   check=True, capture_output=True, timeout=60)
    return cert, key


class Secure:
    """A server on 0.0.0.0 with TLS and one key."""

    def __init__(self, make_server, folder):
        self.cert, self.key = make_certificate(folder, "server")
        self.server = make_server("--tls-cert", self.cert, "--tls-key", self.key, start=False)
        self.server.args += ["--listen", f"0.0.0.0:{self.server.port}"]
        self.token = self.server.cli("key", "create", "root", "--scope", "admin").out.strip()
        self.url = f"https://localhost:{self.server.port}"
        start = self.server.start
        start(wait=False)
        self.wait()

    def wait(self):
        end = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end:
            try:
                if self.get("/readyz").status_code == 200:
                    return
            except requests.exceptions.ConnectionError:
                time.sleep(0.02)
        raise AssertionError(self.server.log_text())

    def get(self, path, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with requests.Session() as session:
            session.trust_env = False
            return session.get(self.url + path, headers=headers, verify=str(self.cert), timeout=10)

    def common_name(self, cert):
        """Who a new connection that trusts `cert` is shown."""
        context = ssl.create_default_context(cafile=str(cert))
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as sock:
                return dict(pair[0] for pair in sock.getpeercert()["subject"])["commonName"]

    def hang_up(self):
        """SIGHUP, and the line of the log that it brings."""
        before = self.server.log_text()
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end:
            new = self.server.log_text()[len(before):]
            if "reloaded" in new:
                return new
            time.sleep(0.02)
        raise AssertionError("nothing was logged")


@pytest.fixture
def secure(make_server, tmp_path):
    return Secure(make_server, tmp_path)


def test_others_need_a_key_and_get_answers(secure):
    assert secure.get("/livez").status_code == 200
    assert secure.get("/api/models").status_code == 401
    api = Api(secure.url, secure.token)
    api.session.verify = str(secure.cert)
    register_triage(api, 1)
    assert api.predict("triage", REQUEST)["version"] == "1"


def test_plain_http_and_old_tls_are_refused(secure):
    connection = http.client.HTTPConnection("127.0.0.1", secure.server.port, timeout=10)
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.request("GET", "/livez")
        connection.getresponse()
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{secure.server.port}",
                           "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False)
    assert done.returncode != 0
    assert secure.get("/livez").status_code == 200


def test_a_renewed_certificate_is_shown_after_sighup(secure, tmp_path):
    assert secure.common_name(secure.cert) == "localhost"
    with requests.Session() as old:
        old.trust_env = False
        old.verify = str(secure.cert)
        assert old.get(secure.url + "/livez", timeout=10).status_code == 200
        renewed, key = make_certificate(tmp_path, "renewed", "renewed")
        trusted = shutil.copy(secure.cert, tmp_path / "old.pem")
        shutil.copy(key, secure.key)
        shutil.copy(renewed, secure.cert)
        assert "not reloaded" not in secure.hang_up()
        assert secure.common_name(renewed) == "renewed"
        with pytest.raises(ssl.SSLError):
            secure.common_name(trusted)
        assert old.get(secure.url + "/livez", timeout=10).status_code == 200


def test_a_broken_certificate_leaves_the_old_one(secure, tmp_path):
    good = shutil.copy(secure.cert, tmp_path / "good.pem")
    secure.cert.write_text("not a certificate\n")
    assert "not reloaded" in secure.hang_up()
    assert secure.common_name(good) == "localhost"


def test_a_key_of_another_certificate_is_refused_at_start(make_server, tmp_path):
    cert, _ = make_certificate(tmp_path, "one")
    _, key = make_certificate(tmp_path, "two")
    server = make_server("--tls-cert", cert, "--tls-key", key, start=False)
    server.start(wait=False)
    assert server.process.wait(20 * PATIENCE) != 0
    server.process = None
    assert str(key) in server.log_text() or str(cert) in server.log_text()
    assert "hint:" in server.log_text()


def test_the_command_line_works_over_https(secure):
    way = ["--server", secure.url, "--key", secure.token]
    assert "yes" in run_program("status", *way, "--ca", secure.cert).out
    assert run_program("model", "list", *way, "--ca", secure.cert, "--json").json == {"models": []}
    untrusted = run_program("status", *way, check=False)
    assert untrusted.status != 0
    assert "certificate" in untrusted.err
    denied = run_program("status", "--server", secure.url, "--ca", secure.cert, check=False)
    assert denied.status == 5
