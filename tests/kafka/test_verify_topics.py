"""A relay's topics on a real broker, whole and tampered with: exit code, the first bad record, named states."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

from audit.verify.exported import parse_bundle
from tests.doubles.filled_vault import FilledVault
from tests.doubles.logbuilder import LogBuilder
from tests.integration.served import STRONGROOM, command, environment
from tests.integration.verify.conftest import whole_log
from tests.kafka.relay import RelayTopics, leaf, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from compose.lab.kafka import Broker

pytestmark = pytest.mark.timeout(300)  # the first one fetches the jars

READERS: Final = ("librdkafka", "kafka-python")
BOTH: Final = [("--reader", reader) for reader in READERS]
_NUMBERS: Final = count()


Answer = tuple[int, dict[str, Any]]


class Verify(Protocol):
    """Runs the command on topics, once for each list of options, all at the same time: exit codes and their JSON."""

    def __call__(self, topics: RelayTopics, *runs: Sequence[Path | str]) -> list[Answer]: ...


class Makes(Protocol):
    """Makes topics of their own."""

    def __call__(self, partitions: int = 1) -> RelayTopics: ...


@pytest.fixture
def topics(broker: Broker) -> Makes:
    def make(partitions: int = 1) -> RelayTopics:
        return RelayTopics(broker.address, f"case-{next(_NUMBERS)}", partitions)

    return make


def ask(address: str, *options: Path | str, patience: float = 60) -> Answer:
    """Run the command, as a process of its own: kafka-python leaves sockets open."""
    arguments = [str(STRONGROOM), "verify", "--kafka", address, "--json", *map(str, options)]
    done = subprocess.run(arguments, env=environment({}), capture_output=True, text=True, timeout=patience, check=False)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 1) == (answer["result"] == "bad") == bool(answer["first_bad"])
    return done.returncode, answer


@pytest.fixture
def verify() -> Verify:
    def run(topics: RelayTopics, *runs: Sequence[Path | str]) -> list[Answer]:
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(ask, topics.address, "--topics", topics.prefix, *run) for run in runs]
            return [each.result() for each in waiting]

    return run


@pytest.fixture(scope="module")
def log() -> LogBuilder:
    """601 records of all kinds."""
    return whole_log()


@pytest.fixture
def export(log: LogBuilder, tmp_path: Path) -> Path:
    log.write_export(tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def vkey(log: LogBuilder, tmp_path: Path) -> Path:
    (tmp_path / "vkey").write_text(f"{log.vkey()}\n")
    return tmp_path / "vkey"


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {state["name"]: state["detail"] for state in answer["states"]}


# --- whole ---


def test_whole_topics_are_good_and_a_key_or_the_log_anchors_them(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path, vkey: Path
) -> None:
    written = topics()
    written.whole(log)
    one, other, not_anchored = verify(written, *BOTH, ["--require-anchor"])
    assert one == other
    code, answer = one
    assert (code, answer["anchored"], answer["states"]) == (0, False, [])
    assert (answer["size"], answer["logs"][0]["checkpoint_size"]) == (601, 601)
    assert (answer["counts"]["object.put"], answer["counts"]["checkpoints"]) == (6, 4)
    assert not_anchored[0] == 2
    brought: list[list[Path | str]] = [["--vkey", vkey], ["--log", export], ["--checkpoint", export / "checkpoint"]]
    for code, again in verify(written, *([*each, "--require-anchor"] for each in brought)):
        assert (code, again["root"], again["logs"][0]["anchored_size"]) == (0, answer["root"], 601)


def real_records(export: Path) -> list[bytes]:
    bundles = sorted(path for path in (export / "tile/entries").rglob("*") if path.is_file())
    return [record for path in bundles for record in parse_bundle(path.read_bytes(), str(path))]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real one, and its log beside it."""
    root = tmp_path_factory.mktemp("real") / "vault"
    with FilledVault(root) as filled:
        for number in range(150):
            filled.put(f"k{number % 7}", b"%d" % number)
    done = command("log", "export", "site-a.node-1", root.with_name("export"), "--data", root)
    assert done.returncode == 0, done.stderr
    return root


