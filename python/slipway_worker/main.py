"""The loop of a worker: frames in, frames out, until the server has gone."""
import faulthandler
import gc
import json
import os
import platform
import signal
import socket
import sys
import traceback

from slipway_worker import InputError, Interrupted, frames, tensors
from slipway_worker.model import EntryError, Model

SOCKET_FD = 3
MESSAGE_CHARS_MAX = 400


def own_frames(trace):
    """A traceback from the user's first frame on."""
    package = os.path.dirname(__file__)
    at = trace
    while at and os.path.dirname(at.tb_frame.f_code.co_filename) == package:
        at = at.tb_next
    return at or trace


class Worker:
    """One connection, one model."""

    def __init__(self, connection, folder):
        self.connection = connection
        self.folder = folder
        self.model = None
        self.is_in_call = False

    def interrupt(self, *_):
        if self.is_in_call:
            self.is_in_call = False
            raise Interrupted()

    # ---- answers ----

    def fail(self, call, kind, error, is_shown=True):
        """The message goes to the caller, the traceback to the log."""
        if is_shown:
            traceback.print_exception(type(error), error, own_frames(error.__traceback__))
            sys.stderr.flush()
        own = (EntryError, tensors.OutputError, InputError, Interrupted)
        text = str(error) if isinstance(error, own) else f"{type(error).__name__}: {error}"
        self.connection.send_json(frames.FAILED, call,
                                  {"kind": kind, "message": text[:MESSAGE_CHARS_MAX]})

    def start(self, size):
        settings = json.loads(self.connection.memory[:size])
        try:
            self.model = Model(settings, self.folder)
        except (Exception, SystemExit) as error:
            self.fail(0, "load", error, not isinstance(error, EntryError))
            return
        gc.collect()
        gc.freeze()
        self.connection.send_json(frames.READY, 0, {
            "python": platform.python_version(),
            "numpy": tensors.numpy.__version__ if tensors.numpy else None})

    # ---- one call ----

    def write(self, call, outputs, end):
        """Outputs behind the inputs; when they do not fit, the server gives larger memory."""
        places, at = [], frames.aligned(end)
        for index, dtype, shape, data in outputs:
            places.append((index, dtype, shape, at, len(data)))
            at = frames.aligned(at + len(data))
        if at > len(self.connection.memory):
            self.connection.send(frames.NEED, call, at)
            frame = self.connection.receive()
            if frame is None or frame[0] != frames.MEMORY:
                return  # larger than the server allows; the caller knows
        memory = self.connection.memory
        for (_, _, _, offset, size), (_, _, _, data) in zip(places, outputs):
            memory[offset:offset + size] = data
        self.connection.send(frames.RESULT, call, tensors=places)

    def call(self, call, wanted, given, text):
        end = max((t[4] + t[5] for t in given), default=0)
        try:
            self.is_in_call = True
            inputs = [(t[2], tensors.read(self.connection.memory, t)) for t in given]
            outputs = self.model.predict(inputs, wanted, json.loads(text) if text else {})
            self.is_in_call = False
        except Interrupted as error:
            self.fail(call, "interrupted", error)
        except InputError as error:
            self.is_in_call = False
            self.fail(call, "input", error, False)
        except tensors.OutputError as error:
            self.is_in_call = False
            self.fail(call, "output", error, False)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self.is_in_call = False
            self.fail(call, "model", error)
        else:
            self.write(call, outputs, end)

    def run(self):
        while True:
            frame = self.connection.receive()
            if frame is None:
                return
            kind, call, value, given, text = frame
            if kind == frames.CALL:
                self.call(call, value, given, text)
            elif kind == frames.PING:
                self.connection.send(frames.PONG, call)
            elif kind == frames.START:
                self.start(value)


def main(folder):
    """`folder` has the model."""
    faulthandler.enable()
    sys.argv = [folder]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(frames.Connection(socket.socket(fileno=SOCKET_FD)), folder)
    signal.signal(signal.SIGUSR1, worker.interrupt)
    worker.run()
    os._exit(0)
