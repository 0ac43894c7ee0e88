"""Tensors of the Open Inference Protocol from nested lists or NumPy arrays, and back."""
DATATYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "int8": "INT8",
             "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8",
             "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "bool": "BOOL"}


def shape_of(name, value):
    """[2, 3] of nested lists; those of one level must be of one length."""
    shape = []
    while isinstance(value, (list, tuple)):
        shape.append(len(value))
        inner = [item for item in value if isinstance(item, (list, tuple))]
        if inner and (len(inner) < len(value) or len({len(item) for item in inner}) > 1):
            raise ValueError(f"input '{name}': lists of one level have different lengths")
        value = value[0] if value else None
    return shape


def flat(value):
    if not isinstance(value, (list, tuple)):
        return [value]
    return [item for part in value for item in flat(part)]


def datatype_of(name, values):
    """Numbers are FP32, what most models take; INT64 when all of them are whole by type."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    if kinds == {str}:
        return "BYTES"
    if kinds and kinds <= {int, float}:
        return "FP32"
    raise ValueError(f"input '{name}': expected numbers, booleans or texts, got "
                     f"{', '.join(sorted(kind.__name__ for kind in kinds)) or 'nothing'}")


def to_tensor(name, value):
    dtype = DATATYPES.get(str(getattr(value, "dtype", "")))
    value = value.tolist() if hasattr(value, "tolist") else value
    data = flat(value)
    return {"name": name, "shape": shape_of(name, value),
            "datatype": dtype or datatype_of(name, data), "data": data}


def nested(tensor):
    """The data of a reply's tensor in lists of its shape."""
    data = flat(tensor["data"])
    for size in reversed(tensor["shape"][1:]):
        data = [data[i:i + size] for i in range(0, len(data), size)]
    return data
