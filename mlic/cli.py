"""The command `mlic`: its verbs, its exit codes and what it says when something is wrong."""

import argparse
import contextlib
import errno
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from types import FrameType

from mlic import __version__
from mlic.allocator import keep_blocks
from mlic.errors import MlicError, UsageError, did_you_mean
from mlic.pages import PAGES
from mlic.threads import settle_threads

__all__ = ["main"]

_VERBS = (
    *("demo", "fit", "validate", "test", "predict", "explain", "calibrate", "report", "export", "push", "serve"),
    *("data", "features", "search", "plugins", "doctor"),
)

_HELP = """\
mlic trains, judges and serves multi-label image classifiers: one image, several labels.

usage: mlic VERB [OPTIONS]

  demo       draw a small data set, train on it and test: no data and no network needed
  fit        train:          mlic fit --config configs/inception.yaml --data.train labels.csv
  validate   evaluate on the validation samples:  mlic validate --ckpt_path best.ckpt
  test       evaluate on the test samples:        mlic test --ckpt_path best.ckpt --data.test test.csv
  calibrate  fit thresholds anew for what counts:  mlic calibrate --ckpt_path best.ckpt ...
  report     write the report of a test again, or compare two:  mlic report A B
  predict    label images:   mlic predict --ckpt_path best.ckpt PATH... --output out.csv
  explain    show where it saw each class:  mlic explain --ckpt_path best.ckpt IMAGE... --class dog
  export     one file with all in it: ONNX ...:   mlic export --ckpt_path best.ckpt --format onnx
  push       put such a folder on the Hugging Face hub:  mlic push FOLDER --repo user/name
  serve      answer over HTTP, with a page to try it:  mlic serve --ckpt_path best.ckpt
  data       look at annotations of any format, check, convert or split them:  mlic data stats labels.csv
  features   what a frozen backbone made of each image, kept for the next training:  mlic features info
  search     try heads, losses and settings on them, and keep the best:  mlic search --space configs/search.yaml ...
  plugins    list the parts that a configuration may name
  doctor     tell what this machine and this installation can do

options of every verb:

  --help     all its options
  --json     the result for machines, on stdout
  --debug    a traceback where there is an error

mlic --version tells the version.
Exit codes: 0 done, 1 failed at run time, 2 wrong usage, configuration or data, 130 interrupted, 143 terminated.
"""


class _Stopped(BaseException):
    """A signal asked the process to stop. Not an Exception, so that nothing but `main` takes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb and returns the exit code.

    Args:
        arguments: the words after `mlic`; by default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug, as_json = _take(words, "--debug"), _take(words, "--json")
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_HELP)
        return 0
    if words[0] in ("-V", "--version"):
        sys.stdout.write(f"mlic {__version__}\n")
        return 0
    if words[0] in PAGES and not {"-h", "--help"}.isdisjoint(words[1:]):
        sys.stdout.write(PAGES[words[0]])
        return 0
    try:
        with _signals_raise(), _log_to_stderr():
            _run(words[0], words[1:], as_json)
    except _Stopped as stop:
        _say(stop)
        return stop.exit_code
    except BrokenPipeError:
        # Whoever read stdout has gone (`mlic predict ... | head`); spare the interpreter's own flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as leaving:  # jsonargparse's way to end --help and --print_config
        return leaving.code if isinstance(leaving.code, int) else 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _report(error)
    return 0


def _run(verb: str, arguments: list[str], as_json: bool) -> None:
    if verb not in _VERBS:
        raise UsageError(f"'{verb}' is not a verb{did_you_mean(verb, _VERBS)}\nverbs: {', '.join(_VERBS)}")
    arguments = ["--help" if word == "--help-all" else word for word in arguments]
    settle_threads()
    keep_blocks()
    importlib.import_module(f"mlic.verbs.{verb}").run(arguments, as_json)


def _report(error: Exception) -> int:
    """Says what is wrong in few lines and returns the exit code."""
    known = _foreseen(error)
    if known is not None:
        _say(known)
        return known.exit_code
    if isinstance(error, argparse.ArgumentError):
        from mlic.complaints import condense

        _say(UsageError(condense(str(error))))
        return UsageError.exit_code
    first = str(error).strip().splitlines()[0] if str(error).strip() else ""
    unforeseen = MlicError(
        f"{error.filename or 'the output'}: no space left on the disk"
        if isinstance(error, OSError) and error.errno == errno.ENOSPC
        else f"{type(error).__name__}: {first}\nmlic did not foresee this; --debug shows where it happened"
    )
    for note in getattr(error, "__notes__", ()):
        unforeseen.add_note(note)
    _say(unforeseen)
    return unforeseen.exit_code


def _foreseen(error: BaseException | None) -> MlicError | None:
    """Returns the error of mlic that `error` is, or was raised from."""
    while error is not None and not isinstance(error, MlicError):
        error = error.__cause__ or error.__context__
    return error


def _say(error: BaseException) -> None:
    word = "" if isinstance(error, _Stopped) else "error: "
    lines = [f"{word}{error}", *getattr(error, "__notes__", ())]
    sys.stdout.flush()
    sys.stderr.write("\n".join(lines) + "\n")


def _take(words: list[str], option: str) -> bool:
    """Removes an option that every verb has from `words` and says whether it was there."""
    found = option in words
    words[:] = [word for word in words if word != option]
    return found


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end whatever runs, in this process; workers die with their parent."""
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise _Stopped(number)
        if number == signal.SIGTERM:
            os._exit(128 + number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, which alone may have handlers
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Shows mlic's own log as plain lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    ours = logging.getLogger("mlic")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