def test_records_of_a_real_vault_are_good_also_when_half_of_them_was_removed(
    topics: Makes, verify: Verify, vault: Path
) -> None:
    export = vault.with_name("export")
    records, note = real_records(export), (export / "checkpoint").read_bytes()
    written = topics()
    with written.transaction():
        for record in records:
            written.write("records", "site-a.node-1", record)
        written.write("checkpoints", "site-a.node-1", note)
        written.cursor_of(note.decode().partition("\n")[0], len(records), leaf(records[-1]))
    one, other = verify(written, *BOTH)
    code, whole = one
    assert one == other
    assert (code, whole["size"], whole["states"]) == (0, len(records), [])
    half = len(records) // 2
    written.remove(half)
    for code, answer in verify(written, *BOTH):
        assert (code, answer["size"], answer["root"], answer["anchored"]) == (0, len(records), "", False)
        expected = f"{half} records before record {half} are no longer there; without --log"
        assert states(answer)["head removed"].startswith(expected)
    logs = [[*reader, "--log", given, "--require-anchor"] for reader in BOTH for given in (export, vault)]
    for code, answer in verify(written, *logs):
        assert (code, answer["root"], answer["logs"][0]["anchored_size"]) == (0, whole["root"], len(records))
        assert states(answer)["head removed"].endswith("their hashes come from the log")


def test_two_streams_are_two_logs_in_partitions_of_their_own_or_in_one(
    topics: Makes, verify: Verify, log: LogBuilder, tmp_path: Path
) -> None:
    other = LogBuilder(stream="site-a.node-2", seed=b"\2" * 32)
    other.start()
    other.fill(300)
    logs: list[Path | str] = []
    for each in (log, other):
        each.write_export(tmp_path / each.stream)
        logs += ["--log", tmp_path / each.stream]
    apart, together = topics(2), topics()
    apart.whole(log)
    apart.whole(other, partition=1)
    with together.transaction():
        for one, two in zip(values_of(log), values_of(other), strict=False):
            together.records(log, [one])
            together.records(other, [two])
        together.records(log, values_of(log)[300:])
        together.cursor(log, 601)
        together.cursor(other, 300)
    for written in (apart, together):
        for (code, answer), anchored in zip(verify(written, logs, []), ([601, 300], [-1, -1]), strict=True):
            assert (code, [each["anchored_size"] for each in answer["logs"]]) == (0, anchored)
            assert [each["size"] for each in answer["logs"]] == [601, 300]


def test_repeats_and_aborted_transactions_are_no_fault(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path
) -> None:
    values, written = values_of(log), topics()
    with written.transaction():
        written.records(log, values[:400])
        written.cursor(log, 400)
    with written.transaction(commit=False):
        written.records(log, [b"never seen", *values[500:]])
        written.cursor(log, 601)
    with written.transaction():
        written.records(log, [*values[390:], *values[600:]])
        written.cursor(log, 601)
    with written.transaction(commit=False):
        written.records(log, [b"never seen"])
    for code, answer in verify(written, *BOTH, ["--log", export]):
        assert (code, answer["size"], answer["counts"]["repeats"]) == (0, 601, 11)
        assert states(answer)["repeats"].startswith("11 records stand again with the same bytes")


def test_a_topic_behind_its_log_says_how_far_and_is_anchored_up_to_there(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path
) -> None:
    written = topics()
    with written.transaction():
        written.records(log, values_of(log)[:333])
        written.cursor(log, 333)
    ((code, answer),) = verify(written, ["--log", export])
    assert (code, answer["logs"][0]["anchored_size"]) == (0, 333)
    assert states(answer)["behind"].startswith("268 records are not there yet")


def test_it_ends_while_the_relay_goes_on(topics: Makes, verify: Verify) -> None:
    log = LogBuilder()
    log.start()
    log.fill(20_000)
    written, values, begun, over = topics(), values_of(log), threading.Event(), threading.Event()

    def go_on() -> None:
        for at in range(0, len(values), 50):
            if over.is_set():
                return
            with written.transaction():
                written.records(log, values[at : at + 50])
                written.cursor(log, at + 50)
            begun.set()

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        assert begun.wait(60)
        for code, answer in verify(written, *BOTH):
            assert (code, answer["findings"], answer["unchecked"]) == (0, [], "")
            assert answer["size"] >= 50
    finally:
        over.set()
        writer.join()


# --- tampered with ---


def changed(record: bytes) -> bytes:
    """Another time of day."""
    at = record.index(b'"time":"2') + 26
    return record[:at] + (b"1" if record[at : at + 1] != b"1" else b"2") + record[at + 1 :]


