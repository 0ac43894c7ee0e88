"""Certificates of clients: who gets in, who acts as whom, and what a refused one is told.

What could break: a client of another issuer, an expired or a revoked one that gets in, or gets in
again by a session that was made before; a name in a certificate taken for another.
"""
import ssl
import time

import pytest
import requests
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from api import Api, REQUEST, register_triage
from secure import Authority, Secure, needs_openssl, openssl
from server import PATIENCE, run_program

pytestmark = needs_openssl
SHOP = "uri:spiffe://example.org/shop"
# Of a handshake, or of the first read after it: TLS 1.3 hears of a refusal then.
REFUSED = (ssl.SSLError, ConnectionError)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def issuers(tmp_path_factory):
    """Two authorities and the certificates that the tests show."""
    folder = tmp_path_factory.mktemp("issuers")
    good, other = Authority(folder, "good"), Authority(folder, "other")
    good.shop = good.issue("shop", "URI:spiffe://example.org/shop,DNS:Shop.Example.org")
    good.plain = good.issue("plain")
    good.old = good.issue("old", days=-1)
    good.gone = good.issue("gone")
    good.server = good.issue("server", usage="serverAuth")
    other.shop = other.issue("shop", "URI:spiffe://example.org/shop")
    return good, other


@pytest.fixture
def strict(make_server, tmp_path, issuers):
    """A server that talks to clients of the good authority only."""
    return Secure(make_server, tmp_path, "--tls-client-ca", issuers[0].cert,
                  client=issuers[0].plain)


def wait_for_log(secure, words):
    end = time.monotonic() + 10 * PATIENCE
    while words not in secure.server.log_text():
        assert time.monotonic() < end, f"no '{words}' in\n{secure.server.log_text()}"
        time.sleep(0.02)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_known_certificate_gets_in(strict, issuers, version):
    assert strict.connect(strict.context(version))[0] == "HTTP/1.1 200 OK"
    assert strict.get("/api/models", strict.token).status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name, reason", [
    (None, "peer did not return a certificate"),
    ("other", "unable to get local issuer certificate"),
    ("old", "certificate has expired"),
    ("server", "unsuitable certificate purpose"),
])
def test_others_do_not_and_the_log_says_why(strict, issuers, name, reason, version):
    good, other = issuers
    context = ssl.create_default_context(cafile=str(strict.cert))
    context.minimum_version = context.maximum_version = version
    if name:
        context.load_cert_chain(str(other.shop if name == "other" else getattr(good, name)))
    with pytest.raises(REFUSED):
        strict.connect(context)
    wait_for_log(strict, f'reason="{reason}"' if " " in reason else reason)
    assert strict.get("/livez").status_code == 200


def test_a_refused_command_line_is_told_what_to_do(strict, issuers):
    good, other = issuers
    way = ["status", "--server", strict.url, "--key", strict.token, "--ca", strict.cert]
    assert run_program(*way, "--cert", good.plain).status == 0
    for cert, hint in ((None, "--cert FILE"), (other.shop, "--tls-client-ca"),
                       (good.old, "has expired: renew it")):
        said = run_program(*way, *(["--cert", cert] if cert else []), check=False)
        assert said.status == 6 and hint in said.err, said
    said = run_program(*way, "--cert", strict.cert, check=False)
    assert said.status == 2 or "private key" in said.err, said


def test_a_certificate_acts_as_the_key_that_is_bound_to_it(strict, issuers):
    good, _ = issuers
    made = strict.server.cli("key", "create", "shop", "--scope", "predict,observe,operate",
                             "--certificate", SHOP)
    assert SHOP in made.out
    api = Api(strict.url)  # sends no Authorization
    api.session.verify, api.session.cert = str(strict.cert), str(good.shop)
    register_triage(api, 1)
    assert api.predict("triage", REQUEST)["version"] == "1"
    denied = api.get("/api/keys", 403).json()
    assert denied["detail"].startswith("key:shop may not do this")
    api.get("/api/keys", headers={"Authorization": f"Bearer {strict.token}"})
    api.get("/api/keys", 401, headers={"Authorization": "Bearer slw_nobody"})
    events = api.get("/api/audit?subject=model/triage").json()["events"]
    assert {event["actor"] for event in events} == {"key:shop"}
    strict.server.cli("key", "revoke", "shop")
    api.get("/api/models", 401)  # on the connection that was open before


def test_grpc_clients_act_by_certificate_too(strict, issuers):
    good, _ = issuers
    strict.server.cli("key", "create", "shop", "--scope", "predict", "--certificate", SHOP)

    def client(cert):
        return triton.InferenceServerClient(
            f"localhost:{strict.server.port}", ssl=True, root_certificates=str(strict.cert),
            private_key=str(cert), certificate_chain=str(cert))  # one file has both

    with client(good.shop) as known:
        assert known.is_server_live()
        assert known.get_model_repository_index() is not None
    with client(good.plain) as unknown:
        assert unknown.is_server_live()
        with pytest.raises(InferenceServerException, match="no live key is bound"):
            unknown.get_model_repository_index()


def test_a_certificate_without_a_key_is_told_how_to_get_one(strict, issuers):
    reply = strict.get("/api/models")
    assert reply.status_code == 401
    problem = reply.json()
    assert problem["detail"] == "no live key is bound to the client's certificate cn:plain"
    assert "--certificate cn:plain" in problem["hint"]
    assert strict.get("/livez").status_code == 200


