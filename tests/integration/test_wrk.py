"""wrk as it is, over HTTP/1.1 with connections that stay open: every answer is a 200.

What could break: a reply whose length is not what follows, a connection that is closed under load.
"""
import json
import re
import shutil
import subprocess

import pytest

from api import REQUEST
from server import COMMAND_SECONDS_MAX

pytestmark = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
SCRIPT = """wrk.method = "POST"
wrk.body = '%s'
"""


@pytest.mark.parametrize("path, body", [
    ("/predict/triage", REQUEST),
    ("/v1/models/triage:predict", {"instances": [REQUEST]}),
    ("/v2/models/triage/infer", {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32",
                                             "data": list(REQUEST.values())}]})])
def test_every_answer_is_good(triage, tmp_path, path, body):
    script = tmp_path / "post.lua"
    script.write_text(SCRIPT % json.dumps(body))
    done = subprocess.run(["wrk", "-t1", "-c16", "-d1s", "-s", script, triage.url + path],
                          capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=True)
    assert int(re.search(r"(\d+) requests in", done.stdout)[1]) > 10
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
