"""Requests in the pages on protocols and the guides, sent as they stand: replies are as printed.

What could break: a page that shows what the program does not say. Only replies that are shown whole
are compared; ids and times are not.
"""
import json
import re
import shutil
import subprocess

import pytest

from api import Api, register_triage
from server import ROOT, Server, free_port

pytestmark = [pytest.mark.once,
              pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")]
# More lines of a command, or of its reply, are indented further.
REQUEST = re.compile(r"^ +\$ (curl -s .*\n(?: {8,}.*\n)*)( +[{\[].*\n(?: {5,}.*\n)*)", re.M)
PAGES = ["docs/protocols/rows.md", "docs/protocols/oip.md", "docs/protocols/v1.md",
         "docs/protocols/mlflow.md", "docs/protocols/triton.md", "docs/coming-from/tf-serving.md"]
ANEW = {"request_id", "id", "last_inference"}


def requests_of(page):
    for command, reply in REQUEST.findall((ROOT / page).read_text(encoding="utf-8")):
        if "..." not in reply and "/stats" not in command and "..." not in command:
            yield command, json.loads(reply)


def without_ids(value):
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key not in ANEW}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The example's model, and the one of the guide from TensorFlow Serving."""
    with free_port() as port:
        server = Server(tmp_path_factory.mktemp("pages") / "data", port,
                        ["--invocations-model", "triage"]).start()
        api = Api(server.url)
        register_triage(api)
        api.register("half_plus_two", (ROOT / "tests/golden/tf/half_plus_two.onnx").read_bytes())
        yield server
        status = server.stop()
        server.check_clean()
        assert status == 0


@pytest.mark.parametrize("page", PAGES)
def test_replies_are_those_of_the_page(served, page):
    found = list(requests_of(page))
    assert found
    for command, expected in found:
        if page.endswith("tf-serving.md") and '"inputs": [[' in command:  # step 3
            Api(served.url).put("/api/models/half_plus_two/serving", {"v1": {"inputs": "columns"}})
        line = command.replace("127.0.0.1:8080", f"127.0.0.1:{served.port}")
        done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True,
                              timeout=60, check=True)
        assert without_ids(json.loads(done.stdout)) == without_ids(expected), command
