"""A real HTTP receiver on a free loopback port: keeps what it gets, answers as a test says."""
import contextlib
import http.server
import threading
import time


class Receiver:
    """`answer(request)` returns (status, headers) or None for 204; requests are kept in order."""

    def __init__(self):
        self.requests = []
        self.answer = lambda request: None
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, dict(self.headers), body)
                with receiver.lock:
                    receiver.requests.append(request)
                    status, headers = receiver.answer(request) or (204, {})
                    request.status = status
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def taken(self):
        """What was answered with 2xx."""
        with self.lock:
            return [request for request in self.requests if 200 <= request.status < 300]

    def wait_for(self, condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                found = condition(list(self.requests))
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not after {seconds} s; got {len(self.requests)} requests")


class Request:
    def __init__(self, path, headers, body):
        self.path = path
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        self.status = 0


@contextlib.contextmanager
def receiving():
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True,
                              kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
