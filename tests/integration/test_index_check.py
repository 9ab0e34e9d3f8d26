"""``strongroom doctor --index``: what the index says against what the ledger says, beside a server and without one."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import lmdb
import msgspec
import pytest

from audit.index_check import IndexUnchecked, Verdict, _verdict, compare
from vault import durable
from vault.state import rows
from vault.state.rows import VersionRow, decode_row, encode_row
from vault.storage.index import Index

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from tests.integration.served import Server

BUCKET = "checked"
LONG = "long/" + "k" * 900


@pytest.fixture(scope="module", autouse=True)
def _filled(server: Server, s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    for key in ("a", "b", LONG):
        s3.put_object(
            Bucket=BUCKET, Key=key, Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate="2090-01-01"
        )
    s3.put_object(Bucket=BUCKET, Key="free", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="free")
    s3.create_multipart_upload(Bucket=BUCKET, Key="parts")


def checked(server: Server) -> CompletedProcess[str]:
    done = server.cli("doctor", "--index")
    assert "Traceback" not in done.stderr
    assert list((server.data / "views" / "check").iterdir()) == [server.data / "views" / "check" / "lock"]
    return done


def agree(server: Server) -> bool:
    done = checked(server)
    assert done.returncode == 1  # of other things
    assert "records compared" in done.stderr
    return "problem:" not in done.stdout


def test_beside_a_server_that_is_written_to_and_without_one_they_agree(server: Server, s3: Any) -> None:
    ended = Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            s3.put_object(Bucket=BUCKET, Key=f"w{number % 7}", Body=b"x")
            number += 1

    writer = Thread(target=write)
    writer.start()
    try:
        assert agree(server)
        assert agree(server)
    finally:
        ended.set()
        writer.join()
    assert server.stop() == 0
    try:
        assert agree(server)
    finally:
        server.start()


def test_a_lock_that_the_index_lost_is_found_and_the_cure_works(server: Server) -> None:
    assert server.stop() == 0
    index = server.data / "views" / "index"
    with lmdb.open(str(index)) as env, env.begin(write=True) as txn:
        key = rows.version_key(BUCKET, "a", 1)
        found = txn.get(key)
        assert found is not None
        row = decode_row(key, found)
        assert isinstance(row, VersionRow)
        assert row.until
        txn.put(key, encode_row(msgspec.structs.replace(row, mode="", until=0)))
        assert txn.delete(rows.key_key(BUCKET, "b"))
    server.start()
    try:
        done = checked(server)
        assert done.returncode == 1
        assert "missing: keys 1; other than: versions 1; stop the server, remove `views/index`" in done.stdout
        assert BUCKET not in done.stdout
    finally:
        assert server.stop() == 0
        for path in index.iterdir():
            path.unlink()
        server.start()
    assert agree(server)


def test_a_check_that_was_killed_is_in_nobodys_way_and_two_do_not_meet(server: Server) -> None:
    left = server.data / "views" / "check" / "index"
    left.mkdir(parents=True, exist_ok=True)
    (left / "data.mdb").write_bytes(b"half")
    lock = durable.lock_file(left.parent / "lock")
    with open(lock, "rb"):  # closed by it  # noqa: PTH123
        refused = server.cli("doctor", "--index")
        assert refused.returncode == 2
        assert "is locked" in refused.stderr
    assert agree(server)


def test_without_room_for_the_copy_nothing_is_begun(server: Server, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f"[disk]\nreserve_mib = {1 << 29}\n")
    done = server.cli("doctor", "--index", "--config", config)
    assert done.returncode == 2
    assert "free some disk first" in done.stderr


def test_how_the_child_ended_is_told_apart() -> None:
    assert _verdict(msgspec.json.encode(Verdict(7)), 0) == Verdict(7)
    assert "ended by SIGBUS; stop the server, remove" in _verdict(b"", -signal.SIGBUS).problem
    for line, code in ((b"", -signal.SIGKILL), (b"", 1), (msgspec.json.encode(Verdict(unchecked="no disk")), 0)):
        with pytest.raises(IndexUnchecked):
            _verdict(line, code)


def test_who_is_ended_in_the_middle_leaves_no_reader_and_no_traceback(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    index.add([(b"bx", rows.BucketRow("x", "p", 1, lock=False, strict=False))], 3)
    index.sync()
    index.close()
    command = [sys.executable, "-m", "audit.index_check", str(tmp_path / "index"), str(tmp_path / "copy")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"3\n"
        child.terminate()
        _, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (1, b"")
    with lmdb.open(str(tmp_path / "index")) as env:
        assert env.reader_check() == 0


@pytest.mark.parametrize("sent", [b"", b"\0\0\0\x09short", b"\0\0"])
def test_records_that_stop_coming_are_no_verdict(tmp_path: Path, sent: bytes) -> None:
    index = Index(tmp_path / "index")
    index.add([], 3)
    index.add([(b"bx", rows.BucketRow("x", "p", 1, lock=False, strict=False))], 3)
    index.sync()
    index.close()
    with pytest.raises(IndexUnchecked):
        compare(tmp_path / "index", tmp_path / "copy", io.BytesIO(sent), io.BytesIO())
