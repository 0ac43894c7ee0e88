"""TLS as other machines see it: certificates, keys, reload on SIGHUP, the command line over https.

What could break: a server that others reach without TLS or key, a renewed certificate that needs a
restart, a broken one that takes the server down.
"""
import http.client
import re
import shutil
import ssl
import subprocess
import time

import pytest
import requests

from api import Api, REQUEST, register_triage
from secure import Secure, make_certificate, needs_openssl
from server import COMMAND_SECONDS_MAX, PATIENCE, become_subreaper, run_program

pytestmark = needs_openssl
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


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


def s_client(secure, *options, stdin=b""):
    """What openssl's own client says."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{secure.server.port}",
                           "-CAfile", secure.cert, *options], input=stdin, capture_output=True,
                          timeout=COMMAND_SECONDS_MAX, check=False)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_comes_back_is_not_made_to_begin_anew(make_server, tmp_path, version):
    """On whatever thread it lands: sixteen connections, four threads."""
    secure = Secure(make_server, tmp_path, "--data-threads", 4)
    context = secure.context(version)
    _, session, reused = secure.connect(context)
    assert not reused
    for _ in range(16):
        line, session, reused = secure.connect(context, session)
        assert reused and line == "HTTP/1.1 200 OK"
    shown = secure.get("/metrics", secure.token).text
    assert 'slipway_tls_handshakes_total{kind="resumed"} 16' in shown
    ends = re.search(r"^slipway_tls_certificate_expires_timestamp_seconds (\S+)", shown, re.M)
    days = (float(ends[1]) - time.time()) / 86400
    assert 1.9 < days < 2.1  # what make_certificate asks for


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_survive_a_renewed_certificate_and_end_with_the_process(secure, tmp_path, version):
    context = secure.context(version)
    _, session, _ = secure.connect(context)
    renewed, key = make_certificate(tmp_path, "renewed", "renewed")
    shutil.copy(key, secure.key)
    shutil.copy(renewed, secure.cert)
    assert "not reloaded" not in secure.hang_up()
    assert secure.common_name(renewed) == "renewed"
    _, session, reused = secure.connect(context, session)
    assert reused
    secure.server.stop()
    secure.server.start(wait=False)
    secure.wait()
    fresh = secure.context(version)
    assert secure.connect(fresh)[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_survive_a_new_process_that_takes_over(secure, version):
    become_subreaper()
    context = secure.context(version)
    _, session, _ = secure.connect(context)
    for _ in range(2):
        secure.server.upgrade()
        line, session, reused = secure.connect(context, session)
        assert (line, reused) == ("HTTP/1.1 200 OK", True)


def test_nothing_is_taken_before_the_handshake_is_done(secure, tmp_path):
    """Early data can be sent again by whoever has seen it: a prediction would count twice."""
    session, early = tmp_path / "session.pem", tmp_path / "early"
    early.write_bytes(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    status, said = s_client(secure, "-tls1_3", "-sess_out", session, "-ign_eof",
                            stdin=early.read_bytes())
    assert status == 0, said
    text = subprocess.run(["openssl", "sess_id", "-in", session, "-noout", "-text"], check=True,
                          capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX).stdout
    assert "Max Early Data: 0" in text or "Max Early Data" not in text
    _, said = s_client(secure, "-tls1_3", "-sess_in", session, "-early_data", early)
    assert "Early data was accepted" not in said


def test_renegotiation_is_refused(secure):
    """One connection could keep a core busy with handshakes (CVE-2011-1473)."""
    status, said = s_client(secure, "-tls1_2", stdin=b"R\n")
    assert "RENEGOTIATING" in said
    assert status != 0 and "no renegotiation" in said, said
    assert secure.get("/livez").status_code == 200


def test_weak_ciphers_and_compression_are_not_offered(secure):
    for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "NULL", "DES-CBC3-SHA"):
        status, _ = s_client(secure, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
        assert status != 0, cipher
    _, said = s_client(secure, "-tls1_2", "-comp")
    assert "Compression: NONE" in said


def test_a_load_is_driven_over_https(secure):
    api = Api(secure.url, secure.token)
    api.session.verify = str(secure.cert)
    register_triage(api, 1)
    url = f"{secure.url}/predict/triage"
    way = ["--key", secure.token, "--duration", "300ms", "--warmup", "0ms", "--connections", 4]
    report = run_program("bench", url, *way, "--ca", secure.cert, "--json").json
    (version,) = report["versions"]
    assert version["answered"] > 10 and version["failed"] == 0
    untrusted = run_program("bench", url, *way, check=False)
    assert untrusted.status != 0 and "certificate is not trusted" in untrusted.err
    unnamed = secure.server.cli("bench", "triage", check=False)
    assert unnamed.status == 2 and f"--server https://NAME:{secure.server.port}" in unnamed.err
