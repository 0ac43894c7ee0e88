"""Who may do what: every route with no key, a wrong scope, a revoked and an expired one; Host and
Origin; what an address other than loopback needs.

What could break: a route that forgot its scope, a key that outlives its end, a page in a browser
that reaches a server on its user's machine.
"""
import http.client
import subprocess
import time

import pytest

from api import Api, REQUEST, register_triage
from server import PREFIX, PROGRAM, PATIENCE

SCOPES = ["predict", "observe", "review", "operate", "admin"]
PARAMS = {"model": "triage", "version": "1", "alias": "challenger", "sha256": "0" * 64,
          "key": "nobody", "prediction": "none-0", "rollout": "1", "item": "1", "silence": "1",
          "id": "none-0", "region": "none", "file": "none"}


def make_key(api, name, scopes, **fields):
    return api.post("/api/keys", {"name": name, "scopes": scopes, **fields}, 201).json()


@pytest.fixture(scope="module")
def keyed(triage):
    """The shared server once it has keys: {name: secret}, with one revoked and one expired."""
    admin = make_key(triage.api, "admin", "admin")["key"]
    api = Api(triage.url, admin)
    keys = {"admin": admin}
    for scope in SCOPES[:-1]:
        keys[scope] = make_key(api, scope, scope)["key"]
    keys["expired"] = make_key(api, "expired", "admin", expires_seconds=1)["key"]
    keys["revoked"] = make_key(api, "revoked", "admin")["key"]
    api.call("DELETE", "/api/keys/revoked", 200)
    time.sleep(1.1)
    return keys


def routes(api):
    """[(method, path, scope)] of the OpenAPI document: made from the table that serves."""
    paths = api.get("/openapi.json").json()["paths"]
    return [(method.upper(), path.format(**PARAMS), operation["x-slipway-scope"])
            for path, operations in paths.items() for method, operation in operations.items()]


def status(url, method, path, key=None):
    """The status of a call that changes nothing: its body is not JSON."""
    api = Api(url, key)
    return api.call(method, path, data=b"\x00" if method != "GET" else None).status_code


def test_every_route_refuses_who_may_not(triage, keyed):
    found = routes(Api(triage.url, keyed["admin"]))
    assert len(found) > 30
    wrong = []
    for method, path, scope in found:
        if scope == "public":
            if status(triage.url, method, path) not in (200, 503):
                wrong.append((method, path, "public, but refused"))
            continue
        for name in [None, "expired", "revoked"]:
            got = status(triage.url, method, path, keyed.get(name))
            if got != 401:
                wrong.append((method, path, name, got, 401))
        for name in SCOPES[:-1]:
            got = status(triage.url, method, path, keyed[name])
            if (got == 403) != (name not in scope.split(" or ")):
                wrong.append((method, path, name, got, scope))
    assert not wrong


@pytest.mark.parametrize("scope,path", [
    ("operate", "/api/models/triage/predictions"), ("operate", "/api/predictions/none-0"),
    ("operate", "/api/outcomes/none-0"), ("operate", "/api/models/triage/review/datasets/1"),
    ("review or operate", "/api/review/items"), ("review or operate", "/api/review/items/1")])
def test_rows_are_not_for_a_scraper(triage, keyed, scope, path):
    """A key that may only observe gets numbers about rows, never the inputs of one."""
    problem = Api(triage.url, keyed["observe"]).get(path, 403).json()
    assert f"needs the scope '{scope}'" in problem["detail"]
    assert Api(triage.url, keyed["observe"]).get("/metrics").status_code == 200


def test_admin_may_do_everything(triage, keyed):
    for method, path, _ in routes(Api(triage.url, keyed["admin"])):
        assert status(triage.url, method, path, keyed["admin"]) not in (401, 403), (method, path)


def test_a_refusal_says_which_scope_is_needed(triage, keyed):
    problem = Api(triage.url, keyed["observe"]).predict("triage", REQUEST, 403)
    assert "predict" in problem["detail"]
    assert "slipway key create" in problem["hint"]
    reply = Api(triage.url).call("POST", "/predict/triage", 401, json=REQUEST)
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["slw_", "Basic abc", "Bearer", "Bearer " + "x" * 4000,
                                    "bearer slw_0_0"])
