"""Fixtures: the real program as a server, and as a command line.

    def test_it_answers(server): assert server.get("/livez")[0] == 200
    def test_help(cli): assert "serve" in cli("--help").out
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api import Api, register_triage  # noqa: E402
from server import PROGRAM, ROOT, Server, free_port, run_program  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def program():
    """Path of the program under test; without it nothing here can run."""
    if not pathlib.Path(PROGRAM).exists():
        pytest.exit(f"no program at {PROGRAM}: run `make` first", returncode=3)
    return PROGRAM


@pytest.fixture
def make_server(tmp_path):
    """make_server(*options, start=True, env=None, data=None, program=PROGRAM) -> Server, ended
    after the test.

    Options go to `slipway serve` as they are. After a test the server must end on SIGTERM with
    status 0 and without a word from a sanitizer, unless the test ended it itself.
    """
    import contextlib
    with contextlib.ExitStack() as ports:
        servers = []

        def make(*options, start=True, env=None, data=None, program=PROGRAM):
            port = ports.enter_context(free_port())
            folder = data or tmp_path / f"data-{len(servers)}"
            server = Server(folder, port, options, env, program)
            servers.append(server)
            return server.start() if start else server

        yield make
        statuses = [server.stop() for server in servers]
        for server in servers:
            server.check_clean()
        assert statuses == [0] * len(servers), f"servers ended with {statuses}"


@pytest.fixture
def server(make_server):
    """A running server with an empty data folder."""
    return make_server()


@pytest.fixture
def api(server):
    """The HTTP API of `server`."""
    return Api(server.url)


@pytest.fixture(scope="module")
def triage(tmp_path_factory):
    """A server with the example's two versions, shared by a file's tests; they change nothing."""
    with free_port() as port:
        shared = Server(tmp_path_factory.mktemp("triage") / "data", port).start()
        shared.api = Api(shared.url)
        register_triage(shared.api)
        yield shared
        status = shared.stop()
        shared.check_clean()
        assert status == 0, f"the server ended with {status}"


@pytest.fixture(scope="session")
def cli():
    """cli(*args, check=True, stdin=None) runs the program; see server.Result."""
    return run_program


@pytest.fixture(scope="session")
def root():
    """The project's folder, for examples and golden files."""
    return ROOT
