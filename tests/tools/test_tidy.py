"""tools/tidy.py says what is wrong with a tree, and nothing about a good one."""
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def tidy(tmp_path):
    """tidy({path: text}) -> (exit status, output) of a tree of these files."""
    def run(files):
        (tmp_path / "tools").mkdir(exist_ok=True)
        shutil.copy(ROOT / "tools/tidy.py", tmp_path / "tools/tidy.py")
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, tmp_path / "tools/tidy.py"], cwd=tmp_path, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
    return run


def source(name, body):
    return f"/* {name} - a sentence. */\n{body}\n"


def test_a_good_tree_is_quiet(tidy):
    status, out = tidy({"src/net/a.c": source("a.c", '#include "base/err.h"\n#include <stdio.h>'),
                        "src/wiring.c": source("wiring.c", '#include "cli/cli.h"')})
    assert status == 0, out


@pytest.mark.parametrize("path, include, complaint", [
    ("src/base/a.c", "net/http.h", "net is a layer above"),
    ("src/monitor/a.c", "rollout/choose.h", "rollout is a layer above"),
    ("src/base/a.c", "a.h", "include paths start at src/"),
    ("src/base/a.c", "utils/a.h", "'utils' is none of the layers"),
])
def test_includes_point_down(tidy, path, include, complaint):
    status, out = tidy({path: source("a.c", f'#include "{include}"')})
    assert status == 1
    assert f"{path}:2: " in out and complaint in out


def script(number, what):
    return {f"src/store/sql/{number}_{what}.sql": f"-- {number}_{what} - a table.\n"}


def test_scripts_of_the_schema_are_numbered_in_order(tidy):
    good = {**script("0001", "first"), **script("0002", "second")}
    status, out = tidy(good)
    assert status == 0, out
    status, out = tidy(script("0002", "two"))
    assert status == 1
    assert "0002_two.sql: 0002_second.sql has this number; 0003 is free" in out
    status, out = tidy({**script("0004", "late"), "src/store/sql/5_x.sql": "-- 5_x - y.\n"})
    assert "src/store/sql: no script has the number 0003" in out
    assert "5_x.sql: a script is named NNNN_what.sql" in out


def test_a_folder_that_is_no_layer(tidy):
    assert "none of the layers" in tidy({"src/utils/a.c": source("a.c", "int x;")})[1]


@pytest.mark.parametrize("text, complaint", [
    ("int x;\n", "begins with '/* a.c - "),
    (source("b.c", "int x;"), "begins with '/* a.c - "),
    (source("a.c", "void f(char *s) { strcpy(s, s); }"), "strcpy: use"),
    (source("a.c", "int f(char *s) { return system(s); }"), "system: use"),
    (source("a.c", 'int f(char *s) { return snprintf(s, 9, "SELECT a FROM b WHERE c=%s", s); }'),
     "SQL made from text"),
    (source("a.c", "int " + "x" * 100 + ";"), "columns; 100 are the limit"),
    (source("a.c", "int x; "), "space at the end"),
    (source("a.c", "\tint x;"), "a tab"),
    (source("a.c", "/* TO" "DO: more */"), "sounds unfinished"),
    (source("a.c", "<" * 7 + " HEAD"), "two versions of a merge"),
    (source("a.c", 'const char *p = "/ho' 'me/someone/x";'), "path of one machine"),
    (source("a.c", "int x;\n" * 999), "1001 lines, the limit is 1000"),
    (source("a.c", "void f(void)\n{\n" + ";\n" * 100 + "}"), "f: 103 lines, the limit is 100"),
])
def test_complaints_name_file_and_rule(tidy, text, complaint):
    if "103 lines" in complaint and not shutil.which("ctags"):
        pytest.skip("ctags is missing")
    status, out = tidy({"src/base/a.c": text})
    assert status == 1
    assert "src/base/a.c" in out and complaint in out


@pytest.mark.parametrize("body", [
    "/* strcpy(a, b) is banned */ int x;",
    'const char *s = "strcpy(a, b)";',
    "int f(struct s *p) { return p->system(1) + p.rand(2); }",
    'static const char sql[] = "SELECT a FROM b WHERE c=?";',
])
def test_words_that_only_look_banned(tidy, body):
    status, out = tidy({"src/base/a.c": source("a.c", body)})
    assert status == 0, out


def test_a_script_says_what_it_is(tidy):
    status, out = tidy({"tools/x": "#!/bin/sh\nset -e\n", "tools/y.py": "import os\n"})
    assert "tools/x:1:" in out and "tools/y.py:1:" in out
    assert tidy({"tools/x": "#!/bin/sh\n# x - does it.\n", "tools/y.py": '"""Y."""\n'})[0] == 0
