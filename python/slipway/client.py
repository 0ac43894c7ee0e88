"""Client: every call of a Slipway server that a program needs, and `call` for the others."""
import hashlib
import json
import os
import pathlib
import uuid

from . import export, memory, oip
from .errors import Held, SlipwayError
from .times import to_time
from .transport import Transport, query, quote, to_json

DEFAULT_SERVER = "http://127.0.0.1:8080"
JSON = {"Content-Type": "application/json"}


def read_key(text):
    """A key as it is, or @FILE that has it: a file does not show in lists of processes."""
    return pathlib.Path(text[1:]).read_text(encoding="ascii").strip() \
        if text and text.startswith("@") else text


def read_file(source):
    """Bytes as they are; anything else is the path of a file."""
    return bytes(source) if isinstance(source, (bytes, bytearray)) else \
        pathlib.Path(source).read_bytes()


class Client:
    """A server: `http://host:port`, `https://...` or `unix:/path/of/slipway.sock`.

    server   else SLIPWAY_SERVER, else http://127.0.0.1:8080
    key      API key or @FILE; else SLIPWAY_KEY
    timeout  seconds without a byte before a call fails

    Threads may share one client. Every call raises SlipwayError when the server refuses.
    """

    def __init__(self, server=None, key=None, timeout=30, ssl_context=None):
        server = server or os.environ.get("SLIPWAY_SERVER") or DEFAULT_SERVER
        key = read_key(key or os.environ.get("SLIPWAY_KEY"))
        self.transport = Transport(server, key, timeout, ssl_context)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close this thread's connection; the next call opens one."""
        self.transport.close()

    def call(self, method, path, body=None, headers=None):
        """Any route of docs/api.md; `body` becomes JSON. What the reply's JSON says, or bytes."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body, headers = to_json(body), {**JSON, **headers}
        if method != "GET" and path.startswith("/api/"):
            headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        _, reply_headers, data = self.transport.request(method, path, body, headers)
        is_json = "json" in reply_headers.get("Content-Type", "") and \
            "jsonl" not in reply_headers.get("Content-Type", "")
        return json.loads(data) if is_json and data else data

    # ---- predictions ----

    def predict(self, model, rows, version=None, routing_key=None, request_id=None):
        """Rows by field names. One dict gives one prediction, a list of dicts a list of them.

        routing_key keeps a client with one version of a rollout. Held when a person decides first.
        """
        path = f"/predict/{quote(model)}" + (f"/versions/{quote(version)}" if version else "")
        body = to_json({"rows": [rows] if isinstance(rows, dict) else list(rows)})
        headers = {**JSON, **({"X-Routing-Key": routing_key} if routing_key else {}),
                   **({"X-Request-Id": request_id} if request_id else {})}
        status, reply_headers, data = self.transport.request("POST", path, body, headers)
        reply = json.loads(data)
        if status == 202:
            raise Held(reply, reply_headers.get("X-Request-Id"))
        return reply["predictions"][0] if isinstance(rows, dict) else reply["predictions"]

    def held(self, held_id):
        """What became of a prediction that waits for a person."""
        return self.call("GET", f"/api/review/held/{quote(held_id)}")

    def infer(self, model, inputs, outputs=None, version=None, parameters=None):
        """Tensors by the Open Inference Protocol.

        inputs: {"name": nested lists or a NumPy array}. {"name": nested lists} comes back.
        outputs: names; or {"name": region.room(...)}, what comes back is in the region then.
        """
        path = f"/v2/models/{quote(model)}" + (f"/versions/{quote(version)}" if version else "")
        rooms = outputs if isinstance(outputs, dict) else {}
        body = {"inputs": [value.to_tensor(name) if isinstance(value, memory.Placed) else
                           oip.to_tensor(name, value) for name, value in inputs.items()]}
        if outputs:
            body["outputs"] = [rooms[name].to_output(name) if rooms.get(name) else {"name": name}
                               for name in outputs]
        if parameters:
            body["parameters"] = parameters
        reply = self.call("POST", path + "/infer", body)
        return {tensor["name"]: rooms[tensor["name"]].view(tensor) if rooms.get(tensor["name"])
                else oip.nested(tensor) for tensor in reply["outputs"]}

    def region(self, size, name=None):
        """Shared memory for tensors of infer, for this thread; memory.py."""
        return memory.Region(self.transport, size, name or f"region-{uuid.uuid4()}")

    # ---- what came true ----

    def feedback(self, *items, model=None):
        """Each item is a dict as docs/feedback.md has it:

            client.feedback({"id": prediction["id"], "label": "yes"})
            client.feedback({"key": "C1234", "values": {"revenue": 12.5}}, model="churn")
        """
        body = items[0] if len(items) == 1 else {"items": list(items)}
        return self.call("POST", "/feedback" + query(model=model), body)

    def feedback_csv(self, source, model=None):
        """A CSV file (path or bytes) whose first line names the members."""
        return self.call("POST", "/feedback" + query(model=model), read_file(source),
                         {"Content-Type": "text/csv"})

    def quality(self, model, version=None, since=None, until=None):
        return self.call("GET", f"/api/models/{quote(model)}/quality" +
                         query(version=version, **{"from": to_time(since)}, to=to_time(until)))

    # ---- registry ----

    def models(self):
        return self.call("GET", "/api/models")["models"]

    def model(self, model):
        """With its aliases and champion."""
        return self.call("GET", f"/api/models/{quote(model)}")

    def versions(self, model):
        """Newest first, asked for page by page as they are consumed."""
        path, before, limit = f"/api/models/{quote(model)}/versions", None, 100
        while True:
            page = self.call("GET", path + query(before=before, limit=limit))["versions"]
            yield from page
            if len(page) < limit:
                return
            before = page[-1]["version"]

    def version(self, model, version):
        """`version` is a number, "latest" or an alias."""
        return self.call("GET", f"/api/models/{quote(model)}/versions/{quote(version)}")

    def alias(self, model, alias):
        return self.call("GET", f"/api/models/{quote(model)}/aliases/{quote(alias)}")

    def set_alias(self, model, alias, version, reason=None, if_revision=None):
        """if_revision: only when nobody moved it since it had that revision."""
        headers = {} if if_revision is None else {"If-Match": f'"{if_revision}"'}
        body = {"version": version, **({"reason": reason} if reason else {})}
        return self.call("PUT", f"/api/models/{quote(model)}/aliases/{quote(alias)}", body, headers)

    def rollback(self, model, reason=None):
        """The version before answers again; a rollout that runs ends."""
        return self.call("POST", f"/api/models/{quote(model)}/rollback",
                         {"reason": reason} if reason else {})

    def upload(self, source):
        """Bytes or a path; the SHA-256 under which the server has them now."""
        data = read_file(source)
        digest = hashlib.sha256(data).hexdigest()
        try:
            self.call("HEAD", f"/api/blobs/{digest}")
        except SlipwayError as error:
            if error.status != 404:
                raise
            self.call("PUT", f"/api/blobs/{digest}", data)
        return digest

    def register(self, model, artifact, contract=None, golden=None, owner=None, **members):
        """A new version. Files are paths or bytes; members are those of docs/api.md: runtime, note,
        lineage, alias, if_revision."""
        body = {"artifact": self.upload(artifact), "owner": owner, **members}
        for name, source in (("contract", contract), ("golden", golden)):
            body[name] = None if source is None else self.upload(source)
        body = {name: value for name, value in body.items() if value is not None}
        return self.call("POST", f"/api/models/{quote(model)}/versions", body)

    # ---- rollouts ----

    def start_rollout(self, model, file):
        """file: bytes or the path of a rollout file."""
        return self.call("POST", f"/api/models/{quote(model)}/rollout", read_file(file), JSON)

    def rollout(self, model):
        """The newest one with what its guards have seen."""
        return self.call("GET", f"/api/models/{quote(model)}/rollout")

    # ---- kept predictions ----

    def predictions(self, model, since=None, until=None, version=None):
        """Kept rows in order, as dicts, fetched page by page as they are consumed."""
        for line in export.lines(self, model, since, until, version, "jsonl"):
            yield json.loads(line)

    def export_predictions(self, model, path, since=None, until=None, version=None, format=None):
        """Write kept predictions to `path`; returns the number of rows.

        format        "jsonl", "csv" or "parquet"; else what the end of `path` says
        since, until  datetime with a zone, timedelta (that long ago), or RFC 3339 text

        Memory stays bounded however long the export is. The file appears when it is whole.
        """
        return export.export(self, model, path, since, until, version, format)
