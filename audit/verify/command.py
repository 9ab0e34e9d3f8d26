"""``strongroom verify`` and ``strongroom-verify.pyz``: arguments in, exit code out.

Exit code 0: good. 1: bad, the first bad seq and the place are named. 2: could not check.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from audit.verify import pace
from audit.verify.anchor import load
from audit.verify.exported import LOG_URL, verify_exported
from audit.verify.files import read_file
from audit.verify.live import verify_datadir
from audit.verify.packed import verify_packed
from audit.verify.production import verify_production
from audit.verify.report import UNCHECKED, Bad, Report, Unchecked, as_json, as_text
from audit.verify.share import WHOLE, parse
from audit.verify.source import Directory, Http

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.verify.share import Share

_MAX_TOKEN_BYTES: Final = 16 * 1024
_REDRAW_SECONDS: Final = 0.5
_MAX_RATE_MIB: Final = 1 << 20


class _Progress:
    """Shows on a terminal how far it is; elsewhere it is silent."""

    def __init__(self) -> None:
        self._shown, self._next = sys.stderr.isatty(), 0.0

    def __call__(self, records: int) -> None:
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _REDRAW_SECONDS
            sys.stderr.write(f"\r{records} checked")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def verify(options: argparse.Namespace, report: Report) -> None:
    """Verify a target.

    Args:
        options: As :func:`main` parsed them.
        report: Receives everything found.

    Raises:
        Bad: The target is so bad that nothing more can be said.
        Unchecked: It could not be checked.
    """
    target: str = options.target
    progress = _Progress()
    share = _share(options.share)
    outside = load(options.vkey, options.checkpoint, target)
    try:
        if target.startswith(("http://", "https://")) and share == WHOLE:
            token = _token(options.token_file) if options.token_file else ""
            source = Http(target, token)
            source.check()
            verify_exported(source, outside, report, progress)
        elif os.path.isfile(target) and share == WHOLE:  # noqa: PTH113 - a str, as given
            verify_packed(target, outside, report, progress)
        elif not os.path.isdir(target):  # noqa: PTH112 - as above
            raise Unchecked(
                f"{target}: no such directory; give a data directory, an exported log, a production or a URL"
            )
        elif _is(target, "vault.json") or _is(target, "streams"):
            verify_datadir(target, outside, report, progress, share)
        elif share != WHOLE:
            raise Unchecked("--share is for a data directory: anything else is verified whole")
        elif _is(target, "bagit.txt") or _is(target, "data"):
            verify_production(target, outside, report, progress)
        elif _is(target, "checkpoint") or _is(target, "tile"):
            verify_exported(Directory(target), outside, report, progress)
        else:
            raise Unchecked(
                f"{target}: no data directory, exported log or production; give one of them, or a log's URL, {LOG_URL}"
            )
    finally:
        progress.end()


def _is(target: str, name: str) -> bool:
    return os.path.lexists(os.path.join(target, name))  # noqa: PTH118 - a str, as given


def _share(text: str) -> Share:
    try:
        return parse(text)
    except ValueError as error:
        raise Unchecked(f"--share: {error}") from error


def _rate(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _MAX_RATE_MIB):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number of MiB from 1 on")
    return int(text)


def _token(path: str) -> str:
    try:
        token = (read_file(path, _MAX_TOKEN_BYTES, path) or b"").decode("ascii").strip()
    except (Bad, UnicodeDecodeError) as error:
        raise Unchecked(f"{path}: not a token") from error
    if not token or not token.isprintable():
        raise Unchecked(f"{path}: not a token")
    return token


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strongroom verify",
        description="Re-read and check every byte. Exit code: 0 good, 1 bad, 2 could not check.",
    )
    parser.add_argument(
        "target", metavar="TARGET", help="data directory, exported log, production (its ZIP, too), or a log's URL"
    )
    parser.add_argument(
        "--vkey", metavar="FILE", action="append", default=[], help="the log's public key, kept outside the target"
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", action="append", default=[], help="a checkpoint saved earlier, outside it"
    )
    parser.add_argument("--require-anchor", action="store_true", help="exit 2 where nothing outside vouches for it")
    parser.add_argument("--token-file", metavar="FILE", help="bearer token for a URL")
    parser.add_argument(
        "--share", metavar="K/N", default="1/1", help="of a data directory's packs and blobs, read only share K of N"
    )
    parser.add_argument("--rate", metavar="MIB", type=_rate, help="read at most so many MiB a second, in one process")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        Exit code: 0 good, 1 bad, 2 could not check.
    """
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed its help or what is wrong
        return stop.code if isinstance(stop.code, int) else UNCHECKED
    report = Report(options.target)
    collecting = gc.isenabled()
    pace.keep(pace.Pace(options.rate << 20) if options.rate else None)
    gc.disable()  # records make no cycles, and looking for some takes a quarter of the time
    try:
        verify(options, report)
    except Bad as bad:
        report.findings.append(bad.finding)
    except Unchecked as why:
        report.unchecked = str(why)
    except KeyboardInterrupt:
        report.unchecked = "interrupted"
    except Exception as error:  # noqa: BLE001 - the one boundary: whatever the target made happen, no traceback
        report.unchecked = f"internal error: {type(error).__name__}: {error}"
    finally:
        if collecting:
            gc.enable()
        if (kept := pace.kept()) is not None:
            report.counts["bytes read"] = kept.taken
        pace.keep(None)
    write = as_json if options.json else as_text
    if sys.stdout is None:  # closed by whoever called
        return UNCHECKED
    try:
        sys.stdout.write(write(report, require_anchor=options.require_anchor) + "\n")
        sys.stdout.flush()
    except OSError:
        return UNCHECKED  # nobody reads the answer
    return report.exit_code(require_anchor=options.require_anchor)
