"""Kept predictions into files: JSON lines and CSV as the server writes them, Parquet from those."""
import http.client
import json
import os
import pathlib
import tempfile

from . import parquet
from .errors import ConnectionFailed, SlipwayError
from .times import to_time
from .transport import query, quote

PAGE_ROWS = 10000
FORMATS = ("jsonl", "csv", "parquet")


def pages(client, model, since, until, version, text_format):
    """Each page as a reply whose body is unread; the next is asked for when that one is read."""
    cursor = None
    while True:
        path = f"/api/models/{quote(model)}/predictions" + query(
            **{"from": to_time(since)}, to=to_time(until), version=version, limit=PAGE_ROWS,
            format=text_format, cursor=cursor)
        reply = client.transport.open("GET", path)
        if reply.status >= 400:
            raise SlipwayError.of_reply(reply.status, client.transport.read(reply),
                                        reply.headers.get("X-Request-Id"))
        yield reply
        cursor = reply.headers.get("X-Next-Cursor")
        if not cursor:
            return


def lines(client, model, since, until, version, text_format):
    """Lines as bytes; of CSV the head comes once. A server that leaves in a page is an error.

    A page is read whole (the server ends it near 8 MB) before its first line goes out, so that the
    caller may make other calls in between.
    """
    head = None
    for reply in pages(client, model, since, until, version, text_format):
        try:
            page = reply.read()
        except (OSError, http.client.HTTPException) as error:
            client.close()
            raise ConnectionFailed(client.transport.server, error) from error
        rows = iter(page.splitlines(keepends=True) if text_format == "jsonl" else
                    csv_rows(page))
        if text_format == "csv":
            first = next(rows, None)
            if head is None and first:
                head = first
                yield head
            elif first and first != head:
                raise other_columns()
        yield from rows


def other_columns():
    return SlipwayError(409, {
        "code": "conflict", "detail": "a later version has other fields than the one before",
        "hint": "export one version (version=N), or as JSON lines or Parquet"})


def csv_rows(page):
    """Rows of CSV; a line feed within quotes belongs to its row."""
    begun = b""
    for line in page.splitlines(keepends=True):
        begun += line
        if begun.count(b'"') % 2 == 0:
            yield begun
            begun = b""
    if begun:
        yield begun


def format_of(path, wanted):
    """What the caller says, else what the end of the file's name says."""
    wanted = wanted or pathlib.Path(path).suffix[1:].lower()
    if wanted in FORMATS:
        return wanted
    raise ValueError(f"format '{wanted}': expected one of {', '.join(FORMATS)}")


def write_text(client, file, text_format, model, since, until, version):
    count = 0
    for line in lines(client, model, since, until, version, text_format):
        file.write(line)
        count += 1
    return count - (text_format == "csv" and count > 0)


def write_parquet(client, file, folder, *of):
    """The columns of a Parquet file are fixed in its head, and which there are shows at the last
    row: rows go to a file of JSON lines first, which is removed."""
    columns = parquet.Columns()
    with tempfile.TemporaryFile(dir=folder) as spool:
        for line in lines(client, *of, "jsonl"):
            columns.see(json.loads(line))
            spool.write(line)
        spool.seek(0)
        schemas = [read_schema(client, of[0], version) for version in sorted(columns.versions)]
        return parquet.write(file, columns.arrow_schema(schemas), map(json.loads, spool))


def read_schema(client, model, version):
    """The JSON Schema of a row; {} when the version has no contract or the model has gone."""
    try:
        return client.call("GET", f"/api/models/{quote(model)}/versions/{version}/schema")
    except SlipwayError as error:
        if error.status not in (403, 404, 409):
            raise
        return {}


def export(client, model, path, since, until, version, wanted):
    """See Client.export_predictions."""
    wanted = format_of(path, wanted)
    path = pathlib.Path(path)
    if wanted == "parquet":
        parquet.require()
    handle, part = tempfile.mkstemp(prefix=path.name + ".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            if wanted == "parquet":
                count = write_parquet(client, file, path.parent, model, since, until, version)
            else:
                count = write_text(client, file, wanted, model, since, until, version)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
    return count
