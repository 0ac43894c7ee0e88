"""Kept predictions as Parquet: one column for each member, input and class, of its own type.

    id, request_id, model, arm, quality, label   string
    row, version, rollout, latency_us            int64
    at                                           timestamp, microseconds, UTC
    status                                       int32
    share, probability, value                    float32, as the model computed it
    violations                                   list of string
    an input                                     float32, int64, bool or string: what the contract
                                                 of its version says, string when it is a category
    probability.CLASS                            float32

An input whose name is taken is `input.NAME`. Versions whose fields differ share a file: a row has
null in a column that its version does not know.
"""
import datetime
import itertools

ROWS_OF_BATCH = 5000   # dicts in memory at a time
BATCHES_OF_GROUP = 20  # a row group has 100,000 rows

HINT = "Parquet needs pyarrow: pip install 'slipway[parquet]' (or pip install pyarrow)"


def require():
    """pyarrow, or an ImportError that says what to install."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(HINT) from error
    return pyarrow


class Columns:
    """What was seen: inputs with the kinds of their values, classes, versions; in order."""

    def __init__(self):
        self.kinds = {}
        self.classes = {}
        self.versions = set()

    def see(self, row):
        self.versions.add(row["version"])
        for name, value in (row["inputs"] or {}).items():
            kinds = self.kinds.setdefault(name, set())
            if value is not None:
                kinds.add(type(value))
        for name in (row["prediction"] or {}).get("probabilities") or {}:
            self.classes[name] = True

    def arrow_schema(self, schemas):
        """schemas: the JSON Schemas of the versions seen."""
        pa = require()
        fields = [pa.field(name, kind) for name, kind in fixed_columns(pa)]
        taken = {field.name for field in fields}
        for name, kinds in self.kinds.items():
            words = set().union(*(type_words(schema, name) for schema in schemas))
            column = f"input.{name}" if name in taken else name
            fields.append(pa.field(column, input_type(pa, kinds, words),
                                   metadata={"slipway.input": name}))
        for name in self.classes:
            fields.append(pa.field(f"probability.{name}", pa.float32(),
                                   metadata={"slipway.class": name}))
        return pa.schema(fields)


def fixed_columns(pa):
    text, whole, real = pa.string(), pa.int64(), pa.float32()
    return [("id", text), ("request_id", text), ("row", whole),
            ("at", pa.timestamp("us", tz="UTC")), ("model", text), ("version", whole),
            ("arm", text), ("rollout", whole), ("status", pa.int32()), ("latency_us", whole),
            ("share", real), ("quality", text), ("violations", pa.list_(text)), ("label", text),
            ("probability", real), ("value", real)]


def type_words(schema, name):
    """{"integer"} and the like: what the contract says of a field, but for missing ones."""
    field = schema.get("properties", {}).get(name, {})
    words = set()
    for form in [field, *field.get("anyOf", [])]:
        types = form.get("type", [])
        words.update([types] if isinstance(types, str) else types)
    return words - {"null"}


def input_type(pa, kinds, words):
    """What was seen decides where the contract allows both or is not there."""
    if str in kinds or (not kinds and "string" in words):
        return pa.string()
    if kinds == {bool} or (not kinds and words == {"boolean"}):
        return pa.bool_()
    if words == {"integer"} and kinds <= {int}:
        return pa.int64()
    return pa.float32()


def to_time(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(
        tzinfo=datetime.timezone.utc)


def cell(pa, field, row):
    """The value of one column in one row."""
    metadata = field.metadata or {}
    prediction = row["prediction"] or {}
    if b"slipway.input" in metadata:
        value = (row["inputs"] or {}).get(metadata[b"slipway.input"].decode())
        is_text = pa.types.is_string(field.type)
        return str(value) if is_text and value is not None else value
    if b"slipway.class" in metadata:
        return (prediction.get("probabilities") or {}).get(metadata[b"slipway.class"].decode())
    if field.name == "at":
        return to_time(row["at"])
    return prediction.get(field.name) if field.name in ("label", "probability", "value") else \
        row[field.name]


def batch_of(pa, schema, rows):
    arrays = [pa.array([cell(pa, field, row) for row in rows], type=field.type)
              for field in schema]
    return pa.record_batch(arrays, schema=schema)


def write(file, schema, rows):
    """rows: dicts as GET /api/models/{model}/predictions has them. Their number."""
    pa = require()
    count = 0
    with pa.parquet.ParquetWriter(file, schema, compression="snappy") as writer:
        while True:
            group = []
            for _ in range(BATCHES_OF_GROUP):
                batch = list(itertools.islice(rows, ROWS_OF_BATCH))
                if batch:
                    group.append(batch_of(pa, schema, batch))
                    count += len(batch)
            if not group:
                return count
            writer.write_table(pa.Table.from_batches(group, schema))
