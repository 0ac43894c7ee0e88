"""Makes each .case file a pytest test; README.md in this folder is the format."""
import http.client
import pathlib
import re
import shlex
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from server import ROOT, Server, free_port  # noqa: E402

ANY = "{*}"
MARKS = {"$": "command", "=": "out", "!": "err", "?": "status", ">": "request", "<": "response"}


def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".case":
        return CaseFile.from_parent(parent, path=file_path)
    return None


class CaseFile(pytest.File):
    def collect(self):
        yield Case.from_parent(self, name=self.path.stem)


class Mismatch(Exception):
    """An answer that is not the expected one: where, and both texts."""


def read_steps(text):
    """[{"command"|"request": [lines], "out": ..., "line": number}], in file order."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        kind = MARKS.get(line[:1]) if line[1:2] in ("", " ") else None
        if kind is None:
            continue
        previous = steps[-1] if steps else {}
        starts = kind == "command" or (kind == "request" and (
            "request" not in previous or "response" in previous))
        if starts:
            steps.append({"line": number})
        elif not steps:
            raise Mismatch(f"line {number}: '{line[:1]}' before any command or request")
        steps[-1].setdefault(kind, []).append(line[2:])
    return steps


def matches(expected, got):
    pattern = ".*".join(re.escape(part) for part in expected.split(ANY))
    return re.fullmatch(pattern, got) is not None


def expect(what, line, expected, got):
    if not matches(expected, got):
        raise Mismatch(f"line {line}: {what} is\n{got}\nexpected\n{expected}")


def head_and_body(lines):
    """Lines up to the first empty one, and the rest joined, or None without an empty one."""
    if "" not in lines:
        return lines, None
    end = lines.index("")
    return lines[:end], "\n".join(lines[end + 1:])


def run_command(step, server, fill):
    got = server.cli(*shlex.split(fill(step["command"][0])), check=False)
    status = int(step.get("status", ["0"])[0])
    if got.status != status:
        raise Mismatch(f"line {step['line']}: exit status {got.status}, expected {status}\n{got}")
    for name, text in (("out", got.out), ("err", got.err)):
        if name in step:
            expect(f"std{name}", step["line"], fill("\n".join(step[name])), text.removesuffix("\n"))


def send(lines, server):
    head, body = head_and_body(lines)
    method, path = head[0].split(" ", 1)
    headers = [line.split(": ", 1) for line in head[1:]]
    names = {name.lower() for name, _ in headers}
    data = (body or "").encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data or None)
        answer = connection.getresponse()
        return answer, answer.read().decode(errors="replace")
    finally:
        connection.close()


def run_request(step, server, fill):
    answer, got_body = send([fill(line) for line in step["request"]], server)
    if "response" not in step:
        raise Mismatch(f"line {step['line']}: a request without a response ('< 200')")
    head, body = head_and_body([fill(line) for line in step["response"]])
    where = f"{answer.status} {answer.reason}\n{answer.headers}{got_body}"
    if str(answer.status) != head[0].split(" ")[0]:
        raise Mismatch(f"line {step['line']}: expected {head[0]}, got\n{where}")
    for line in head[1:]:
        name, value = line.split(": ", 1)
        expect(f"header {name}", step["line"], value, answer.headers.get(name, "(absent)"))
    if body is not None:
        expect("body", step["line"], body, got_body.removesuffix("\n"))


class Case(pytest.Item):
    def runtest(self):
        steps = read_steps(self.path.read_text(encoding="utf-8"))
        if not steps:
            raise Mismatch("the file holds no command and no request")
        with tempfile.TemporaryDirectory() as folder, free_port() as port:
            server = Server(pathlib.Path(folder) / "data", port).start()
            values = {"{root}": str(ROOT), "{data}": str(server.data), "{port}": str(port)}

            def fill(text):
                for name, value in values.items():
                    text = text.replace(name, value)
                return text

            try:
                for step in steps:
                    (run_command if "command" in step else run_request)(step, server, fill)
            finally:
                status = server.stop()
            server.check_clean()
            if status != 0:
                raise Mismatch(f"the server ended with status {status}")

    def repr_failure(self, excinfo):
        if excinfo.errisinstance((Mismatch, AssertionError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, 0, self.name