CASES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "dropped": (lambda all_: all_[:400] + all_[401:], 400, "record 400 is missing before record 401"),
    "several dropped": (lambda all_: all_[:400] + all_[420:], 400, "records 400 to 419 are missing before record 420"),
    "altered": (lambda all_: [*all_[:400], changed(all_[400]), *all_[401:]], 401, "does not follow the record before"),
    "swapped": (lambda all_: [*all_[:400], all_[401], all_[400], *all_[402:]], 400, "record 400 is missing before"),
    "other bytes": (lambda all_: [*all_, changed(all_[400])], 400, "the same seq stands twice with different bytes"),
    "tail lost": (lambda all_: all_[:500], 500, "records 500 to 600 are not there: the tail is lost"),
    "garbage": (lambda all_: [*all_[:400], b"\xff\x00", *all_[400:]], 400, "no record: "),
    "no value": (lambda all_: [*all_[:400], b"", *all_[400:]], 400, "a message without a value"),
    "too long": (lambda all_: [*all_[:400], b'{"v":1,' + b"x" * 500_000, *all_[400:]], 400, "no record: 500007 bytes"),
    "of another stream": (
        lambda all_: [*all_, all_[400].replace(b"node-1", b"node-2")],
        400,
        'record 400 of stream "site-a.node-2" has the key of site-a.node-1',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_was_done_to_records_is_named(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path, case: str
) -> None:
    do, seq, why = CASES[case]
    written = topics()
    written.changed(log, do(values_of(log)))
    ((code, answer), (again, held)) = verify(written, [], ["--reader", "kafka-python", "--log", export])
    assert (code, again) == (1, 1)
    assert (answer["first_bad"]["seq"], why in answer["first_bad"]["why"]) == (seq, True), answer["findings"]
    if case == "altered":  # the log says which of the two it is
        assert (held["first_bad"]["seq"], held["first_bad"]["why"][:32]) == (400, "the log has another record here:")
    else:
        assert held["first_bad"] == answer["first_bad"]


def test_a_history_forged_whole_is_found_by_the_log_and_by_the_key(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path, vkey: Path
) -> None:
    forged = deepcopy(log)
    forged.seed = b"\3" * 32
    forged.entries[300].fields["actor"]["id"] = "p2"
    forged.rechain(300)
    written = topics()
    written.whole(forged)
    alone, logged, signed = verify(written, [], ["--log", export], ["--vkey", vkey])
    assert (alone[0], alone[1]["anchored"]) == (0, False)
    assert (logged[0], logged[1]["first_bad"]["seq"]) == (1, 300)
    assert (signed[0], signed[1]["first_bad"]["why"].partition("+")[0]) == (1, f"not signed by {log.origin}")


def wrong_root(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.entries[3].fields["actor"]["id"] = "p2"
    return other.checkpoint(300)


def other_key(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.seed = b"\3" * 32
    return other.checkpoint(300)


def other_vault(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.vault = "fedcba9876543210"
    return other.checkpoint(300)


def ahead(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.fill(700)
    return other.checkpoint()


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (wrong_root, "its root at size 300 is not the root of the records"),
        (other_key, "not signed by strongroom/0123456789abcdef/site-a.node-1+"),
        (other_vault, "it is a checkpoint of strongroom/fedcba9876543210/site-a.node-1, and this stream is of"),
        (ahead, "it covers 700 records, and never comes before them; records 601 to 699 are not there"),
        (lambda _: b"\xff", "not UTF-8"),
        (lambda _: None, "not a signed note"),
    ],
)
def test_a_checkpoint_that_is_not_the_logs_is_named_by_its_offset(
    topics: Makes, verify: Verify, log: LogBuilder, vkey: Path, note: Callable[[LogBuilder], bytes], why: str
) -> None:
    written = topics()
    written.whole(log)
    with written.transaction():
        written.write("checkpoints", log.stream, note(log))
    ((code, answer),) = verify(written, ["--vkey", vkey])
    assert (code, len(answer["findings"])) == (1, 1)
    assert why in answer["first_bad"]["why"]
    assert answer["first_bad"]["place"] == f"{written.prefix}.checkpoints[0] offset 8"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"leaf": "00" * 32}, "the cursor has another hash of this record"),
        ({"partition": 3}, "it says partition 3, and the records are in"),
        ({"origin": "strongroom/fedcba9876543210/site-a.node-1"}, "it is a checkpoint of"),
        ({"origin": "strongroom/0123456789abcdef/other"}, "has the key of stream"),
        ({"v": 2}, "a cursor of a version"),
        ({"next": "601"}, "no cursor: it lacks"),
    ],
)
def test_a_cursor_that_is_not_so_is_named(
    topics: Makes, verify: Verify, log: LogBuilder, change: dict[str, Any], why: str
) -> None:
    written = topics()
    written.whole(log)
    fields = {"partition": 0, **change}
    with written.transaction():
        cursor = {"v": 1, "origin": log.origin, "next": 601, "leaf": log.leaf(600).hex(), **fields}
        written.write("cursors", log.stream, json.dumps(cursor, separators=(",", ":")).encode())
    ((code, answer),) = verify(written, [])
    assert code == 1
    assert why in " ".join(finding["why"] for finding in answer["findings"])


