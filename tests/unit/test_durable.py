from __future__ import annotations

import os
import subprocess
import sys
from errno import EROFS
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import pytest

from tests.doubles.syscalls import Syscalls
from vault import device, durable
from vault.errors import CorruptError, DurabilityError

if TYPE_CHECKING:
    from collections.abc import Callable


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def prepare(directory: Path) -> None:
    """What the functions below act on."""
    (directory / "old").write_bytes(b"old")
    (directory / "staged").write_bytes(b"staged")
    (directory / "dir").mkdir()


#: What each function does, in order: a file's bytes are safe before its name, its name before the return.
ORDERS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "write_new": (
        lambda d: durable.write_new(d / "new", b"x"),
        ["open:temp", "write:temp", "fsync:temp", "link:new", "unlink:temp", "open:root", "fsync:root"],
    ),
    "write_new_files": (
        lambda d: durable.write_new_files({d / "a": b"x", d / "b": b"", d / "dir" / "c": b"z"}),
        [
            *("open:temp", "write:temp", "fsync:temp"),
            *("open:temp", "fsync:temp"),
            *("open:temp", "write:temp", "fsync:temp"),
            *("link:a", "unlink:temp", "link:b", "unlink:temp", "link:c", "unlink:temp"),
            *("open:root", "fsync:root", "open:dir", "fsync:dir"),
        ],
    ),
    "replace": (
        lambda d: durable.replace(d / "old", b"x"),
        ["open:temp", "write:temp", "fsync:temp", "rename:old", "open:root", "fsync:root"],
    ),
    "publish": (
        lambda d: durable.publish(d / "staged", d / "dir" / "final"),
        ["link:final", "unlink:staged", "open:dir", "fsync:dir"],
    ),
    "move": (
        lambda d: durable.move(d / "old", d / "dir" / "new"),
        ["rename:new", "open:dir", "fsync:dir", "open:root", "fsync:root"],
    ),
    "move in one directory": (
        lambda d: durable.move(d / "old", d / "new"),
        ["rename:new", "open:root", "fsync:root"],
    ),
    "remove": (lambda d: durable.remove(d / "old"), ["unlink:old", "open:root", "fsync:root"]),
    "make_dirs": (
        lambda d: durable.make_dirs(d / "dir" / "a" / "b"),
        ["open:root", "fsync:root", "mkdir:a", "open:dir", "fsync:dir", "mkdir:b", "open:a", "fsync:a"],
    ),
    "make_dirs of what exists": (lambda d: durable.make_dirs(d / "dir"), ["open:root", "fsync:root"]),
    "preallocate": (
        lambda d: durable.preallocate(d / "new", (1 << 20) + 1),
        ["open:temp", "write:temp", "write:temp", "fsync:temp", "link:new", "unlink:temp", "open:root", "fsync:root"],
    ),
}


