"""What a Python model of Slipway may import: errors that mean something to the caller.

Everything else in this package is the other end of the server's socket and no interface.
"""

VERSION = 1


class InputError(ValueError):
    """The caller's input is wrong: the request fails with status 400 and this message."""


class Interrupted(BaseException):
    """The request's time is over, or its caller has left. Let it pass, as KeyboardInterrupt."""
