"""Frames of the worker protocol (docs/worker-protocol.md), one message of the socket each."""
import json
import mmap
import os
import struct

START, MEMORY, CALL, PING, REFUSE = 1, 2, 3, 4, 5
READY, RESULT, FAILED, NEED, PONG = 16, 17, 18, 19, 20

MAGIC = 0x31574C53  # "SLW1"
HEAD = struct.Struct("<IHHQQII")
TENSOR = struct.Struct("<BBHIQQ8q")
FRAME_BYTES_MAX = HEAD.size + 64 * TENSOR.size + 32 * 1024
TEXT_BYTES_MAX = 32 * 1024
ALIGN = 64


class Connection:
    """The socket to the server, and the memory that both see."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray(FRAME_BYTES_MAX)
        self.view = memoryview(self.buffer)
        self.memory = None

    def receive(self):
        """kind, call, value, tensors, text of the next frame; None when the server has gone."""
        size, ancillary, _, _ = self.sock.recvmsg_into([self.buffer], 64)
        if size == 0:
            return None
        magic, kind, count, call, value, text_bytes, _ = HEAD.unpack_from(self.buffer)
        if magic != MAGIC:
            raise RuntimeError("the server speaks another version of the worker protocol")
        if kind == MEMORY:
            self.map(ancillary, value)
        tensors = [TENSOR.unpack_from(self.buffer, HEAD.size + i * TENSOR.size)
                   for i in range(count)]
        text = bytes(self.view[size - text_bytes:size]) if text_bytes else b""
        return kind, call, value, tensors, text

    def map(self, ancillary, size):
        for _, _, data in ancillary:
            fd = struct.unpack("i", data[:4])[0]
            self.memory = mmap.mmap(fd, size, mmap.MAP_SHARED)
            os.close(fd)

    def send(self, kind, call=0, value=0, tensors=(), text=b""):
        text = text[:TEXT_BYTES_MAX]
        parts = [HEAD.pack(MAGIC, kind, len(tensors), call, value, len(text), 0)]
        for index, dtype, shape, offset, size in tensors:
            parts.append(TENSOR.pack(dtype, len(shape), index, 0, offset, size, *shape,
                                     *(0,) * (8 - len(shape))))
        parts.append(text)
        self.sock.send(b"".join(parts))

    def send_json(self, kind, call, value):
        self.send(kind, call, text=json.dumps(value).encode("utf-8", "replace"))


def aligned(size):
    return (size + ALIGN - 1) // ALIGN * ALIGN