@pytest.mark.parametrize(("call", "order"), ORDERS.values(), ids=ORDERS)
def test_system_calls_come_in_the_order_that_survives_a_power_cut(
    tmp_path: Path, call: Callable[[Path], object], order: list[str]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    prepare(root)
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        call(root)
    assert calls.trace == order


def test_write_new_makes_a_private_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    durable.write_new(tmp_path / "new", b"content")
    assert (tmp_path / "new").read_bytes() == b"content"
    assert mode(tmp_path / "new") == 0o600
    assert names(tmp_path) == {"new"}


def test_a_taken_name_is_never_written_over(tmp_path: Path) -> None:
    prepare(tmp_path)
    calls: list[Callable[[], None]] = [
        lambda: durable.write_new(tmp_path / "old", b"x"),
        lambda: durable.preallocate(tmp_path / "old", 5),
        lambda: durable.publish(tmp_path / "staged", tmp_path / "old"),
        lambda: durable.move(tmp_path / "dir", tmp_path / "old"),
    ]
    for call in calls:
        with pytest.raises(durable.NameTaken, match="old exists"):
            call()
    assert (tmp_path / "old").read_bytes() == b"old"
    assert names(tmp_path) == {"old", "dir"}


def test_a_dangling_link_is_a_taken_name_too(tmp_path: Path) -> None:
    (tmp_path / "new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(durable.NameTaken):
        durable.write_new(tmp_path / "new", b"x")
    with pytest.raises(durable.NameTaken):
        durable.move(tmp_path / "new", tmp_path / "new")
    assert names(tmp_path) == {"new"}


def test_replace_makes_or_changes_a_file(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        durable.replace(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert names(tmp_path) == {"file"}


def test_remove_can_be_repeated(tmp_path: Path) -> None:
    prepare(tmp_path)
    durable.remove(tmp_path / "old")
    durable.remove(tmp_path / "old")
    assert names(tmp_path) == {"staged", "dir"}


def test_sweep_takes_leftovers_only(tmp_path: Path) -> None:
    for name in ("a.1.tmp", "a.2.tmp", "b.1.tmp", "a"):
        (tmp_path / name).touch()
    durable.sweep_temps(tmp_path, "a.")
    assert names(tmp_path) == {"a", "b.1.tmp"}
    durable.sweep_temps(tmp_path)
    assert names(tmp_path) == {"a"}


def test_directories_are_private(tmp_path: Path) -> None:
    durable.make_dirs(tmp_path / "a" / "b")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)


def test_a_directory_that_another_thread_makes_meanwhile_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    answers = iter([False])  # before the other made it
    seen = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: next(answers, seen(path)))
    calls = Syscalls(monkeypatch)
    durable.make_dirs(tmp_path / "a")
    assert calls.trace[-2:] == [f"open:{tmp_path.name}", f"fsync:{tmp_path.name}"]


def test_a_file_in_a_directorys_place_is_an_error(tmp_path: Path) -> None:
    prepare(tmp_path)
    with pytest.raises(DurabilityError, match="old"):
        durable.make_dirs(tmp_path / "old" / "new")


def test_an_error_names_what_failed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: int, *, exist_ok: bool) -> None:
        raise OSError(EROFS, os.strerror(EROFS), str(path))

    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)
    with pytest.raises(DurabilityError) as caught:
        durable.make_dirs(tmp_path / "d")
    assert str(caught.value) == f"mkdir of {tmp_path / 'd'}: Read-only file system"


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) + 3])
def test_preallocated_zeros_are_written_and_no_holes(tmp_path: Path, size: int) -> None:
    durable.preallocate(tmp_path / "segment", size)
    assert (tmp_path / "segment").read_bytes() == bytes(size)
    assert (tmp_path / "segment").stat().st_blocks * 512 >= size


def test_a_group_is_one_write_and_one_sync_at_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    durable.preallocate(path, 100)
    fd = os.open(path, os.O_RDWR)
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        durable.append_group(fd, [b"ab", b"", b"cde"], 10)
    os.close(fd)
    assert calls.trace == ["pwritev:segment", "fdatasync:segment"]
    assert path.read_bytes() == bytes(10) + b"abcde" + bytes(85)


def test_a_short_write_of_a_group_is_an_error_and_not_synced(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    durable.preallocate(path, 100)
    fd = os.open(path, os.O_RDWR)
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch, short=True)
        with pytest.raises(DurabilityError, match="4 of 5 bytes"):
            durable.append_group(fd, [b"ab", b"cde"], 0)
    os.close(fd)
    assert calls.trace == ["pwritev:segment"]


def test_a_group_of_more_buffers_than_one_pwritev_takes_is_refused_before_the_write(tmp_path: Path) -> None:
    assert os.sysconf("SC_IOV_MAX") >= durable.MAX_GROUP_BUFFERS
    fd = os.open(tmp_path / "segment", os.O_RDWR | os.O_CREAT)
    durable.append_group(fd, [b"x"] * durable.MAX_GROUP_BUFFERS, 0)
    with pytest.raises(ValueError, match="at most 1024"):
        durable.append_group(fd, [b"x"] * (durable.MAX_GROUP_BUFFERS + 1), 0)
    os.close(fd)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize(("offset", "length"), [(0, 20_000), (1, 4096), (4096, 0), (4097, 3), (5, 9000), (99_999, 5)])
