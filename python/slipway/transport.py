"""One HTTP connection a thread, over TCP, TLS or a Unix socket, kept open between calls."""
import http.client
import ipaddress
import json
import select
import socket
import threading
import urllib.parse

from .errors import ConnectionFailed, SlipwayError

REPLY_BYTES_MAX = 256 * 1024 * 1024
SAFE_METHODS = ("GET", "HEAD")


class UnixConnection(http.client.HTTPConnection):
    """HTTP through the socket file that a server keeps in its data folder."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path
        self.fd = None

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def send(self, data):
        """The next bytes take `fd` along, when there is one."""
        if self.sock is None:
            self.connect()
        fd, self.fd = self.fd, None
        if fd is not None:
            data = data[socket.send_fds(self.sock, [data], [fd]):]
        super().send(data)


def is_private(url):
    """Nobody can listen in: TLS, a Unix socket, or a connection that stays on this machine."""
    if url.scheme != "http" or url.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False


def is_alive(connection):
    """False when the server has closed a connection that waited: it is readable then."""
    return connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]


class Transport:
    """request() for threads: a connection belongs to the thread that made it."""

    def __init__(self, server, key, timeout, ssl_context):
        self.server = server
        self.url = urllib.parse.urlsplit(server)
        self.timeout = timeout
        self.ssl_context = ssl_context
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.local = threading.local()
        if self.url.scheme not in ("http", "https", "unix"):
            raise ValueError(f"server '{server}': expected http://, https:// or unix:/path")
        if key and not is_private(self.url):
            raise ValueError(f"server '{server}': a key is not sent in the clear to another "
                             "machine; use https://")

    def _connect(self):
        if self.url.scheme == "unix":
            return UnixConnection(self.url.path, self.timeout)
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(self.url.hostname, self.url.port,
                                               timeout=self.timeout, context=self.ssl_context)
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=self.timeout)

    def close(self):
        connection = getattr(self.local, "connection", None)
        self.local.connection = None
        if connection:
            connection.close()

    def _send(self, method, path, body, headers, fd=None):
        connection = getattr(self.local, "connection", None)
        if connection is None or not is_alive(connection):
            self.close()
            connection = self.local.connection = self._connect()
        if fd is not None:
            connection.fd = fd
        connection.request(method, self.url.path.rstrip("/") * (self.url.scheme != "unix") + path,
                           body, headers)
        return connection.getresponse()

    def open(self, method, path, body=None, headers=None, fd=None):
        """The reply, its body unread. What changes nothing is tried again on a new connection."""
        headers = {**self.headers, **(headers or {})}
        for is_last in ([False, True] if method in SAFE_METHODS else [True]):
            try:
                return self._send(method, path, body, headers, fd)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if is_last or isinstance(error, TimeoutError):
                    raise ConnectionFailed(self.server, error or type(error).__name__) from error

    def request(self, method, path, body=None, headers=None, fd=None):
        """(status, headers, bytes); a status of 400 and more is raised. `fd` goes along, over a
        Unix socket."""
        reply = self.open(method, path, body, headers, fd)
        data = self.read(reply)
        if reply.status >= 400:
            raise SlipwayError.of_reply(reply.status, data, reply.headers.get("X-Request-Id"))
        return reply.status, reply.headers, data

    def read(self, reply):
        try:
            data = reply.read(REPLY_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionFailed(self.server, error or type(error).__name__) from error
        if len(data) > REPLY_BYTES_MAX:
            self.close()
            raise ConnectionFailed(self.server, f"a reply of more than {REPLY_BYTES_MAX} bytes")
        return data


def quote(name):
    """One part of a path."""
    return urllib.parse.quote(str(name), safe="")


def query(**members):
    """"?a=1&b=2" of those that are not None."""
    given = {name: value for name, value in members.items() if value is not None}
    return "?" + urllib.parse.urlencode(given) if given else ""


def to_json(value):
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
