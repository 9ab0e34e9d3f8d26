from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.keys import Token
from vault.errors import CorruptError, DurabilityError, Unavailable
from vault.storage.blobs import BlobStore
from vault.storage.token import NotCovered, blob_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    store = BlobStore(tmp_path)
    store.sweep(lambda _: True)
    return store


def published(store: BlobStore, *pieces: bytes) -> str:
    staged = store.stage(sum(map(len, pieces)))
    for piece in pieces:
        staged.write(piece)
    staged.publish()
    return staged.id


def files(tmp_path: Path) -> set[str]:
    return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}


def test_a_published_blob_can_be_read_in_ranges(tmp_path: Path, store: BlobStore) -> None:
    blob_id = published(store, b"hello ", b"", b"world")
    assert files(tmp_path) == {f"blobs/{blob_id[:2]}/{blob_id}"}
    with store.open(blob_id) as blob:
        assert blob.read(0, 11) == b"hello world"
        assert blob.read(6, 3) == b"wor"
        assert blob.read(11, 0) == b""


def test_reading_past_the_end_is_damage_and_no_short_answer(store: BlobStore) -> None:
    with store.open(published(store, b"12345")) as blob, pytest.raises(CorruptError, match="ends before offset 6"):
        blob.read(2, 4)


@pytest.mark.parametrize("blob_id", ["0" * 32, "", "../../keys/kek", "a" * 31, "A" * 32, "0" * 32 + "\n"])
def test_what_is_not_there_is_damage(store: BlobStore, blob_id: str) -> None:
    with pytest.raises(CorruptError):
        store.open(blob_id)


def test_a_staged_blob_is_not_visible_and_can_be_given_up(tmp_path: Path, store: BlobStore) -> None:
    staged = store.stage()
    staged.write(b"half")
    assert files(tmp_path) == {f"stage/{staged.id}.tmp"}
    with pytest.raises(CorruptError):
        store.open(staged.id)
    staged.discard()
    staged.discard()
    assert files(tmp_path) == set()


def test_removal_takes_a_token_that_names_the_blob(store: BlobStore) -> None:
    gone, kept = published(store, b"gone"), published(store, b"kept")
    with pytest.raises(NotCovered):
        store.remove(gone, Token(blob_name(kept)))
    token = Token(blob_name(gone), blob_name("0" * 32))
    store.remove(gone, token)
    store.remove(gone, token)
    store.remove("0" * 32, token)
    with pytest.raises(CorruptError):
        store.open(gone)
    with store.open(kept) as blob:
        assert blob.read(0, 4) == b"kept"


def test_sweep_removes_what_no_record_names_and_nothing_else(tmp_path: Path, store: BlobStore) -> None:
    known, unknown = published(store, b"known"), published(store, b"unknown")
    staged = store.stage()
    staged.write(b"half")
    foreign = tmp_path / "blobs" / known[:2] / "notes.txt"
    foreign.write_text("not ours")
    assert set(BlobStore(tmp_path).sweep({known}.__contains__)) == {unknown, staged.id}
    assert files(tmp_path) == {f"blobs/{known[:2]}/{known}", str(foreign.relative_to(tmp_path))}


# --- crash: at every system call that makes a blob, what is left is swept or whole ------------------------------------


class PowerCutError(BaseException):
    """The machine stops here."""


CALLS = ("fsync", "link", "mkdir", "unlink")


def cut_at(monkeypatch: pytest.MonkeyPatch, count: int) -> list[str]:
    """Stop at the ``count``-th call that changes a file or name; returns what was called."""
    called: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(called) == count:
                raise PowerCutError
            called.append(name)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    return called


@pytest.mark.parametrize("count", range(6))
def test_a_crash_while_publishing_leaves_nothing_or_a_whole_blob(
    tmp_path: Path, store: BlobStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    staged = store.stage()
    staged.write(b"all of it")
    with monkeypatch.context() as patch:
        called = cut_at(patch, count)
        with pytest.raises(PowerCutError):
            staged.publish()
    assert len(called) == count
    for path in (tmp_path / "blobs").rglob("*"):
        assert path.is_dir() or path.read_bytes() == b"all of it"
    if (tmp_path / "blobs" / staged.id[:2] / staged.id).exists():
        assert called[0] == "fsync"  # bytes first, then the name
    BlobStore(tmp_path).sweep(lambda _: False)
    assert files(tmp_path) == set()


def test_publishing_syncs_the_bytes_before_and_the_directory_after_the_name(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = store.stage()
    staged.write(b"all of it")
    store.place(staged.id)
    with monkeypatch.context() as patch:
        called = cut_at(patch, 100)
        staged.publish()
    assert called[:2] == ["fsync", "link"]
    assert called[-1] == "fsync"


# --- errors of the file system ----------------------------------------------------------------------------------------


def failing(code: int) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def test_no_room_fails_the_request_only(tmp_path: Path, store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = store.stage()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.ENOSPC))
        with pytest.raises(Unavailable, match="free some space"):
            staged.write(b"x")
        patch.setattr(os, "open", failing(errno.ENOSPC))
        with pytest.raises(Unavailable):
            store.stage()
    staged.discard()
    assert files(tmp_path) == set()


def test_room_is_taken_before_the_first_byte(tmp_path: Path, store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (tmp_path / "stage" / f"{store.stage(4096).id}.tmp").stat().st_size == 4096
    before = files(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    with pytest.raises(Unavailable, match="free some space"):
        store.stage(4096)
    assert files(tmp_path) == before


def test_a_blob_that_is_not_complete_is_not_published(tmp_path: Path, store: BlobStore) -> None:
    staged = store.stage(2)
    staged.write(b"1")
    with pytest.raises(ValueError, match="2 bytes and has 1"):
        staged.publish()
    staged.write(b"2")
    staged.publish()
    with store.open(staged.id) as blob:
        assert blob.read(0, 2) == b"12"


def test_a_disk_error_is_fatal(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = store.stage()
    monkeypatch.setattr(os, "write", failing(errno.EIO))
    with pytest.raises(DurabilityError):
        staged.write(b"x")


def test_a_failed_sync_publishes_nothing(tmp_path: Path, store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = store.stage()
    staged.write(b"x")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(DurabilityError):
            staged.publish()
    assert files(tmp_path) == {f"stage/{staged.id}.tmp"}
    staged.discard()
    assert files(tmp_path) == set()


def test_a_read_error_names_the_place(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.open(published(store, b"x")) as blob, monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing(errno.EIO))
        with pytest.raises(CorruptError, match="offset 0"):
            blob.read(0, 1)


def test_a_blob_that_was_given_up_takes_nothing_more(tmp_path: Path, store: BlobStore) -> None:
    staged = store.stage()
    staged.discard()
    with pytest.raises(Unavailable, match="given up"):
        staged.write(b"late")
    assert files(tmp_path) == set()
