"""Which of a machine's package sources tools/bootstrap trusts: Debian's own, of this release."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def sources(tmp_path):
    """sources(name=text, ...) -> the lines that bootstrap would use from files of these names."""
    def run(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        done = subprocess.run([ROOT / "tools/bootstrap", "--sources", tmp_path], text=True,
                              capture_output=True, check=True,
                              env={**os.environ, "VERSION_CODENAME": "bookworm"})
        assert done.stderr == ""
        return done.stdout.splitlines()
    return run


def test_one_line_source_with_options_and_comment(sources):
    assert sources({"sources.list": "# deb http://old.example/debian bookworm main\n"
                                    "deb [arch=amd64 signed-by=/k.gpg] http://deb.debian.org/debian"
                                    " bookworm main contrib # mine\n"
                                    "deb-src http://deb.debian.org/debian bookworm main\n"
                    }) == ["http://deb.debian.org/debian bookworm /k.gpg"]


def test_deb822_source_with_two_suites_a_comment_and_a_continued_line(sources):
    assert sources({"sources.list.d/debian.sources": "Types: deb deb-src\n"
                                                     "# a comment between fields\n"
                                                     "URIs: http://deb.debian.org/debian/\n"
                                                     "Suites: bookworm bookworm-updates\n"
                                                     "Components: contrib\n main\n"
                                                     "Signed-By: /k.pgp\n"
                                                     "\n"
                                                     "Types: deb\n"
                                                     "URIs: http://deb.debian.org/debian-security\n"
                                                     "Suites: bookworm-security\n"
                                                     "Components: main\n"
                    }) == ["http://deb.debian.org/debian-security bookworm-security " + KEYRING,
                           "http://deb.debian.org/debian/ bookworm /k.pgp",
                           "http://deb.debian.org/debian/ bookworm-updates /k.pgp"]


def test_disabled_and_source_only_stanzas_are_not_used(sources):
    stanza = "URIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\n"
    assert sources({"sources.list.d/a.sources": "Types: deb\nEnabled: no\n" + stanza,
                    "sources.list.d/b.sources": "Types: deb-src\n" + stanza}) == []


@pytest.mark.parametrize("line", [
    "deb https://apt.releases.example/ bookworm main",
    "deb https://download.docker.example/linux/debian bookworm stable",
    "deb https://dl.yarn.example/debian stable main",
    "deb https://apt.postgresql.example/pub/repos/apt bookworm-pgdg main",
    "deb http://deb.debian.org/debian trixie main",
    "deb http://deb.debian.org/debian bookworm-backports main",
])
def test_third_party_and_other_releases_are_not_used(sources, line):
    assert sources({"sources.list.d/other.list": line + "\n"}) == []


def test_mirror_lists_and_snapshots_are_debian_too(sources):
    mirror = "mirror+file:/etc/apt/mirrors/debian.list"
    snapshot = "https://snapshot.debian.org/archive/debian/20250101T000000Z"
    assert sources({"sources.list": f"deb {mirror} bookworm main\ndeb {snapshot} bookworm main\n"
                    }) == [f"{snapshot} bookworm {KEYRING}", f"{mirror} bookworm {KEYRING}"]
