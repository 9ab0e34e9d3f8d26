"""``strongroom verify`` and ``strongroom-verify.pyz``: arguments in, exit code out.

Exit code 0: good. 1: bad, the first bad seq and the place are named. 2: could not check.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Final

from audit.verify import kafka_properties, pace
from audit.verify.anchor import load
from audit.verify.exported import LOG_URL, verify_exported
from audit.verify.files import read_file
from audit.verify.kafka_python import KafkaPython
from audit.verify.librdkafka import Librdkafka
from audit.verify.live import verify_datadir
from audit.verify.outside_log import load as load_logs
from audit.verify.packed import verify_packed
from audit.verify.production import verify_production
from audit.verify.relay_topics import Target, verify_topics
from audit.verify.report import UNCHECKED, Bad, Report, Unchecked, as_json, as_text
from audit.verify.share import WHOLE, parse
from audit.verify.source import Directory, Http

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from audit.verify.share import Share
    from audit.verify.topic import Reader

_MAX_TOKEN_BYTES: Final = 16 * 1024
_REDRAW_SECONDS: Final = 0.5
_MAX_RATE_MIB: Final = 1 << 20
_READERS: Final[dict[str, Callable[[str, Mapping[str, str]], Reader]]] = {
    "librdkafka": Librdkafka,
    "kafka-python": KafkaPython,
}
_TOPIC_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")


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
    progress = _Progress()
    try:
        (_verify_kafka if options.kafka else _verify_target)(options, report, progress)
    finally:
        progress.end()


def _verify_kafka(options: argparse.Namespace, report: Report, progress: _Progress) -> None:
    outside = load(options.vkey, options.checkpoint, f"kafka://{options.kafka}")
    token = _token(options.token_file) if options.token_file else ""
    said = kafka_properties.load(options.kafka_properties) if options.kafka_properties else {}
    logs = load_logs(options.log, token, [key for key, _ in outside.keys], report)
    reader = _READERS[options.reader](options.kafka, said)
    verify_topics(Target(reader, options.topics, logs), outside, report, progress)


def _verify_target(options: argparse.Namespace, report: Report, progress: _Progress) -> None:
    target: str = options.target
    share = _share(options.share)
    outside = load(options.vkey, options.checkpoint, target)
    if target.startswith(("http://", "https://")) and share == WHOLE:
        token = _token(options.token_file) if options.token_file else ""
        source = Http(target, token)
        source.check()
        verify_exported(source, outside, report, progress)
    elif os.path.isfile(target) and share == WHOLE:  # noqa: PTH113 - a str, as given
        verify_packed(target, outside, report, progress)
    elif not os.path.isdir(target):  # noqa: PTH112 - as above
        raise Unchecked(f"{target}: no such directory; give a data directory, an exported log, a production or a URL")
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
        "target",
        metavar="TARGET",
        nargs="?",
        help="data directory, exported log, production (its ZIP, too), or a log's URL",
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
    kafka = parser.add_argument_group("topics of Kafka, in place of TARGET")
    kafka.add_argument(
        "--kafka", metavar="BOOTSTRAP", help="brokers, with commas between them: verify a relay's topics"
    )
    kafka.add_argument(
        "--log",
        metavar="LOG",
        action="append",
        default=[],
        help="hold the topics against this log: exported, a data directory, or a URL",
    )
    kafka.add_argument(
        "--topics",
        metavar="PREFIX",
        default="strongroom",
        help="their names are PREFIX.records, PREFIX.checkpoints and PREFIX.cursors (default: %(default)s)",
    )
    kafka.add_argument(
        "--reader",
        choices=sorted(_READERS, reverse=True),
        default="librdkafka",
        help="the library that reads; kafka-python has no code in common with the relay's (default: %(default)s)",
    )
    kafka.add_argument(
        "--kafka-properties", metavar="FILE", help="settings of the client (TLS, SASL): name=value, librdkafka's names"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    if bool(options.target) == bool(options.kafka):
        parser.error("give either TARGET or --kafka BOOTSTRAP")
    if options.kafka and (options.share != "1/1" or options.rate):
        parser.error("--share and --rate are for what lies on a disk")
    if not options.kafka and (options.log or options.kafka_properties):
        parser.error("--log and --kafka-properties go with --kafka")
    if not _TOPIC_PREFIX.fullmatch(options.topics):
        parser.error("--topics: no topic's name begins like this")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        Exit code: 0 good, 1 bad, 2 could not check.
    """
    try:
        options = _options(argv)
    except SystemExit as stop:  # argparse has printed its help or what is wrong
        return stop.code if isinstance(stop.code, int) else UNCHECKED
    report = Report(options.kafka or options.target)
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