@pytest.mark.parametrize("kind", ["sha256", "uri", "dns", "cn"])
def test_every_kind_of_name_is_found(strict, issuers, kind):
    good, _ = issuers
    digest = openssl("x509", "-in", good.shop, "-noout", "-fingerprint", "-sha256").stdout.decode()
    names = {"sha256": "sha256:" + digest.strip().split("=")[1], "uri": SHOP,
             "dns": "dns:shop.example.org", "cn": "cn:shop"}
    strict.server.cli("key", "create", "bound", "--scope", "observe", "--certificate", names[kind])
    assert strict.get("/api/models", client=good.shop).status_code == 200
    assert strict.get("/api/models", client=good.plain).status_code == 401


def test_a_name_of_one_kind_is_none_of_another(strict, issuers):
    for name in ("dns:shop", "uri:shop", "cn:shop.example.org", "cn:spiffe://example.org/shop"):
        strict.server.cli("key", "create", name.replace(":", "-").replace("/", ""), "--scope",
                          "observe", "--certificate", name)
    assert strict.get("/api/models", client=issuers[0].shop).status_code == 401


@pytest.mark.parametrize("name", ["shop", "sha256:12", "uri:", "email:a@example.org"])
def test_a_name_that_is_none_is_refused(strict, name):
    said = strict.server.cli("key", "create", "k", "--scope", "predict", "--certificate", name,
                             check=False)
    assert said.status != 0 and "does not name a certificate" in said.err
    assert "uri:spiffe://example.org/shop" in said.err


def test_two_keys_are_not_bound_to_one_certificate(strict):
    create = ["--scope", "predict", "--certificate", SHOP]
    strict.server.cli("key", "create", "one", *create)
    said = strict.server.cli("key", "create", "two", *create, check=False)
    assert said.status == 4 and "is bound to" in said.err
    strict.server.cli("key", "revoke", "one")
    strict.server.cli("key", "create", "two", *create)


def test_a_certificate_may_be_optional(make_server, tmp_path, issuers):
    good, other = issuers
    secure = Secure(make_server, tmp_path, "--tls-client-ca", good.cert, "--tls-client-auth",
                    "optional")
    secure.server.cli("key", "create", "shop", "--scope", "observe", "--certificate", SHOP)
    assert secure.get("/livez").status_code == 200
    assert secure.get("/api/models").status_code == 401
    assert secure.get("/api/models", secure.token).status_code == 200
    assert secure.get("/api/models", client=good.shop).status_code == 200
    with pytest.raises(requests.exceptions.RequestException):
        secure.get("/livez", client=other.shop)  # one that is shown must be good


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_keeps_its_certificate(strict, issuers, version):
    strict.server.cli("key", "create", "shop", "--scope", "observe", "--certificate", SHOP)
    context = strict.context(version, issuers[0].shop)
    line, session, _ = strict.connect(context, path="/api/models")
    assert line == "HTTP/1.1 200 OK"
    line, session, reused = strict.connect(context, session, "/api/models")
    assert (line, reused) == ("HTTP/1.1 200 OK", True)
    strict.hang_up()
    line, session, reused = strict.connect(context, session, "/api/models")
    assert (line, reused) == ("HTTP/1.1 200 OK", True)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_gets_past_a_new_list_of_roots(make_server, tmp_path, issuers, version):
    """CVE-2025-23419, CVE-2025-68121: a session made under one root was resumed under another."""
    good, other = issuers
    roots = tmp_path / "roots.pem"
    roots.write_bytes(good.cert.read_bytes() + other.cert.read_bytes())
    secure = Secure(make_server, tmp_path, "--tls-client-ca", roots, client=good.plain)
    context = secure.context(version, other.shop)
    _, session, _ = secure.connect(context)
    _, session, reused = secure.connect(context, session)
    assert reused
    roots.write_bytes(good.cert.read_bytes())
    assert "not reloaded" not in secure.hang_up()
    with pytest.raises(REFUSED):
        secure.connect(context, session)
    assert secure.get("/livez").status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_certificate_is_out_with_the_next_list(make_server, tmp_path, issuers, version):
    good, _ = issuers
    crl = tmp_path / "revoked.pem"
    crl.write_bytes(good.revoke().read_bytes())
    secure = Secure(make_server, tmp_path, "--tls-client-ca", good.cert, "--tls-client-crl", crl,
                    client=good.plain)
    victim = good.issue(f"victim-{version.name}")
    context = secure.context(version, victim)
    _, session, _ = secure.connect(context)
    crl.write_bytes(good.revoke(victim).read_bytes())
    secure.hang_up()
    with pytest.raises(REFUSED):
        secure.connect(context, session)
    wait_for_log(secure, 'reason="certificate revoked"')
    assert secure.get("/livez").status_code == 200


def test_files_that_are_none_are_named(make_server, tmp_path, issuers):
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing\n")
    for options in (["--tls-client-ca", broken],
                    ["--tls-client-ca", issuers[0].cert, "--tls-client-crl", broken]):
        server = make_server(start=False)
        cert = tmp_path / "self.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                "-keyout", tmp_path / "self.key", "-out", cert)
        server.args += ["--tls-cert", cert, "--tls-key", tmp_path / "self.key", *options]
        server.start(wait=False)
        assert server.process.wait(20 * PATIENCE) != 0
        server.process = None
        assert str(broken) in server.log_text() and "hint:" in server.log_text()


def test_a_broken_list_leaves_the_old_one(make_server, tmp_path, issuers):
    good, other = issuers
    roots = tmp_path / "roots.pem"
    roots.write_bytes(good.cert.read_bytes())
    secure = Secure(make_server, tmp_path, "--tls-client-ca", roots, client=good.plain)
    roots.write_text("nothing\n")
    assert "not reloaded" in secure.hang_up()
    assert secure.get("/livez").status_code == 200
    with pytest.raises(REFUSED):
        secure.connect(secure.context(client=other.shop))
