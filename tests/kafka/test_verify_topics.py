"""A relay's topics on a real broker as they should be, or not to be read: exit code, named states, what it says."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from audit.verify.exported import parse_bundle
from tests.doubles.filled_vault import FilledVault
from tests.doubles.logbuilder import LogBuilder
from tests.integration.served import command
from tests.kafka.judged import BOTH, Makes, Verify, ask, states
from tests.kafka.relay import leaf, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compose.lab.kafka import Broker

pytestmark = pytest.mark.timeout(300)  # the first one fetches the jars


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


# --- what cannot be checked ---


def test_what_is_not_there_cannot_be_checked(topics: Makes, verify: Verify, log: LogBuilder, broker: Broker) -> None:
    nothing, gone, uncertain = topics(), topics(), topics()
    gone.whole(log)
    gone.remove(-1)
    with uncertain.transaction():
        uncertain.records(log, values_of(log))
    for code, answer in verify(nothing, *BOTH):
        assert (code, "holds no record: there is nothing to check" in answer["unchecked"]) == (2, True)
    for code, answer in verify(gone, *BOTH):
        assert (code, states(answer)["all removed"][:24]) == (2, "601 records were written")
    for code, answer in verify(uncertain, *BOTH):
        assert (code, "has no cursor" in answer["unchecked"]) == (2, True)
    for reader in BOTH:
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
