#!/usr/bin/env python3
"""Checks the style rules that a compiler does not: `make tidy`, part of `make check`.

layers    a file of src/ includes its own folder or one listed before it in LAYERS
heads     every source and script says in its first lines what it is
sizes     functions and files stay below LIMITS; a longer one is named in EXCEPTIONS with a reason
banned    calls that have a safer word here, and SQL put together from text
lines     no line over COLUMNS, no tab, no space at the end
words     nothing that says unfinished, no path of one machine
schema    scripts of src/store/sql are NNNN_what.sql, numbered from 1 without a gap or a second one
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYERS = ["base", "net", "store", "event", "job", "auth", "contract", "registry", "runtime",
          "monitor", "review", "rollout", "serve", "data", "track", "llm", "batch", "flow",
          "federated", "api", "cli"]
# These files join layers, so they stand above all folders, in this order.
TOP = ["wiring.c", "main.c"]
COLUMNS = 100
LIMITS = {"function": 100, "file": 1000}
# "src/net/http.c:parse" or "src/net/http.c" -> (limit, why)
EXCEPTIONS = {}

BANNED = {
    "strcpy": "snprintf or buf_append", "strcat": "buf_append", "sprintf": "snprintf",
    "vsprintf": "vsnprintf", "strtok": "a loop over the text", "atoi": "str.h's parsers",
    "atol": "str.h's parsers", "atof": "str.h's parsers", "gets": "fgets",
    "localtime": "localtime_r", "gmtime": "gmtime_r", "system": "argv and posix_spawn",
    "popen": "argv and posix_spawn", "alloca": "the arena", "tmpnam": "mkstemp",
    "mktemp": "mkstemp", "rand": "rand.h", "srand": "rand.h",
}
FORMATTERS = r"\b(?:snprintf|asprintf|buf_printf|buf_format|buf_appendf)\s*\("
SQL = r"(?i)^\s*(SELECT\s.*\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\b"
# Spelled in two halves, so that this file may be checked too.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X(?=:)|HA" r"CK|not imple" r"mented|"
                        r"for n" r"ow)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|work|Users)/[\w.-]+")
SCRIPTS = ["tools", "tests", ".ci", "examples", "python"]
TEXT = {".c", ".h", ".def", ".sql", ".py", ".sh", ".md", ".mk", ".yaml", ".yml", ".txt", ".ini",
        ".case", ""}


class Problems:
    def __init__(self):
        self.found = []

    def add(self, path, line, text):
        where = path.relative_to(ROOT)
        self.found.append(f"{where}:{line}: {text}" if line else f"{where}: {text}")


def tracked():
    """Files git knows or would add; a tree without git is walked."""
    try:
        argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        out = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        paths = [ROOT / p for p in out.split("\0") if p]
    except (FileNotFoundError, subprocess.CalledProcessError):
        paths = [p for p in ROOT.rglob("*") if "build" not in p.parts and ".git" not in p.parts]
    return sorted(p for p in paths if p.is_file() and not p.is_symlink())


def read_text(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def limit_of(kind, name):
    return EXCEPTIONS[name][0] if name in EXCEPTIONS else LIMITS[kind]


def without_comments(text):
    """C text with comments blanked, line for line, strings kept."""
    def blank(match):
        token = match[0]
        return token if token[0] in "\"'" else re.sub(r"[^\n]", " ", token)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def rank(path):
    """Position of a file of src/ in the layers, or None."""
    parts = path.relative_to(ROOT / "src").parts
    if len(parts) == 1:
        return len(LAYERS) + (TOP.index(parts[0]) if parts[0] in TOP else -1)
    return LAYERS.index(parts[0]) if parts[0] in LAYERS else None


def check_layers(path, text, problems):
    own = rank(path)
    if own is None:
        problems.add(path, 0, "its folder is none of the layers in tools/tidy.py")
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        if "/" not in match[1]:
            if not match[1].endswith(".def"):
                problems.add(path, number, f'"{match[1]}": include paths start at src/')
            continue
        folder = match[1].split("/")[0]
        if folder not in LAYERS:
            problems.add(path, number, f"'{folder}' is none of the layers in tools/tidy.py")
        elif LAYERS.index(folder) > own:
            problems.add(path, number, f"may not include {match[1]}: {folder} is a layer above")


def check_calls(path, code, problems):
    bare = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', code)
    for number, line in enumerate(bare.splitlines(), 1):
        for call in re.findall(r"(?<![\w.>])([a-z_]+)\s*\(", line):
            if call in BANNED:
                problems.add(path, number, f"{call}: use {BANNED[call]}")
    for match in re.finditer(FORMATTERS + r"[^;]*?\"((?:\\.|[^\"\\\n])*)\"", code):
        if re.search(SQL, match[1]):
            number = code.count("\n", 0, match.start()) + 1
            problems.add(path, number, "SQL made from text: bind parameters instead")


def check_c_head(path, text, problems):
    if not re.match(rf"/\* {re.escape(path.name)} - \S", text):
        problems.add(path, 1, f"begins with '/* {path.name} - what it is, in one sentence'")


def check_script_head(path, text, problems):
    lines = (text.splitlines() + ["", "", ""])[:3]
    if path.suffix == ".py" or "python" in lines[0]:
        good = any(line.startswith('"""') and len(line) > 4 for line in lines[:2])
    elif lines[0].startswith("#!"):
        good = re.match(rf"# {re.escape(path.name)} - \S", lines[1])
    else:
        return
    if not good:
        problems.add(path, 1, "its first lines do not say what it is")


