"""slipway replay: kept requests asked of another version, by the program on a server and a folder.

What could break: a difference that is none or one that is missed, a request that is asked otherwise
than it came, a replay that counts as traffic. Expected differences are those of XGBoost's own
scores (examples/triage/golden*.csv), or of linear models by arithmetic.
"""
import csv
import json

import pytest

from api import Api, golden_rows, register_triage
from test_lane import SLOW, infer_body

ROWS, SCORES = golden_rows("golden.csv")
ROWS_V1, SCORES_V1 = golden_rows("golden_v1.csv")

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: price
name: Price
version: 1.0.0
status: active
schema:
  - name: offer
    logicalType: object
    properties:
      - {name: a, logicalType: number, required: true%s}
      - {name: b, logicalType: number%s}
      - name: region
        logicalType: string
        customProperties: [{property: slipwayRole, value: segment}]
      - name: customer
        logicalType: string
        classification: pii
        logicalTypeOptions: {pattern: "^c-[0-9]+$"}
        customProperties: [{property: slipwayRole, value: key}]
      - name: price
        logicalType: number
        customProperties: [{property: slipwayRole, value: prediction}]
"""


def linear(weights, intercept):
    return json.dumps({"format": "slipway-linear", "version": 1,
                       "features": [{"name": "a"}, {"name": "b"}], "weights": weights,
                       "intercept": intercept}).encode()


def contract(a="", b=""):
    return (CONTRACT % (a, b)).encode()


def replay(cli, target, *args, status=0):
    """The report as JSON."""
    where = ["--server", target.url] if hasattr(target, "url") else ["--data", target]
    done = cli("replay", *args, "--json", *where, check=False)
    assert done.status == status, done
    return json.loads(done.out)


def offer(i):
    return {"a": float(i), "b": 2.0 * i, "region": "north" if i % 3 else "south",
            "customer": f"c-{i}"}


@pytest.fixture
def priced(server):
    """Version 1 says a + b, version 2 says a + b + a / 10; 30 offers answered by version 1."""
    server.api = Api(server.url)
    server.api.register("price", linear([1.0, 1.0], 0.0), contract())
    server.api.register("price", linear([1.1, 1.0], 0.0), contract() + b"# 2\n")
    server.api.set_alias("price", "champion", 1)
    server.ids = [server.api.predict("price", offer(i))["predictions"][0]["id"] for i in range(30)]
    return server


def test_a_version_agrees_with_itself_and_nothing_is_counted(priced, cli):
    api = priced.api
    exported = api.get("/api/models/price/predictions").text
    counters = ("slipway_prediction_rows_total", 'slipway_requests_total{model="price"')
    before = [line for line in api.get("/metrics").text.splitlines() if line.startswith(counters)]
    report = replay(cli, priced, "price", "--to", 1)
    assert (report["asked"], report["changes"]["exact"], report["same"]) == (30, 30, True)
    assert report["differences"] == {"p50": 0, "p90": 0, "p99": 0, "max": 0}
    assert report["worst"] == [] and sum(report["skipped"].values()) == 0
    replay(cli, priced, "price", "--to", 2, status=1)
    metrics = api.get("/metrics").text
    assert all(line in metrics for line in before) and len(before) >= 2
    assert api.get("/api/models/price/predictions").text == exported


def test_differences_are_those_of_the_arithmetic(priced, cli, tmp_path):
    """Row i: 3 i then, 3.1 i now; apart by 0.1 i / max(1, 3.1 i): 0 for row 0, else 1 / 31."""
    out = tmp_path / "rows.csv"
    report = replay(cli, priced, "price", "--to", 2, "--out", out, status=1)
    changes = report["changes"]
    assert (report["asked"], changes["exact"], changes["changed"]) == (30, 1, 29)
    for name in ("p50", "p90", "p99", "max"):
        assert report["differences"][name] == pytest.approx(1 / 31, rel=1e-5)
    assert report["segments"] == [{"segment": "region=south", "rows": 10, "changed": 9},
                                  {"segment": "region=north", "rows": 20, "changed": 20}]
    assert len(report["worst"]) == 10
    rows = list(csv.DictReader(out.open()))
    assert [row["id"] for row in rows] == priced.ids
    for i, row in enumerate(rows):
        assert float(row["was_value"]) == pytest.approx(3 * i, rel=1e-6)
        assert float(row["now_value"]) == pytest.approx(3.1 * i, rel=1e-6)
    lines = tmp_path / "rows.jsonl"
    replay(cli, priced, "price", "--to", 2, "--out", lines, status=1)
    assert [json.loads(line)["id"] for line in lines.open()] == priced.ids


def test_what_is_allowed_decides_the_status(priced, cli):
    assert replay(cli, priced, "price", "--to", 2, "--tolerance", 0.04)["changes"]["within"] == 29
    replay(cli, priced, "price", "--to", 2, "--max-changed", 29)
    replay(cli, priced, "price", "--to", 2, "--max-changed", 28, status=1)
    replay(cli, priced, "price", "--to", 2, "--max-changed", "97%")
    replay(cli, priced, "price", "--to", 2, "--max-changed", "96%", status=1)  # 29 of 30: 96.7 %
    assert replay(cli, priced, "price", "--to", 1, "--from", 2, status=2)["asked"] == 0
    assert replay(cli, priced, "price", "--to", 1, "--until", "2026-01-01", status=2)["asked"] == 0
    assert replay(cli, priced, "price", "--to", 1, "--since", "1h", "--limit", 7)["asked"] == 7
    assert replay(cli, priced, "price", "--to", "champion", "--rate", 100000)["asked"] == 30
    for wrong in (["--to", 9], ["--to", 1, "--tolerance", "wide"], ["--to", 1, "--since", "soon"],
                  ["--to", 1, "--max-changed", "few"], ["--to", 1, "--limit", 0]):
        done = cli("replay", "price", *wrong, "--server", priced.url, check=False)
        assert done.status in (2, 3, 8) and done.out == "" and done.err


def test_pages_follow_one_another(priced):
    """Each record once, whatever the page."""
    seen, cursor = [], ""
    for _ in range(100):
        page = priced.api.post("/api/models/price/versions/2/replay?limit=7&all=true" + cursor)
        seen += [row["id"] for row in page.json()["rows"]]
        if "X-Next-Cursor" not in page.headers:
            break
        cursor = "&cursor=" + page.headers["X-Next-Cursor"]
    assert seen == priced.ids
    refused = priced.api.post("/api/models/price/versions/2/replay?cursor=x", None, 400).json()
    assert "cursor" in refused["detail"]


def test_a_stricter_contract_fails_now(priced, cli):
    """Version 3 takes a up to 20: 9 rows are beyond it. Version 4 has no b, which all rows have."""
    api = priced.api
    api.register("price", linear([1.0, 1.0], 0.0), contract(", logicalTypeOptions: {maximum: 20}"))
    report = replay(cli, priced, "price", "--to", 3, status=1)
    assert report["changes"] == {"exact": 21, "within": 0, "changed": 0, "now_fails": 9,
                                 "now_answers": 0, "still_fails": 0}
    assert "'a'" in report["worst"][0]["now"] and "20" in report["worst"][0]["now"]
    without = "".join(line for line in CONTRACT.splitlines(True) if "{name: b," not in line) % ""
    model = json.loads(linear([1.0], 0.0))
    model["features"].pop()
    api.register("price", json.dumps(model).encode(), without.encode())
    report = replay(cli, priced, "price", "--to", 4, status=1)
    assert report["changes"]["now_fails"] == 30
    assert "unknown field 'b'" in report["worst"][0]["now"]
    # What was refused then was not read to its end: it cannot be asked as it came.
    for _ in range(3):
        api.predict("price", {"a": "much", "b": 1}, 422)
    assert replay(cli, priced, "price", "--to", 1)["skipped"]["refused"] == 3


def test_answers_of_classes_are_those_of_the_reference(server, cli, tmp_path):
    """Both versions' scores of these rows were computed by XGBoost itself."""
    server.api = Api(server.url)
    register_triage(server.api, 2)
    assert ROWS == ROWS_V1
    server.api.set_alias("triage", "champion", 1)
    server.api.predict("triage", {"rows": ROWS[:20]})
    server.api.set_alias("triage", "champion", 2)
    server.api.predict("triage", {"rows": ROWS[20:]})
    out = tmp_path / "rows.csv"
    report = replay(cli, server, "triage", "--to", 2, "--tolerance", 0.01, "--out", out, status=1)
    expected = [abs(new - old) for new, old in zip(SCORES[:20], SCORES_V1)] + [0] * (len(ROWS) - 20)
    got = [float(row["difference"]) for row in csv.DictReader(out.open())]
    assert got == pytest.approx(expected, abs=1e-6)
    assert report["changes"]["exact"] == len(ROWS) - 20 + sum(e == 0 for e in expected[:20])
    assert report["changes"]["changed"] == sum(e > 0.01 for e in expected)
    assert report["other_class"] == sum((new >= 0.5) != (old >= 0.5)
                                        for new, old in zip(SCORES[:20], SCORES_V1))
    assert report["differences"]["max"] == pytest.approx(max(expected), abs=1e-6)
    only = replay(cli, server, "triage", "--from", 2, "--to", 2)
    assert only["asked"] == only["changes"]["exact"] == len(ROWS) - 20
    # The same on the folder of a server that is not running.
    server.stop()
    assert replay(cli, server.data, "triage", "--to", 2, "--tolerance", 0.01, status=1) == \
        {**report, "to": "2"}


