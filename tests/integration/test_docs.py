"""The documentation against the tree and the program: links, commands, options, decisions.

What could break: a page that sends its reader nowhere, a command that has another name by now.
"""
import re

import pytest

from server import run_program

pytestmark = pytest.mark.once
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages(root):
    folders = [root, root / "examples/triage"]
    return [*(page for folder in folders for page in sorted(folder.glob("*.md"))),
            *sorted((root / "docs").rglob("*.md"))]


def test_every_link_leads_somewhere(root):
    broken = [f"{page.relative_to(root)}: {link}" for page in pages(root)
              for link in LINK.findall(page.read_text(encoding="utf-8"))
              if not link.startswith(("http:", "https:")) and not (page.parent / link).exists()]
    assert not broken


def test_files_that_the_readme_names_are_there(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"`((?:src|docs|tests|examples)/[\w./-]+)`", text)
    assert len(names) > 8
    assert [name for name in names if not (root / name).exists()] == []


def test_commands_in_the_pages_exist(root):
    """`slipway model register ...` at the start of a line of an example."""
    commands = set(re.findall(r"^  (\w[\w -]*?\w)  +\S", run_program("--help").out, re.M))
    assert {"serve", "model register", "rollback"} <= commands
    wrong = []
    for page in pages(root):
        for line in re.findall(r"^ +(?:\$ )?(?:build/)?slipway ([a-z].*)$", page.read_text(), re.M):
            if not any(line == c or line.startswith(c + " ") for c in commands):
                wrong.append(f"{page.name}: slipway {line}")
    assert not wrong


def test_options_in_operations_have_their_defaults(root):
    text = (root / "docs/operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r'OPTION\((\w+), +\w+, +"([^"]*)"',
                           (root / "src/options.def").read_text()))
    named = re.findall(r"`((?:http|predict|request|drain)_\w+)`", text)
    assert len(named) > 8
    assert [name for name in named if name not in rows] == []
    assert rows["http_body_bytes_max"] == "16M" and "16 MiB" in text
    assert rows["predict_rows_max"] in text and rows["http_chunks_max"] in text


def test_decisions_are_numbered_without_gaps(root):
    files = sorted((root / "docs/decisions").glob("*.md"))
    for number, file in enumerate(files, 1):
        assert file.name.startswith(f"{number:03d}-")
        assert file.read_text(encoding="utf-8").startswith(f"# {number}. ")