def check_lines(path, text, problems):
    is_code = path.suffix in {".c", ".h", ".def", ".py"} or text.startswith("#!/usr/bin/env py")
    for number, line in enumerate(text.splitlines(), 1):
        if is_code and len(line) > COLUMNS:
            problems.add(path, number, f"{len(line)} columns; {COLUMNS} are the limit")
        if is_code and "\t" in line:
            problems.add(path, number, "a tab; indent with 4 spaces")
        if path.suffix in {".c", ".h", ".def", ".py", ".sql"} and line.endswith((" ", "\t")):
            problems.add(path, number, "space at the end of the line")
        if word := UNFINISHED.search(line):
            problems.add(path, number, f"'{word[0]}' sounds unfinished: finish it or say why not")
        if re.match(r"(<{7}|>{7}) ", line):
            problems.add(path, number, "two versions of a merge: keep what is right")
        if place := MACHINE_PATH.search(line):
            problems.add(path, number, f"'{place[0]}' is a path of one machine")


def check_functions(sources, problems):
    """Function lengths by universal-ctags; tests/run reports a skip where it is missing."""
    if not shutil.which("ctags"):
        return
    out = subprocess.run(["ctags", "--kinds-C=f", "--fields=+ne", "--output-format=json", "-f-",
                          "-L-"],
                         input="\n".join(map(str, sources)), capture_output=True,
                         text=True, check=True).stdout
    for tag in map(json.loads, out.splitlines()):
        if "end" not in tag:
            continue
        path = pathlib.Path(tag["path"])
        length = tag["end"] - tag["line"] + 1
        limit = limit_of("function", f"{path.relative_to(ROOT)}:{tag['name']}")
        if length > limit:
            problems.add(path, tag["line"], f"{tag['name']}: {length} lines, the limit is {limit}")


def check_source(path, text, problems):
    code = without_comments(text)
    check_c_head(path, text, problems)
    check_calls(path, code, problems)
    lines = text.count("\n")
    limit = limit_of("file", str(path.relative_to(ROOT)))
    if lines > limit:
        problems.add(path, 0, f"{lines} lines, the limit is {limit}: which second thing is in it?")
    if path.is_relative_to(ROOT / "src"):
        check_layers(path, code, problems)


def check_schema(files, problems):
    """Two branches that each took the next number meet here, not in somebody's store."""
    scripts = [p for p in files if p.suffix == ".sql" and p.parent == ROOT / "src/store/sql"]
    names = {}
    for path in scripts:
        match = re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)
        if not match:
            problems.add(path, 0, "a script is named NNNN_what.sql")
            continue
        names.setdefault(int(match[1]), []).append(path)
    for number, paths in names.items():
        for path in paths[1:]:
            problems.add(path, 0, f"{paths[0].name} has this number; {max(names) + 1:04} is free")
    for number in sorted(set(range(1, max(names, default=0))) - set(names)):
        problems.add(ROOT / "src/store/sql", 0, f"no script has the number {number:04}")


def main():
    problems = Problems()
    files = tracked()
    sources = [p for p in files if p.suffix in {".c", ".h"}]
    for path in files:
        if path.suffix not in TEXT or path.name == "LICENSE" or "corpus" in path.parts:
            continue
        text = read_text(path)
        if text is None:
            continue
        check_lines(path, text, problems)
        if path in sources:
            check_source(path, text, problems)
        elif path.relative_to(ROOT).parts[0] in SCRIPTS:
            check_script_head(path, text, problems)
    check_functions(sources, problems)
    check_schema(files, problems)
    print("\n".join(problems.found) or f"tidy: {len(files)} files, nothing to say")
    sys.exit(1 if problems.found else 0)


if __name__ == "__main__":
    main()