def test_a_stream_in_two_partitions_is_bad(topics: Makes, verify: Verify, log: LogBuilder) -> None:
    written = topics(2)
    written.whole(log)
    with written.transaction():
        written.records(log, values_of(log)[:50], partition=1)
    for code, answer in verify(written, *BOTH):
        assert (code, answer["findings_total"]) == (1, 1)
        assert "is in two partitions" in answer["first_bad"]["why"]


# --- what cannot be checked ---


def test_what_is_not_there_cannot_be_checked(topics: Makes, verify: Verify, log: LogBuilder, broker: Broker) -> None:
    nothing, gone, uncertain = topics(), topics(), topics()
    gone.whole(log)
    gone.remove(-1)
    with uncertain.transaction():
        uncertain.records(log, values_of(log))
    for reader in BOTH:
        ((code, answer),) = verify(nothing, reader)
        assert (code, "holds no record: there is nothing to check" in answer["unchecked"]) == (2, True)
        ((code, answer),) = verify(gone, reader)
        assert (code, states(answer)["all removed"][:24]) == (2, "601 records were written")
        ((code, answer),) = verify(uncertain, reader)
        assert (code, "has no cursor" in answer["unchecked"]) == (2, True)
        code, answer = ask(broker.address, "--topics", "nobodys", *reader)
        assert (code, "there is no topic nobodys.records" in answer["unchecked"]) == (2, True)


def test_an_emptied_partition_of_a_topic_that_was_made_again_is_bad(
    topics: Makes, verify: Verify, log: LogBuilder
) -> None:
    written = topics()
    with written.transaction():
        written.cursor(log, 601)
    ((code, answer),) = verify(written, [])
    assert (code, answer["first_bad"]["seq"]) == (1, 0)
    assert "the tail is lost" in answer["first_bad"]["why"]


def test_a_transaction_that_stays_open_hides_the_end_and_that_is_said(
    topics: Makes, verify: Verify, log: LogBuilder
) -> None:
    written = topics()
    written.whole(log)
    stranger = written.producer(f"{written.prefix}-stranger")
    stranger.begin_transaction()
    stranger.produce(f"{written.prefix}.records", b"never committed", key=b"x", partition=0)
    stranger.flush(30)
    ((code, answer),) = verify(written, [])
    assert (code, answer["findings"], answer["size"]) == (2, [], 601)
    assert f"hides what comes from {written.prefix}.records[0] offset 605 on" in answer["unchecked"]
    stranger.abort_transaction(30)
    assert verify(written, [])[0][0] == 0


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where something listens that is no broker, and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_brokers_that_do_not_answer_are_not_waited_for_for_long(topics: Makes, broker: Broker, nobody: str) -> None:
    written = topics()
    where = {"closed": "127.0.0.1:1", "nobody": nobody, "paused": broker.address, "no address": ":::"}
    broker.pause()
    try:
        with ThreadPoolExecutor(len(where) * len(BOTH)) as pool:
            waiting = [
                pool.submit(ask, address, "--topics", written.prefix, *reader)
                for address in where.values()
                for reader in BOTH
            ]
            answers = [each.result() for each in waiting]
    finally:
        broker.go_on()
    for code, answer in answers:
        assert (code, answer["result"], bool(answer["unchecked"])) == (2, "unchecked", True)
        assert "internal error" not in answer["unchecked"]
