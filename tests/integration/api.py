"""The HTTP API in short words, and the example model, for the tests in this folder."""
import csv
import hashlib

import requests

from server import ROOT

EXAMPLE = ROOT / "examples/triage"
TIMEOUT_SECONDS = 60


class Api:
    """Calls on one server; `expect` is the status that must come back."""

    def __init__(self, url, key=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method, path, expect=None, **options):
        reply = self.session.request(method, self.url + path, timeout=TIMEOUT_SECONDS, **options)
        if expect is not None:
            assert reply.status_code == expect, \
                f"{method} {path}: {reply.status_code}, expected {expect}\n{reply.text}"
        return reply

    def get(self, path, expect=200, **options):
        return self.call("GET", path, expect, **options)

    def post(self, path, body=None, expect=200, **options):
        return self.call("POST", path, expect, json=body, **options)

    def put(self, path, body=None, expect=200, **options):
        return self.call("PUT", path, expect, json=body, **options)

    def upload(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self.call("PUT", f"/api/blobs/{digest}", 201, data=data)
        return digest

    def register(self, model, artifact, contract=None, golden=None, expect=201, **fields):
        """Upload the files (bytes), register a version, return the reply as JSON."""
        body = {"owner": "lab@example.org", "artifact": self.upload(artifact), **fields}
        if contract is not None:
            body["contract"] = self.upload(contract)
        if golden is not None:
            body["golden"] = self.upload(golden)
        body = {name: value for name, value in body.items() if value is not None}
        return self.post(f"/api/models/{model}/versions", body, expect).json()

    def set_alias(self, model, alias, version, expect=200, **options):
        return self.put(f"/api/models/{model}/aliases/{alias}", {"version": version}, expect,
                        **options)

    def champion(self, model):
        return self.get(f"/api/models/{model}/aliases/champion").json()["version"]

    def rollback(self, model, expect=200, **options):
        return self.post(f"/api/models/{model}/rollback", {}, expect, **options).json()

    def predict(self, model, body, expect=200, **options):
        return self.post(f"/predict/{model}", body, expect, **options).json()

    def serving(self, model="triage"):
        """The version that answers now."""
        return self.predict(model, REQUEST)["version"]


def read(name):
    return (EXAMPLE / name).read_bytes()


def golden_rows(name="golden.csv"):
    """([{field: number}, ...], [probability of malignant, ...]) as XGBoost itself computed them."""
    with open(EXAMPLE / name, newline="", encoding="ascii") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return rows, [row.pop("score") for row in rows]


REQUEST = {name: value for name, value in golden_rows()[0][0].items()}
FIELDS = list(REQUEST)


def numbered(contract, number):
    """The same contract in other bytes, so that it makes another version."""
    return contract + f"# {number}\n".encode()


def register_triage(api, count=2, model="triage"):
    """Versions 1 (20 trees), 2 (100 trees), 1 again, ...; each was champion, the last one is."""
    contract = read("contract.yaml")
    for number in range(1, count + 1):
        suffix = "_v1" if number % 2 else ""
        reply = api.register(model, read(f"model{suffix}.ubj"), numbered(contract, number),
                             read(f"golden{suffix}.csv"), note=f"version {number}")
        assert reply["version"] == number
        api.set_alias(model, "champion", number)