def test_a_malformed_authorization_is_401(triage, keyed, header):
    reply = Api(triage.url).call("GET", "/api/models", headers={"Authorization": header})
    assert reply.status_code == 401


def test_a_secret_is_shown_once_and_stored_nowhere(server):
    secret = make_key(Api(server.url), "ci", "predict")["key"].encode()
    server.stop()
    for file in server.data.rglob("*"):
        if file.is_file():
            assert secret not in file.read_bytes(), file
    assert secret.decode() not in server.log_text()


def test_a_revoked_key_fails_at_the_next_request_of_its_connection(server):
    admin = Api(server.url, make_key(Api(server.url), "root", "admin")["key"])
    caller = Api(server.url, make_key(admin, "app", "observe")["key"])
    caller.get("/api/models")
    caller.get("/api/models")
    admin.call("DELETE", "/api/keys/app", 200)
    caller.get("/api/models", 401)


def test_the_socket_of_the_folder_needs_no_key(triage, keyed):
    """Its identity is the peer's user, and the file is that user's alone."""
    assert triage.unix.stat().st_mode & 0o777 == 0o600
    assert "admin" in triage.cli("key", "list").out


# ---- Host and Origin ----

def ask(port, headers, path="/api/models"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("host,expected", [
    ("127.0.0.1", 200), ("localhost:{port}", 200), ("[::1]:8080", 200), ("LOCALHOST", 200),
    ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example:80", 403)])
def test_host_must_be_one_of_the_servers_names(server, host, expected):
    """A name that an attacker lets resolve to 127.0.0.1 is none of them (DNS rebinding)."""
    assert ask(server.port, [("Host", host.format(port=server.port))]) == expected


def test_http_1_1_without_host_is_400(server):
    assert ask(server.port, []) == 400


@pytest.mark.parametrize("origin,expected", [
    ("http://localhost:{port}", 200), ("https://evil.example", 403), ("null", 403)])
def test_pages_of_other_origins_are_refused(server, origin, expected):
    headers = [("Host", f"localhost:{server.port}"),
               ("Origin", origin.format(port=server.port))]
    assert ask(server.port, headers) == expected


def test_hosts_and_origins_can_be_allowed(make_server):
    server = make_server("--allowed-hosts", "models.example.org",
                         "--allowed-origins", "https://app.example.org")
    assert ask(server.port, [("Host", "models.example.org"),
                             ("Origin", "https://app.example.org")]) == 200
    assert ask(server.port, [("Host", "other.example.org")]) == 403


# ---- addresses ----

def refusal_to_start(tmp_path, *options):
    argv = [*PREFIX, PROGRAM, "serve", "--data", str(tmp_path / "data"), *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10 * PATIENCE, check=False)
    assert done.returncode != 0
    return done.stderr


def test_other_addresses_need_tls(tmp_path):
    words = refusal_to_start(tmp_path, "--listen", "0.0.0.0:0")
    assert "TLS" in words
    assert "--tls-cert" in words


def test_behind_a_proxy_keys_are_needed(tmp_path):
    words = refusal_to_start(tmp_path, "--listen", "127.0.0.1:0", "--behind-proxy")
    assert "slipway key create" in words


def test_behind_a_proxy_with_a_key_it_serves_and_asks_for_it(make_server):
    server = make_server(start=False)
    key = server.cli("key", "create", "front", "--scope", "admin", "--json").json["key"]
    server.args += ["--behind-proxy"]
    server.start()
    assert Api(server.url).call("GET", "/api/models").status_code == 401
    assert Api(server.url, key).call("GET", "/api/models").status_code == 200


def test_it_says_at_start_that_everything_is_allowed_without_keys(server):
    """The line is written when the listeners are open, so an early answer may come before it."""
    until = time.monotonic() + 5
    while "no API keys" not in server.log_text() and time.monotonic() < until:
        time.sleep(0.01)
    assert "no API keys" in server.log_text()


def test_keys_bind_predictions_too(server):
    api = Api(server.url)
    register_triage(api, 1)
    api.predict("triage", REQUEST)
    make_key(api, "app", "predict")
    Api(server.url).predict("triage", REQUEST, 401)
