"""What operators and their tools read: metrics, ids, traces, health, the API document, the log.

What could break: an exposition Prometheus refuses, a request that cannot be found again, a health
check that lies.
"""
import re
import shutil
import subprocess
import time

import pytest

from api import EXAMPLE, REQUEST, Api, register_triage
from server import PATIENCE

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def metrics(api):
    """{sample with its labels: value}"""
    lines = api.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in
            (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}


def test_promtool_accepts_the_metrics(triage):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    triage.api.predict("triage", REQUEST)
    text = triage.api.get("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_what_is_counted(server):
    api = Api(server.url)
    register_triage(api)
    for _ in range(5):
        api.predict("triage", {"rows": [REQUEST] * 3})
    api.predict("triage", {**REQUEST, "mean_radius": "x"}, 422)
    api.predict("triage", {**REQUEST, "mean_radius": 1e6})
    found = metrics(api)
    version = 'model="triage",version="2"'
    assert found[f'slipway_requests_total{{{version},code="200"}}'] == 6
    assert found[f'slipway_requests_total{{{version},code="422"}}'] == 1
    assert found[f'slipway_prediction_rows_total{{{version}}}'] == 16
    assert found[f'slipway_suspect_rows_total{{{version}}}'] == 1  # the mean_radius of 1e6
    broken = {name: value for name, value in found.items()
              if name.startswith("slipway_contract_violations_total") and value}
    assert sorted(broken.values()) == [1, 1]
    assert any('rule="type"' in name for name in broken)
    assert any('rule="range"' in name for name in broken)
    assert found['slipway_model_ready{model="triage"}'] == 1
    assert found[f'slipway_request_duration_seconds_count{{{version}}}'] == 7
    assert found["slipway_prediction_records_total"] == 7
    assert found['slipway_prediction_records_dropped_total{reason="queue_full"}'] == 0


def test_every_metric_is_documented_by_help_and_type(triage):
    text = triage.api.get("/metrics").text
    helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
    typed = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    assert helped == typed
    assert len(helped) > 15


def test_every_metric_of_the_table_is_shown(make_server, root):
    """A row in metrics.def that nothing fills is a promise on a dashboard."""
    api = Api(make_server().url)
    model = (root / "tests/cases/churn.json").read_bytes()
    contract = (root / "tests/cases/churn.yaml").read_bytes() + (
        b"customProperties:\n  - {property: slipwayQualityFloor, value: {accuracy: 0.9}}\n")
    for number in (1, 2):
        api.register("churn", model, contract + b"# %d\n" % number)
    api.post("/api/models/churn/rollout", {"model": "churn", "to": 2}, 201)
    api.put("/api/models/churn/serving", {"cache": {"max_bytes": "64K"}})
    row = {"customer": "C0001", "tenure": 5, "calls": 10, "plan": "basic"}
    said = {"id": api.predict("churn", row)["predictions"][0]["id"], "label": "leaves",
            "at": "2026-01-01T00:00:00Z"}
    api.post("/feedback", {**said, "values": {"revenue": {"value": 2, "direction": "up"}}})
    api.post("/feedback", {"id": said["id"], "label": "stays"})  # a correction: it is later
    table = re.findall(r'^METRIC\(\w+, "(\w+)"', (root / "src/metrics.def").read_text(), re.M)
    for _ in range(100 * PATIENCE):  # the clock's thread takes a second or two to see a rollout
        helped = re.findall(r"^# HELP (\S+) ", api.get("/metrics").text, re.M)
        if sorted(table) == sorted(helped):
            break
        time.sleep(0.1)
    assert sorted(set(table) - set(helped)) == []
    assert sorted(table) == sorted(helped)


def test_a_callers_id_comes_back_and_a_new_one_is_made_without(triage):
    reply = triage.api.call("POST", "/predict/triage", 200, json=REQUEST,
                            headers={"X-Request-Id": "order-17/3"})
    assert reply.headers["X-Request-Id"] == "order-17/3"
    assert reply.json()["request_id"] == "order-17/3"
    ids = {triage.api.get("/livez").headers["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "a<b>", '"', "a;b"])
def test_an_id_that_could_forge_a_log_line_is_replaced(triage, bad):
    reply = triage.api.get("/livez", headers={"X-Request-Id": bad})
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["X-Request-Id"])


def test_a_trace_goes_on_with_a_span_of_ours(triage):
    reply = triage.api.get("/livez", headers={"traceparent": TRACE})
    version, trace, span, flags = reply.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE[3:35], "01")
    assert re.fullmatch("[0-9a-f]{16}", span) and span != TRACE[36:52]
    assert reply.headers["X-Request-Id"] == trace


@pytest.mark.parametrize("bad", ["", "00-0-0-0", TRACE.upper(), TRACE + "-x",
                                 "00-" + "0" * 32 + TRACE[35:]])
def test_a_malformed_trace_is_ignored(triage, bad):
    reply = triage.api.get("/livez", headers={"traceparent": bad})
    assert "traceparent" not in reply.headers


def test_health_tells_each_model(triage):
    reply = triage.api.get("/readyz")
    assert "triage ready version=2" in reply.text
    assert triage.api.get("/livez").text == "ok\n"


def test_a_champion_that_cannot_be_loaded_is_not_ready_but_alive(server):
    api = Api(server.url)
    register_triage(api, 1)
    digest = api.get("/api/models/triage/versions/1").json()["artifact"]
    server.stop()
    blob = next(file for file in server.data.rglob("*") if digest[2:] in file.name)
    blob.unlink()
    server.start(wait=False)
    server.wait_ready("/livez")
    status, body = server.get("/readyz")
    assert status == 503
    assert "triage not-ready version=1" in body
    assert Api(server.url).predict("triage", REQUEST, 503)["code"] == "unavailable"
    assert server.get("/v2/health/ready")[0] == 503
    assert server.get("/v2/models/triage/ready")[0] == 503


def test_openapi_document_is_valid_and_complete(triage):
    validator = pytest.importorskip("openapi_spec_validator")
    document = triage.api.get("/openapi.json").json()
    validator.validate(document)
    for path in ("/predict/{model}", "/v2/models/{model}/infer", "/api/models/{model}/rollback"):
        assert path in document["paths"]


def test_every_documented_route_exists_and_no_other(triage, root):
    """docs/api.md is written by hand; the table is what serves."""
    text = (root / "docs/api.md").read_text(encoding="utf-8")
    served = {(method.upper(), path) for path, operations in
              triage.api.get("/openapi.json").json()["paths"].items() for method in operations}
    documented, method = set(), None
    for row in re.findall(r"^\| ((?:[A-Z]+) `/.*?) \|", text, re.M):
        for word, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE|HEAD)\b|`(/[^`]*)`", row):
            method = word or method
            documented |= {(method, option) for option in expand(path)} if path else set()
    assert served - documented == set()
    assert documented - served == set()


def expand(path):
    """/a[/b]/c -> /a/c and /a/b/c"""
    match = re.fullmatch(r"(.*)\[(.*)\](.*)", path)
    return [match[1] + match[3], match[1] + match[2] + match[3]] if match else [path]


def test_curl_as_the_readme_has_it(triage):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    done = subprocess.run(["curl", "-s", "-d", f"@{EXAMPLE}/request.json",
                           f"{triage.url}/predict/triage"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert '"label":"malignant"' in done.stdout


def test_no_payload_and_no_key_is_in_the_log(server):
    api = Api(server.url)
    register_triage(api, 1)
    api.predict("triage", {**REQUEST, "mean_radius": "a-secret-value"}, 422)
    secret = api.post("/api/keys", {"name": "k", "scopes": "admin"}, 201).json()["key"]
    Api(server.url, secret).get("/api/models")
    server.stop()
    log = server.log_text()
    assert "a-secret-value" not in log
    assert secret[-20:] not in log
    assert all("=" in line for line in log.splitlines() if line.strip())
