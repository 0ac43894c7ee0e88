"""Servers with TLS, and the certificates for them: made by openssl's own command line."""
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests

from server import COMMAND_SECONDS_MAX, PATIENCE

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True,
                          timeout=COMMAND_SECONDS_MAX, **options)


def make_certificate(folder, name, subject="localhost"):
    """A self-signed certificate for localhost and 127.0.0.1; returns (cert, key)."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    openssl("req", "-x509", *NEW_KEY, "-days", 2, "-subj", f"/CN={subject}",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert)
    return cert, key


class Authority:
    """An issuer of clients' certificates, with a list of what it has revoked."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key, self.crl = (folder / f"{name}-ca{end}"
                                         for end in (".pem", ".key", ".crl"))
        openssl("req", "-x509", *NEW_KEY, "-days", 2, "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.cert)
        self.config = folder / f"{name}.cnf"
        self.config.write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/{name}.index\n"
                               f"certificate = {self.cert}\nprivate_key = {self.key}\n"
                               "default_md = sha256\ndefault_crl_days = 2\n")
        (folder / f"{name}.index").touch()

    def issue(self, name, alternative=None, days=2, usage="clientAuth"):
        """A client's certificate and key in one file."""
        key, request, both = (self.folder / f"{self.name}-{name}{end}"
                              for end in (".key", ".csr", ".pem"))
        openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions = f"extendedKeyUsage={usage}\n"
        if alternative:
            extensions += f"subjectAltName={alternative}\n"
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days", days,
                "-extfile", "/dev/stdin", "-out", both, input=extensions.encode())
        both.write_bytes(both.read_bytes() + key.read_bytes())
        return both

    def revoke(self, *certs):
        """The revocation list, with these too."""
        for cert in certs:
            openssl("ca", "-config", self.config, "-revoke", cert)
        openssl("ca", "-config", self.config, "-gencrl", "-out", self.crl)
        return self.crl


class Secure:
    """A server on 0.0.0.0 with TLS and one key; `client` is a certificate it knows, if it asks."""

    def __init__(self, make_server, folder, *options, client=None):
        self.client = client
        self.cert, self.key = make_certificate(folder, "server")
        self.server = make_server("--tls-cert", self.cert, "--tls-key", self.key, *options,
                                  start=False)
        self.server.args += ["--listen", f"0.0.0.0:{self.server.port}"]
        self.token = self.server.cli("key", "create", "root", "--scope", "admin").out.strip()
        self.url = f"https://localhost:{self.server.port}"
        start = self.server.start
        start(wait=False)
        self.wait()

    def wait(self):
        end = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end:
            try:
                if self.get("/readyz").status_code == 200:
                    return
            except requests.exceptions.ConnectionError:
                time.sleep(0.02)
        raise AssertionError(self.server.log_text())

    def get(self, path, token=None, client=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        shown = client or self.client
        with requests.Session() as session:
            session.trust_env = False
            return session.get(self.url + path, headers=headers, verify=str(self.cert), timeout=10,
                               cert=str(shown) if shown else None)

    def context(self, version=None, client=None):
        """For connect(); its sessions go with it."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if version:
            context.minimum_version = context.maximum_version = version
        shown = client or self.client
        if shown:
            context.load_cert_chain(str(shown))
        return context

    def connect(self, context, session=None, path="/livez"):
        """One request on a connection of its own: (status line, session, was it resumed)."""
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as raw:
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                             "Connection: close\r\n\r\n".encode())
                answer = b""
                while part := sock.recv(65536):
                    answer += part
                return answer.split(b"\r\n")[0].decode(), sock.session, sock.session_reused

    def common_name(self, cert):
        """Who a new connection that trusts `cert` is shown."""
        context = ssl.create_default_context(cafile=str(cert))
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as sock:
                return dict(pair[0] for pair in sock.getpeercert()["subject"])["commonName"]

    def hang_up(self):
        """SIGHUP, and the line of the log that it brings."""
        before = self.server.log_text()
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end:
            new = self.server.log_text()[len(before):]
            if "reloaded" in new:
                return new
            time.sleep(0.02)
        raise AssertionError("nothing was logged")
