"""A command's process: Ctrl-C from the first import on, output that cannot be written, text that a terminal obeys."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

INTERRUPTED, BROKEN_PIPE = 130, 141
STOPPED = "repro: stopped; what was finished is kept\n"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that reorder text."""
REFUSALS = {
    errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO,
    errno.EFBIG, errno.EMFILE, errno.ENFILE,
}  # fmt: skip
"""Answers of the system about a file that the user named, or about the disk: a sentence, not a trace."""


def clean(text: str) -> str:
    r"""Return a text with its control characters written out (``\x1b``), so that no terminal obeys them."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Output(io.FileIO):
    """A file whose first failed write is noted; it and all later ones are dropped."""

    fault: OSError | None = None

    def write(self, data: Any) -> int | None:  # type: ignore[override]  # noqa: ANN401 - any buffer
        """Write, or drop what cannot be written."""
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as error:
                self.fault = error
        return len(data)


class _State:
    """Of this process."""

    outputs: tuple[_Output, ...] = ()
    working = interrupted = False


def survive() -> None:
    """Have failed writes to standard output and error noted instead of raised: a full disk, a closed pipe or terminal.

    A stream that was closed from the start is the null device. Streams that a caller put in their place (tests) stay.
    """
    if os.name != "posix" or _State.outputs or sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        return
    for number in (0, 1, 2):  # the next file opened would take the number, and get what libraries print
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the standard library's signature
    sys.stdout, sys.stderr = _stream(sys.stdout, 1), _stream(sys.stderr, 2)


def _stream(given: TextIO | None, number: int) -> TextIO:
    if given is not None:
        with suppress(OSError):
            given.flush()
    output = _Output(number, "w", closefd=False)
    _State.outputs = (*_State.outputs, output)
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=given.encoding if given else "utf-8",
        errors="backslashreplace" if given is None or given.errors == "strict" else given.errors,
        line_buffering=number == 2 or output.isatty() or getattr(given, "write_through", False),  # noqa: PLR2004 - stderr
    )


def begin() -> None:
    """Take over Ctrl-C and the streams of a command's process, before anything heavy is imported."""
    survive()
    in_main = threading.current_thread() is threading.main_thread()
    if _State.outputs and in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _unraisable


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End at once where no work has begun or all is done; else raise ``KeyboardInterrupt``."""
    if not _State.working:
        with suppress(OSError):
            os.write(2, STOPPED.encode())
        os._exit(INTERRUPTED)
    _State.interrupted = True
    signal.default_int_handler(number, frame)


def _unraisable(dropped: Any) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs, which exists for type checkers only
    """Ask again where Python dropped an interrupt that came in a callback of its own."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    again = threading.Timer(0.01, signal.raise_signal, [signal.SIGINT])
    again.daemon = True
    again.start()


@contextmanager
def _working() -> Iterator[None]:
    _State.working = True
    try:
        yield
    finally:
        _State.working = False


def run(load: Callable[[], Callable[[], object]]) -> None:
    """Do a command's work and end the process where its exit code is not 0.

    Args:
        load: imports what the work needs and returns it; Ctrl-C meanwhile ends the process at once.
    """
    begin()
    try:
        work = load()
        with _working():
            code = work()
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:
        code = _refused(error)
        if code is None:
            raise
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    if code := _after(code if isinstance(code, int) else 0):
        sys.exit(code)


def _refused(error: BaseException) -> int | None:
    """Write one sentence about an interrupt or a file that the system refuses; None for any other error."""
    if _State.interrupted or isinstance(error, KeyboardInterrupt):
        sys.stderr.write(STOPPED)
        return INTERRUPTED
    if isinstance(error, OSError) and error.errno in REFUSALS:
        name = clean(" ".join(str(error.filename or "a file").split()))
        name = name if len(name) <= 100 else f"{name[:48]}...{name[-48:]}"  # noqa: PLR2004 - a line
        sys.stderr.write(f"repro: {name}: {error.strerror}\n")
        return 2
    return None


def _after(code: int) -> int:
    """Return the exit code, in which output that was lost shows; say so but where the reader left (a pipe)."""
    if not _State.outputs:
        return code
    sys.stdout.flush()
    fault = _State.outputs[0].fault
    if fault is None:
        return code
    if fault.errno == errno.EPIPE:
        return code or BROKEN_PIPE
    sys.stderr.write(f"repro: not all of the output could be written ({fault.strerror}); the work itself was done\n")
    return code or 1
