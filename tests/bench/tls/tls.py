"""TLS: what a client that comes back saves, and what encryption adds to a prediction.

handshakes  ROUNDS times, in turn: COUNT connections that begin anew, COUNT that resume the session
            before, each with one request for /livez; CPU of the server per connection. With the
            usual kind of key, RSA of 2048 bits, and with elliptic curves where both sides show a
            certificate.
requests    `slipway bench` at RATE over http:// and over https://, in turn; CPU of the server per
            prediction
"""
import json
import pathlib
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from servers import PROGRAM, Server, bar, free_port, info, register_triage, slipway

ROUNDS = 7
COUNT = 150
RATE = 3000
RSA = ["-newkey", "rsa:2048"]
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Pair:
    """A server and what its clients need."""

    def __init__(self, folder, name, kind, is_mutual):
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl("req", "-x509", *kind, "-nodes", "-days", 2, "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost", "-keyout", self.key, "-out", self.cert)
        self.context = ssl.create_default_context(cafile=str(self.cert))
        self.port = free_port()
        options = ["--tls-cert", self.cert, "--tls-key", self.key]
        if is_mutual:
            options += ["--tls-client-ca", self.cert]
            self.context.load_cert_chain(str(self.cert), str(self.key))
        data = folder / name
        register_triage(data)
        self.server = Server([PROGRAM, "serve", "--data", data, "--listen",
                              f"127.0.0.1:{self.port}", "--data-threads", 1, *options], self.port)
        for _ in range(500):
            try:
                self.connect(None)
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the server does not answer")

    def connect(self, session):
        with socket.create_connection(("127.0.0.1", self.port), 10) as raw:
            with self.context.wrap_socket(raw, server_hostname="localhost",
                                          session=session) as sock:
                sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while sock.recv(65536):
                    pass
                return sock.session, sock.session_reused

    def cpu_us(self, resumes):
        """Of one connection."""
        session, _ = self.connect(None)
        before = self.server.cpu_ns()
        for _ in range(COUNT):
            fresh, reused = self.connect(session if resumes else None)
            assert reused == resumes
            session = fresh if resumes else None
        return (self.server.cpu_ns() - before) / COUNT / 1e3


def handshakes(pair, name, bound):
    ratios, fulls, resumed = [], [], []
    for _ in range(ROUNDS):
        full, again = pair.cpu_us(False), pair.cpu_us(True)
        fulls.append(full)
        resumed.append(again)
        ratios.append(again / full)
    ratio = statistics.median(ratios)
    info(f"{name}: full {statistics.median(fulls):.0f} us, resumed "
         f"{statistics.median(resumed):.0f} us of the server's CPU a connection")
    bar(f"tls_resumed_{name}", f"{ratio:.2f}x", f"<={bound}x", ratio <= bound)


def cpu_of_load(server, url, *options):
    before = server.cpu_ns()
    said = json.loads(slipway("bench", f"{url}/predict/triage", "--rate", RATE, "--duration", "2s",
                              "--warmup", "0ms", "--connections", 8, "--json", *options))
    (version,) = said["versions"]
    assert version["failed"] == 0, said
    return (server.cpu_ns() - before) / version["answered"] / 1e3


def requests(folder, pair):
    port = free_port()
    register_triage(folder / "plain")
    server = Server([PROGRAM, "serve", "--data", folder / "plain", "--listen", f"127.0.0.1:{port}",
                     "--data-threads", 1], port).wait()
    plain, secure = [], []
    with server:
        for _ in range(ROUNDS):
            plain.append(cpu_of_load(server, f"http://127.0.0.1:{port}"))
            secure.append(cpu_of_load(pair.server, f"https://localhost:{pair.port}", "--ca",
                                      pair.cert))
    ratio = statistics.median(b / a for a, b in zip(plain, secure))
    info(f"a prediction: {statistics.median(plain):.1f} us over http, "
         f"{statistics.median(secure):.1f} us over https, at {RATE} a second")
    bar("tls_prediction", f"{ratio:.2f}x", "<=1.5x", ratio <= 1.5)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pairs = [Pair(folder, "rsa", RSA, False), Pair(folder, "mutual", CURVE, True)]
        try:
            handshakes(pairs[0], "rsa", 0.65)
            handshakes(pairs[1], "mutual", 0.8)
            requests(folder, pairs[0])
        finally:
            for pair in pairs:
                pair.server.stop()


main()
