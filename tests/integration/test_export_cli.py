"""The command line's export of kept predictions, and what takes it.

What could break: JSON lines that the command line takes for one JSON document.
"""
import json

from api import ROOT, Api

CASES = ROOT / "tests/cases"
ROLLOUT = "model: churn\nto: 2\nsteps:\n  - {do: canary, weight: 50%}\n  - {do: promote}\n"


def test_json_lines_are_exported_and_simulated(server, cli, tmp_path):
    api = Api(server.url)
    api.register("churn", (CASES / "churn.json").read_bytes(), (CASES / "churn.yaml").read_bytes(),
                 (CASES / "churn.csv").read_bytes())
    answers = [api.predict("churn", {"customer": f"C000{i}", "tenure": 7})["predictions"][0]
               for i in range(3)]
    log, rollout = tmp_path / "log.jsonl", tmp_path / "rollout.yaml"
    server.cli("prediction", "export", "churn", "--out", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == sorted(answer["id"] for answer in answers)
    rollout.write_text(ROLLOUT)
    simulated = cli("rollout", "simulate", rollout, "--log", log)
    assert simulated.out.startswith("3 requests over "), simulated
