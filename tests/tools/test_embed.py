"""tools/embed: a file's bytes, all of them, become a C array with a zero behind."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

READER = """
#include <stdio.h>
#include "store/embedded.h"
extern const struct embedded_file embedded_thing[];
int main(void)
{
    for (const struct embedded_file *f = embedded_thing; f->name; f++) {
        printf("%s %zu %d\\n", f->name, f->size, f->data[f->size]);
        fwrite(f->data, 1, f->size, stdout);
    }
    return 0;
}
"""


def embedded(tmp_path, files):
    """What a program that prints every embedded file prints."""
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    made = subprocess.run([ROOT / "tools/embed", "embedded_thing", *(tmp_path / n for n in files)],
                          check=True, capture_output=True).stdout
    (tmp_path / "made.c").write_bytes(made)
    (tmp_path / "main.c").write_text(READER)
    subprocess.run(["gcc", "-Wall", "-Werror", f"-I{ROOT}/src", tmp_path / "made.c",
                    tmp_path / "main.c", "-o", tmp_path / "reader"], check=True)
    return subprocess.run([tmp_path / "reader"], check=True, capture_output=True).stdout


def test_every_byte_value_an_empty_file_and_no_newline(tmp_path):
    every = bytes(range(256))
    assert embedded(tmp_path, {"a.sql": b"", "b.sql": every, "c.sql": b"no newline"}) == (
        b"a.sql 0 0\n" b"b.sql 256 0\n" + every + b"c.sql 10 0\nno newline")


def test_no_file_is_an_empty_table(tmp_path):
    assert embedded(tmp_path, {}) == b""
