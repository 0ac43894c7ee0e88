"""Tensors in shared memory <-> what Python code works with.

With numpy in the interpreter a tensor is an array of its own, which the model may keep; without,
nested lists. BYTES are `bytes` objects. BF16, which numpy does not know, becomes float32.
"""
import struct

try:
    import numpy
except ImportError:
    numpy = None

# In the order of the protocol's codes: name, numpy's name, struct's code, bytes.
DTYPES = (("BOOL", "?", "?", 1), ("UINT8", "u1", "B", 1), ("UINT16", "u2", "H", 2),
          ("UINT32", "u4", "I", 4), ("UINT64", "u8", "Q", 8), ("INT8", "i1", "b", 1),
          ("INT16", "i2", "h", 2), ("INT32", "i4", "i", 4), ("INT64", "i8", "q", 8),
          ("FP16", "f2", "e", 2), ("BF16", None, None, 2), ("FP32", "f4", "f", 4),
          ("FP64", "f8", "d", 8), ("BYTES", None, None, 0))
CODES = {row[0]: code for code, row in enumerate(DTYPES)}
BF16, BYTES = CODES["BF16"], CODES["BYTES"]
NUMPY = tuple(numpy.dtype(row[1]) if numpy and row[1] else None for row in DTYPES)


class OutputError(Exception):
    """The model returned something that its outputs do not allow."""


# ---- from the memory ----

def split_texts(data, count):
    texts, at = [], 0
    for _ in range(count):
        size = struct.unpack_from("<I", data, at)[0]
        texts.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return texts


def nested(flat, shape):
    """A flat list as lists in lists."""
    for size in reversed(shape[1:]):
        count = len(flat) // size if size else 0
        flat = [flat[i * size:(i + 1) * size] for i in range(count)]
    if not shape:
        return flat[0]
    return flat


def widen_bf16(words):
    return struct.unpack(f"<{len(words)}f",
                         struct.pack(f"<{len(words)}I", *(word << 16 for word in words)))


def read_plain(memory, dtype, shape, offset, size):
    data = memory[offset:offset + size]
    if dtype == BYTES:
        count = 1
        for dimension in shape:
            count *= dimension
        return nested(split_texts(data, count), shape)
    if dtype == BF16:
        return nested(list(widen_bf16(struct.unpack(f"<{size // 2}H", data))), shape)
    _, _, code, width = DTYPES[dtype]
    return nested(list(struct.unpack(f"<{size // width}{code}", data)), shape)


def read_array(memory, dtype, shape, offset, size):
    if dtype == BYTES:
        count = int(numpy.prod(shape, dtype="i8"))
        array = numpy.empty(count, dtype=object)
        array[:] = split_texts(memory[offset:offset + size], count)
        return array.reshape(shape)
    if dtype == BF16:
        words = numpy.frombuffer(memory, "<u2", size // 2, offset).astype("u4") << 16
        return words.view("f4").reshape(shape)
    kind = NUMPY[dtype]
    if size == 0:
        return numpy.empty(shape, kind)
    return numpy.ndarray(shape, kind, memory, offset).copy()


def read(memory, tensor):
    dtype, rank, _, _, offset, size = tensor[:6]
    shape = tensor[6:6 + rank]
    return (read_array if numpy else read_plain)(memory, dtype, shape, offset, size)


# ---- to bytes ----

def join_texts(texts):
    parts = []
    for text in texts:
        if isinstance(text, str):
            text = text.encode("utf-8")
        elif not isinstance(text, (bytes, bytearray)):
            text = str(text).encode("utf-8")
        parts.append(struct.pack("<I", len(text)))
        parts.append(text)
    return b"".join(parts)


def narrow_bf16(array):
    """Nearest, ties to even; NaN stays NaN."""
    bits = array.astype("f4").view("u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return numpy.where(numpy.isnan(array), 0x7FC0, rounded).astype("<u2")


def fit_shape(shape, want, name):
    """The shape as it is declared; dimensions of size 1 at the end may be missing or too many."""
    shape = tuple(shape)
    while len(shape) > len(want) and shape[-1] == 1:
        shape = shape[:-1]
    while len(shape) < len(want) and want[len(shape)] == 1:
        shape += (1,)
    if len(shape) != len(want) or any(w not in (-1, s) for s, w in zip(shape, want)):
        raise OutputError(f"output '{name}' has shape {list(shape)}, {list(want)} is declared")
    return shape


def write_array(value, name, dtype, want):
    array = numpy.asarray(value)
    shape = fit_shape(array.shape, want, name)
    if dtype == BYTES:
        return shape, join_texts(array.ravel().tolist())
    target = NUMPY[dtype] if dtype != BF16 else numpy.dtype("f4")
    if array.dtype != target:
        if not numpy.can_cast(array.dtype, target, "same_kind"):
            raise OutputError(f"output '{name}' is {array.dtype}, "
                              f"{DTYPES[dtype][0]} is declared")
        array = array.astype(target)
    if dtype == BF16:
        array = narrow_bf16(array)
    return shape, memoryview(numpy.ascontiguousarray(array)).cast("B")


def shape_of(value):
    shape = []
    while isinstance(value, (list, tuple)):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def flatten(value, depth):
    for _ in range(depth - 1):
        value = [item for part in value for item in part]
    return value


def write_plain(value, name, dtype, want):
    shape = shape_of(value)
    flat = flatten(value, len(shape)) if shape else [value]
    shape = fit_shape(shape, want, name)
    if dtype == BYTES:
        return shape, join_texts(flat)
    try:
        if dtype == BF16:
            words = struct.unpack(f"<{len(flat)}I", struct.pack(f"<{len(flat)}f", *flat))
            words = [(w + 0x7FFF + ((w >> 16) & 1)) >> 16 if w & 0x7F800000 != 0x7F800000
                     or not w & 0x7FFFFF else 0x7FC0 for w in words]
            return shape, struct.pack(f"<{len(words)}H", *words)
        return shape, struct.pack(f"<{len(flat)}{DTYPES[dtype][2]}", *flat)
    except (struct.error, OverflowError, TypeError) as error:
        raise OutputError(f"output '{name}' is no {DTYPES[dtype][0]}: {error}") from None


def write(value, name, dtype, want):
    """Shape and bytes of an output."""
    if hasattr(value, "detach"):  # a torch tensor that still has its gradient
        value = value.detach().cpu().numpy()
    shape, data = (write_array if numpy else write_plain)(value, name, dtype, want)
    return shape, data
