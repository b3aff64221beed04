"""The command line `rla-gym`: one file for each command, imported when the command line is parsed."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from rla_gym.cli.flags import in_flags
from rla_gym.cli.unfinished import UNFINISHED, UnfinishedError
from rla_gym.tasks.offscreen import RenderingError
from rla_gym.utils.optional import require

EXPECTED = (ValueError, KeyError, OSError, ImportError, FloatingPointError, RenderingError)
"""Errors whose text says what to do, or which the system gave; anything else is a bug and keeps its traceback."""

LIBRARIES = {
    "torch": ("OutOfMemoryError", "AcceleratorError", "CudaError", "DeferredCudaCallError"),
    "safetensors": ("SafetensorError",),
}
"""Errors of other packages that are the machine's or a file's, by package; they are no subclasses of `EXPECTED`."""

ADVICE = {
    errno.EACCES: "choose another place, or give yourself the right to it",
    errno.EPERM: "choose another place, or give yourself the right to it",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "name one that is there; if it was a moment ago, it was removed or unmounted",
    errno.ENOTDIR: "a part of this path is a file: choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "make room or choose another place, then give the same command again",
    errno.EDQUOT: "make room or choose another place, then give the same command again",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ESTALE: "the file system went away: give the same command again when it is back",
    errno.EIO: "the disk or the network failed: give the same command again when it works",
    errno.EAGAIN: "another process has locked it: wait until that one has ended",
}
"""What to do about an error that the system gave."""

RESUMING = ("demo", "collect", "encode", "train", "build")
"""Commands that go on where they were interrupted."""

TRACEBACK = "RLA_GYM_TRACEBACK"
"""Environment variable: set, and expected errors show their traceback too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `rla-gym` with `arguments`, by default those of the process.

    Returns:
        Exit status: 0, 1 if the output was closed, 2 after an expected error (one line on stderr), 75 where `--minutes`
        or SIGTERM stopped it before its work was done (the same command resumes it), 130 after Ctrl-C.

    Raises:
        SystemExit: `--help` (0), or arguments that do not parse (2).
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        from rla_gym import __version__

        print(f"rla-gym {__version__}")
        return 0
    if sys.platform == "linux":
        # MuJoCo reads it when it is imported; processes started later inherit it.
        os.environ.setdefault("MUJOCO_GL", "egl")
    if "" not in sys.path and os.getcwd() not in sys.path:
        # For tasks and success rules of a module beside the data; last, so that no installed module is shadowed.
        sys.path.append(os.getcwd())
    command: Any = None
    try:
        require("tyro", extra="cli")
        from rla_gym.cli.bounds import check_command
        from rla_gym.cli.commands import parse

        command = parse(arguments)
        check_command(command)
        command.run()
    except UnfinishedError as unfinished:
        print(f"unfinished: {unfinished}", file=sys.stderr)
        return UNFINISHED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not try to flush the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not is_expected(error):
            raise
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        print(f"error: {in_flags(one_line(error), command)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        goes_on = arguments[:1] and arguments[0] in RESUMING
        then = "and the same command goes on from there" if goes_on else "the command begins anew when given again"
        print(f"interrupted; what was written is whole, {then}", file=sys.stderr)
        return 130
    return 0


def is_expected(error: BaseException) -> bool:
    """Whether an error is one line for the user, or a bug."""
    known = LIBRARIES.get(type(error).__module__.split(".")[0], ())
    return isinstance(error, EXPECTED) or type(error).__name__ in known


def one_line(error: BaseException) -> str:
    """The text of an error in one line; of the system's, what to do too; of a KeyError, no quotes of Python's."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.errno is not None and error.strerror is not None:
        text = str(error.strerror)
        if text == os.strerror(error.errno):  # the system's own words, and not a sentence of ours
            places = [
                os.fsdecode(place) for place in (error.filename, error.filename2) if isinstance(place, str | bytes)
            ]
            advice = ADVICE.get(error.errno)
            text = ": ".join([*places[:1], f"{text}; {advice}" if advice else text])
    return " ".join(text.split()) or type(error).__name__
