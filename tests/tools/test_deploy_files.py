"""The files of deploy/: what their own tools say of them, and whether they name what there is.

What could break: a unit that systemd does not load or that is less confined than it says, a rule or
a panel about a metric that was renamed, and that is empty without a word from then on.
"""
import json
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
EXPOSURE_MAX = 2.8  # of 10, where 10 is a service without any confinement

METRIC = re.compile(r'METRIC\(\w+, "(\w+)", (\w+),\s*"([\w,]*)"')
NAME = re.compile(r"(?<![\w:])[a-zA-Z_][\w]*(?::[\w:]+)?")
# Of every series, by the scraper; of Slipway's expressions all else must come from metrics.def.
OUTER_LABELS = {"instance", "job"}
WORDS = {"sum", "rate", "by", "and", "on", "time", "topk", "histogram_quantile", "changes",
         "increase", "round", "label_values"}


def metrics():
    """{name as Prometheus sees it: labels}"""
    found = {}
    for name, kind, labels in METRIC.findall((ROOT / "src/metrics.def").read_text()):
        labels = set(filter(None, labels.split(",")))
        if kind == "HISTOGRAM":
            found.update({f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels,
                          f"{name}_count": labels})
        else:
            found[name] = labels
    return found


def rules(file):
    return [rule for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
            for rule in group["rules"]]


def recorded():
    """{name: labels}: those that its expression sums by."""
    return {rule["record"]: set(re.search(r"by \(([\w, ]+)\)", rule["expr"])[1].split(", "))
            - {"le"} for rule in rules("rules.yaml") if "record" in rule}


def panels():
    board = json.loads((DEPLOY / "grafana/slipway.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions():
    """[(where, expression)]"""
    board = json.loads((DEPLOY / "grafana/slipway.json").read_text())
    return ([(file, rule["expr"]) for file in ("rules.yaml", "alerts.yaml")
             for rule in rules(file)]
            + [(panel["title"], target["expr"]) for panel in panels()
               for target in panel["targets"]]
            + [("variable", variable["query"]["query"])
               for variable in board["templating"]["list"] if variable["type"] == "query"]
            + [("annotation", one["expr"]) for one in board["annotations"]["list"]])


def run(*args, **options):
    return subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=60,
                          check=False, **options)


def needs(tool):
    return pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed")


# ---- systemd ----

@needs("systemd-analyze")
def test_systemd_loads_the_units(tmp_path):
    """As they are, but for the program, which is not in /usr/bin here."""
    program = shutil.which("true")
    for name in ("slipway.service", "slipway.socket"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/slipway", program))
    done = run("systemd-analyze", "verify", "--man=no", tmp_path / "slipway.service",
               tmp_path / "slipway.socket")
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr


@needs("systemd-analyze")
def test_the_service_is_confined():
    done = run("systemd-analyze", "security", "--offline=true", DEPLOY / "slipway.service")
    found = re.search(r"Overall exposure level for slipway.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE_MAX, done.stdout


# ---- Prometheus ----

@needs("promtool")
def test_prometheus_takes_its_files():
    for args in (["check", "rules", PROMETHEUS / "rules.yaml", PROMETHEUS / "alerts.yaml"],
                 ["check", "config", "--syntax-only", PROMETHEUS / "prometheus.yaml"],
                 ["test", "rules", PROMETHEUS / "rules_test.yaml"]):
        done = run("promtool", *args)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_prometheus_and_grafana_read_is_there():
    given = {path.name for path in PROMETHEUS.iterdir()}
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    assert set(config["rule_files"]) <= given
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    mounts = [mount.split(":")[0] for service in compose["services"].values()
              for mount in service["volumes"]]
    for mount in mounts:
        if mount.startswith("./") and mount != "./slipway.key":  # made by hand, as it says
            assert (DEPLOY / mount).exists(), mount
        elif not mount.startswith("./"):
            assert mount in compose["volumes"]
    sources = DEPLOY / "grafana/provisioning/datasources/prometheus.yaml"
    source = yaml.safe_load(sources.read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


# ---- metrics ----

def test_every_metric_that_is_read_exists():
    known = metrics().keys() | recorded().keys() | {"up"}
    for where, expression in expressions():
        bare = re.sub(r'"[^"]*"|\[[^]]*\]|\{\{|\}\}', "", expression)
        bare = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", bare)
        names = {name for name in NAME.findall(bare) if not name.isdigit()} - WORDS
        names -= {"instance", "model"} if expression.startswith("label_values") else set()
        assert names, f"{where}: {expression}"
        assert names <= known, f"{where}: {names - known}"


def test_every_label_that_is_read_exists():
    tables = {**metrics(), **recorded(), "up": set()}
    for where, expression in expressions():
        for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", expression):
            used = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\"", matchers))
            assert used <= tables[name] | OUTER_LABELS, f"{where}: {name} {used}"
        of_all = set.union(*(tables[name] for name in re.findall(r"[\w:]+", expression)
                             if name in tables))
        for labels in re.findall(r"by \(([\w, ]+)\)", expression):
            used = set(labels.split(", "))
            assert used <= of_all | OUTER_LABELS, f"{where}: by {used - of_all}"


def test_the_metrics_reader_sees_a_wrong_name():
    """The tests above can fail."""
    assert "slipway_requests_total" in metrics()
    assert "slipway_request_duration_seconds_bucket" in metrics()
    assert metrics()["slipway_requests_total"] == {"model", "version", "code"}
    assert "slipway_request_seconds" not in metrics()
    assert len(metrics()) > 80 and len(expressions()) > 60


def test_the_dashboard_is_whole():
    board = json.loads((DEPLOY / "grafana/slipway.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    assert used == variables
    for panel in panels():
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            by = re.findall(r"by \(([\w, ]+)\)", target["expr"])
            if by:
                assert shown <= set(by[0].split(", ")), panel["title"]
