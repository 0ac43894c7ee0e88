"""An Open Inference Protocol server on a free loopback port that answers as a test says, or badly.

Its model `sum` takes x FP32 [-1,2] and s BYTES [-1], and gives total FP64 [-1] and text BYTES [-1].
"""
import json
import socket
import struct
import threading

METADATA = {
    "name": "sum", "versions": ["1"], "platform": "stub",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]},
               {"name": "s", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "total", "datatype": "FP64", "shape": [-1]},
                {"name": "text", "datatype": "BYTES", "shape": [-1]}],
}


class Request:
    def __init__(self, head, body):
        line, *lines = head.decode().split("\r\n")
        self.method, self.path, _ = line.split(" ")
        self.headers = {name.lower(): value for name, value in
                        (text.split(": ", 1) for text in lines)}
        self.body = body
        json_bytes = int(self.headers.get("inference-header-content-length", len(body)))
        self.json = json.loads(body[:json_bytes]) if body else None
        self.blobs = body[json_bytes:]


def reply(body, status="200 OK", headers=()):
    """A whole HTTP reply."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def texts(*items):
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def outputs(total, text):
    return {"model_name": "sum", "outputs": [
        {"name": "text", "datatype": "BYTES", "shape": [len(text)], "data": text},
        {"name": "total", "datatype": "FP64", "shape": [len(total)], "data": total}]}


def right(request):
    """The answer as JSON, or in binary when it was asked in binary."""
    rows = request.json["inputs"][0]["shape"][0]
    if "data" in request.json["inputs"][0]:
        x, s = (part["data"] for part in request.json["inputs"])
        return reply(outputs([x[2 * i] + x[2 * i + 1] for i in range(rows)], s))
    x = struct.unpack(f"<{2 * rows}f", request.blobs[:8 * rows])
    total = struct.pack(f"<{rows}d", *(x[2 * i] + x[2 * i + 1] for i in range(rows)))
    echoed = request.blobs[8 * rows:]
    head = json.dumps({"outputs": [
        {"name": "total", "datatype": "FP64", "shape": [rows],
         "parameters": {"binary_data_size": len(total)}},
        {"name": "text", "datatype": "BYTES", "shape": [rows],
         "parameters": {"binary_data_size": len(echoed)}}]}).encode()
    return reply(head + total + echoed,
                 headers=[f"Inference-Header-Content-Length: {len(head)}"])


class Elsewhere:
    """`infer(request, connection)` gives the bytes of the reply; None closes the connection."""

    def __init__(self, extensions=()):
        self.extensions = list(extensions)
        self.metadata = METADATA
        self.infer = lambda request, connection: right(request)
        self.is_ready = True
        self.requests = []
        self.connections = 0
        self.is_over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            while not self.is_over.is_set():
                try:
                    request = self.read(connection)
                    answer = self.answer(request, connection) if request else None
                    if not answer:
                        return
                    connection.sendall(answer)
                except OSError:
                    return

    @staticmethod
    def read(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None
            data += part
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.decode().split("\r\n"):
            if line.lower().startswith("content-length:"):
                length = int(line.split(":")[1])
        while len(body) < length:
            part = connection.recv(65536)
            if not part:
                return None
            body += part
        return Request(head, body)

    def answer(self, request, connection):
        if request.path == "/v2":
            return reply({"name": "stub", "version": "1", "extensions": self.extensions})
        if request.path.endswith("/ready"):
            return reply(b"", "200 OK" if self.is_ready else "503 Service Unavailable")
        if request.path.endswith("/infer"):
            self.requests.append(request)
            return self.infer(request, connection)
        if request.path.endswith("/config"):
            return reply({"error": "Not Found"}, "404 Not Found")
        return reply(self.metadata)
