"""Shared memory of a program and its server: tensors that are in it are not sent.

    client = slipway.Client("unix:slipway-data/slipway.sock")
    with client.region(1 << 20) as region:
        x = region.put(array)                       # where it is, for infer
        answer = client.infer("net", {"input": x}, {"predict": region.room(4096, offset=1 << 19)})
        answer["predict"]                           # a memoryview of the region

The memory is a sealed memfd that is handed to the server by its descriptor, over the Unix socket.
It belongs to the connection, that is to the thread that made it.
"""
import dataclasses
import fcntl
import math
import mmap
import os
import struct

from .oip import DATATYPES, to_tensor
from .transport import quote, to_json

F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4
FORMATS = {"BOOL": "?", "INT8": "b", "UINT8": "B", "INT16": "h", "UINT16": "H", "INT32": "i",
           "UINT32": "I", "INT64": "q", "UINT64": "Q", "FP32": "f", "FP64": "d"}


def parameters(name, offset, size):
    return {"shared_memory_region": name, "shared_memory_offset": offset,
            "shared_memory_byte_size": size}


def little_endian(value, datatype):
    return struct.pack(f"<{len(value)}{FORMATS[datatype]}", *value)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A tensor in a region, as an input of infer."""
    region: object
    offset: int
    size: int
    shape: list
    datatype: str

    def to_tensor(self, name):
        return {"name": name, "shape": self.shape, "datatype": self.datatype,
                "parameters": parameters(self.region.name, self.offset, self.size)}


@dataclasses.dataclass(frozen=True)
class Room:
    """Where an output of infer goes."""
    region: object
    offset: int
    size: int

    def to_output(self, name):
        return {"name": name, "parameters": parameters(self.region.name, self.offset, self.size)}

    def view(self, tensor):
        """The output that a reply says is there: a memoryview of its type and shape, or bytes."""
        size = tensor["parameters"]["shared_memory_byte_size"]
        view = memoryview(self.region.bytes)[self.offset:self.offset + size]
        form = FORMATS.get(tensor["datatype"])
        return view.cast(form, tensor["shape"]) if form and math.prod(tensor["shape"]) else view


class Region:
    """`size` bytes; `bytes` is the memory. Closed with `with` or close()."""

    def __init__(self, transport, size, name):
        if transport.url.scheme != "unix":
            raise ValueError("memory is handed over on a Unix socket only: Client('unix:...')")
        self.transport = transport
        self.name = name
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, size)
            fcntl.fcntl(self.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
            self.bytes = mmap.mmap(self.fd, size)
            transport.request("POST", self._path("register"),
                              to_json({"key": name, "offset": 0, "byte_size": size}), fd=self.fd)
        except BaseException:
            os.close(self.fd)
            raise

    def _path(self, verb):
        return f"/v2/systemsharedmemory/region/{quote(self.name)}/{verb}"

    def put(self, value, offset=0):
        """Copy a NumPy array or nested lists there; what comes back is an input for infer."""
        dtype = DATATYPES.get(str(getattr(value, "dtype", "")))
        if dtype:
            data, shape = value.tobytes(), list(value.shape)
        else:
            tensor = to_tensor("the tensor", value)
            dtype, shape = tensor["datatype"], tensor["shape"]
            if dtype not in FORMATS:
                raise ValueError(f"tensors of {dtype} are not put into shared memory")
            data = little_endian(tensor["data"], dtype)
        self.bytes[offset:offset + len(data)] = data
        return Placed(self, offset, len(data), shape, dtype)

    def room(self, size, offset=0):
        """Where an output goes: for infer's `outputs`, a dictionary then."""
        return Room(self, offset, size)

    def close(self):
        if self.fd is None:
            return
        fd, self.fd = self.fd, None
        try:
            self.transport.request("POST", self._path("unregister"))
        finally:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