def test_direct_reads_give_what_ordinary_reads_give(tmp_path: Path, size: int, offset: int, length: int) -> None:
    content = os.urandom(size)
    durable.write_new(tmp_path / "file", content)
    assert device.read_direct(tmp_path / "file", offset, length) == content[offset : offset + length]


def test_direct_reads_ask_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.write_new(tmp_path / "file", b"content")
    asked = []
    real = os.open

    def listen(path: Path, flags: int) -> int:
        asked.append(flags)
        return real(path, flags)

    monkeypatch.setattr(os, "open", listen)
    assert device.read_direct(tmp_path / "file", 0, 7) == b"content"
    assert asked[0] & os.O_DIRECT


def test_a_file_system_without_direct_reads_is_read_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.write_new(tmp_path / "file", b"content")
    real = os.open

    def refuse(path: Path, flags: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    assert device.read_direct(tmp_path / "file", 3, 100) == b"tent"


def test_cached_reads_give_all_that_was_asked_for_and_never_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.write_new(tmp_path / "file", b"content")
    real = os.preadv
    fd = os.open(tmp_path / "file", os.O_RDONLY)

    def cached(fd: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        return real(fd, buffers, offset)

    def absent(*_: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    assert device.read_cached(fd, 3, 4) in {b"tent", None}
    monkeypatch.setattr(os, "preadv", cached)
    assert device.read_cached(fd, 3, 4) == b"tent"
    assert device.read_cached(fd, 3, 5) is None  # as where only the first pages are there
    monkeypatch.setattr(os, "preadv", absent)
    assert device.read_cached(fd, 3, 4) is None
    os.close(fd)


def test_a_missing_file_is_corruption_and_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="missing"):
        device.read_direct(tmp_path / "missing", 0, 1)


def test_a_second_writer_is_refused_until_the_first_gives_up(tmp_path: Path) -> None:
    first = durable.lock_file(tmp_path / "lock")
    with pytest.raises(durable.LockHeld, match="another strongroom process"):
        durable.lock_file(tmp_path / "lock")
    os.close(first)
    os.close(durable.lock_file(tmp_path / "lock"))


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = "import pathlib, sys; from vault.durable import lock_file; print(lock_file(pathlib.Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "lock"], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) > 2
    os.close(durable.lock_file(tmp_path / "lock"))


def test_index_keeps_what_was_committed_and_its_names_are_synced(tmp_path: Path) -> None:
    path = tmp_path / "views" / "index"
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        index = durable.open_index(path, map_size=1 << 20)
    made = calls.trace.index("fsync:data.mdb")
    assert calls.trace[made : made + 4] == ["fsync:data.mdb", "rename:data.mdb", "open:index", "fsync:index"]
    assert index.flags()["sync"]
    assert not index.flags()["writemap"]
    txn = index.begin(write=True)
    txn.put(b"k", b"v")
    durable.commit_index(txn, path)
    index.close()
    with durable.open_index(path, map_size=1 << 20) as again, again.begin() as read:
        assert read.get(b"k") == b"v"


def test_what_is_no_index_is_corruption(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"x" * 8192)
    with pytest.raises(CorruptError, match="cannot be read"):
        durable.open_index(tmp_path, map_size=1 << 20)


def test_a_failed_commit_of_the_index_is_a_durability_error(tmp_path: Path) -> None:
    with durable.open_index(tmp_path, map_size=1 << 20) as index:
        txn = index.begin(write=True)
        txn.abort()
        with pytest.raises(DurabilityError) as caught:
            durable.commit_index(txn, tmp_path)
        assert isinstance(caught.value.__cause__, lmdb.Error)