@pytest.mark.parametrize("policy,classified,asked", [
    ("drop", "", 30), ("pseudonym", "", 30), ("drop", ", classification: health", 0),
    ("pseudonym", ", classification: health", 0), ("keep", ", classification: health", 30)])
def test_inputs_that_were_not_kept_are_not_asked(make_server, cli, policy, classified, asked):
    """A customer's pseudonym would break the contract's pattern, but is no input of the model."""
    server = make_server("--record-redaction", policy)
    api = Api(server.url)
    api.register("price", linear([1.0, 1.0], 0.0), contract(b=classified))
    api.set_alias("price", "champion", 1)
    for i in range(30):
        api.predict("price", offer(i))
    report = replay(cli, server, "price", "--to", 1, status=0 if asked else 2)
    assert (report["asked"], report["skipped"]["redacted"]) == (asked, 30 - asked)
    assert report["changes"]["exact"] == asked


def test_what_was_erased_is_not_asked(priced, cli):
    """One of two rows: the request is not whole any more. One of one: its record is gone."""
    api = priced.api
    api.predict("price", {"rows": [offer(7), offer(8)]})
    api.post("/api/models/price/erase", {"field": "customer", "key": "c-7"})
    report = replay(cli, priced, "price", "--to", 1)
    assert report["asked"] == report["changes"]["exact"] == 29
    assert report["skipped"]["erased"] == 2


@pytest.mark.skipif(not SLOW.exists(), reason="build/MODE/slipway-slow is not built")
def test_what_failed_then_may_be_answered_now(make_server):
    server = make_server(program=SLOW)
    api = Api(server.url)
    for number, settings in enumerate(["call_us=300000", "call_us=0"], 1):
        api.register("m", f"slipway-slow\n{settings}\n".encode())
    api.set_alias("m", "champion", 1)
    for i in range(3):
        api.post("/v2/models/m/infer", infer_body(first=float(i), timeout=1000), 504)
    page = api.post("/api/models/m/versions/2/replay").json()
    assert page["changes"]["now_answers"] == page["asked"] == 3
