"""What can go wrong: each error has what the server said, field by field."""
import json


class SlipwayError(Exception):
    """The server refused. Fields are those of its application/problem+json (RFC 9457).

    status      HTTP status
    code        the server's short word, such as "not_found"; None from /v2
    title       the status in words
    detail      what failed, on which thing
    hint        what to do about it, or None
    request_id  what the server's log and records call this request
    violation   for a broken contract: {"model", "version", "row", "field", "rule", "expected", ...}
    problem     the whole object, with members this class does not name
    """

    def __init__(self, status, problem, request_id=None):
        self.status = status
        self.problem = problem
        self.code = problem.get("code")
        self.title = problem.get("title")
        self.detail = problem.get("detail") or problem.get("error") or self.title or ""
        self.hint = problem.get("hint")
        self.request_id = problem.get("request_id") or request_id
        self.violation = problem.get("violation")
        super().__init__(self._text())

    def _text(self):
        text = f"{self.status} {self.code}: {self.detail}" if self.code else \
            f"{self.status}: {self.detail}"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return text

    @classmethod
    def of_reply(cls, status, body, request_id):
        """From the bytes of a reply, whatever a proxy in between made of them."""
        try:
            problem = json.loads(body)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {"detail": body[:200].decode(errors="replace").strip()}
        return cls(status, problem, request_id)


class ConnectionFailed(SlipwayError):
    """No reply came: the server does not run there, or left in between."""

    def __init__(self, server, reason):
        problem = {"code": "connection_failed", "detail": f"{server}: {reason}",
                   "hint": "does the server run there? GET /livez answers when it does"}
        super().__init__(0, problem)

    def _text(self):
        return f"{self.detail}\n  hint: {self.hint}"


class Held(SlipwayError):
    """Not a failure: a person decides first. `Client.held(error.id)` tells what became of it."""

    def __init__(self, reply, request_id):
        self.id = reply["id"]
        self.predictions = reply["predictions"]
        problem = {"code": "held", "request_id": request_id,
                   "detail": f"prediction {self.id} waits for a person",
                   "hint": "ask for it later with Client.held(id)"}
        super().__init__(202, problem)
