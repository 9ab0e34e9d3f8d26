"""A BagIt bag (RFC 8493) being filled: files are digested as they are written, manifests come last.

Nothing is synced before the end, and all of it then: a directory without ``tagmanifest-sha256.txt`` is one that was cut
short. While it is filled the vault beside it keeps what it needs of the disk.
"""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from audit.errors import AuditError
from vault import durable
from vault.errors import DurabilityError
from vault.storage.room import free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DECLARATION: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
#: Written last.
SEAL: Final = "tagmanifest-sha256.txt"
_PAYLOAD: Final = "data/"
_PIECE: Final = 1 << 20
#: How often the room that is left is looked at, in bytes written.
_LOOK: Final = 4 << 20


class ProductionFailed(AuditError):
    """A production was not made, or not to its end; says why."""

    code = "production-failed"


class Cancelled(AuditError):
    """A production was cancelled; what is there of it can be gone on with."""

    code = "production-cancelled"
    status = 409

    def __init__(self) -> None:
        super().__init__("the production was cancelled; it can be gone on with")


def leave_room(root: Path, vault: Path, reserve: int, size: int) -> None:
    """Check that a file fits beside what the vault needs for itself, where both are on one file system.

    Args:
        root: Where the file goes.
        vault: The data directory.
        reserve: Bytes that stay free there (``disk.reserve_mib``): below them the vault refuses its clients.
        size: Of the file, in bytes.

    Raises:
        ProductionFailed: It does not.
    """
    if root.stat().st_dev == vault.stat().st_dev and free_bytes(root) < reserve + size:
        raise ProductionFailed(f"{root} has no room for {size} bytes beside what the vault needs: free some and go on")


class Bag:
    """One bag. For one thread.

    Args:
        root: Its directory; made, or holds what an earlier attempt at the same bag left.
        vault: The data directory beside it.
        reserve: Bytes that stay free there, where both are on one file system.
        check: Called with each piece that is written or read; what it raises ends that.

    Raises:
        ProductionFailed: The directory cannot be made.
    """

    def __init__(self, root: Path, vault: Path, reserve: int, check: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self._vault = vault
        self._reserve = reserve
        self._check = check
        self._digests: dict[str, str] = {}
        self._payload = 0, 0
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ProductionFailed(f"{root} cannot be made: {error.strerror}") from error

    @property
    def payload(self) -> tuple[int, int]:
        """Bytes and files of the payload so far."""
        return self._payload

    def write(self, name: str, data: bytes) -> None:
        """Write a file.

        Raises:
            ProductionFailed: It cannot be written.
        """
        with self.open(name) as put:
            put(data)

    @contextmanager
    def open(self, name: str, room: int = _LOOK) -> Iterator[Callable[[bytes], None]]:
        """Write a file piece by piece. Where that is not done to its end, nothing of it is left.

        Args:
            name: Of the file.
            room: Bytes that there must be room for, at least, before it is begun.

        Raises:
            ProductionFailed: It cannot be written, or would take what the vault needs.
        """
        path = self.root / name
        digest = sha256()
        size = looked = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._leave_room(max(room, _LOOK))
            with path.open("wb") as file:

                def put(data: bytes) -> None:
                    nonlocal size, looked
                    self._check()
                    if size + len(data) - looked >= _LOOK:
                        self._leave_room(len(data) + _LOOK)
                        looked = size
                    file.write(data)
                    digest.update(data)
                    size += len(data)

                yield put
        except OSError as error:
            self.drop(name)
            raise ProductionFailed(f"{path} cannot be written: {error.strerror}") from error
        except BaseException:
            self.drop(name)
            raise
        self._add(name, size, digest.hexdigest())

    def drop(self, name: str) -> None:
        """Remove a file that was not written to its end, or by an earlier attempt and is none of this one's.

        Raises:
            ProductionFailed: It cannot be removed.
        """
        path = self.root / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ProductionFailed(f"{path} cannot be removed: {error.strerror}") from error

    def kept(self, name: str, size: int, digest: str) -> bool:
        """Whether a file is there already, whole, from an earlier attempt; then it counts as written.

        Args:
            name: The file.
            size: Its bytes.
            digest: Its SHA-256 (hex); empty where it is not known, and the file counts as not there.
        """
        path = self.root / name
        try:
            if not digest or path.stat().st_size != size:
                return False
            with path.open("rb") as file:
                found = sha256()
                while piece := file.read(_PIECE):
                    self._check()
                    found.update(piece)
        except OSError:
            return False
        if found.hexdigest() != digest:
            return False
        self._add(name, size, digest)
        return True

    def digest(self, name: str) -> str:
        """SHA-256 of a file that was written (hex)."""
        return self._digests[name]

    def seal(self, info: dict[str, str], beside: str = "") -> str:
        """Write the tag files, the last one last.

        Args:
            info: Of ``bag-info.txt``, beside what BagIt says goes there.
            beside: A file that may stand there for now and is no part of the bag.

        Returns:
            SHA-256 of the last file: it covers everything. All of the bag is durable.

        Raises:
            ProductionFailed: They cannot be written, or there is a file in the bag that it was not given.
        """
        size, count = self.payload
        lines = {**info, "Payload-Oxum": f"{size}.{count}"}
        self.write("bagit.txt", _DECLARATION)
        self.write("bag-info.txt", "".join(f"{name}: {text}\n" for name, text in lines.items()).encode())
        self.write("manifest-sha256.txt", self._manifest(payload=True))
        self.write(SEAL, self._manifest(payload=False))
        present = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        strays = present - set(self._digests) - {beside}
        if strays:
            raise ProductionFailed(f"{self.root} holds a file of somebody else's, {min(strays)}; give a new directory")
        self._sync()
        return self._digests[SEAL]

    def _sync(self) -> None:
        """Files first, then the directories that name them; that of the bag itself was durable before it was filled.

        A directory is the caller's: what ails it ends no vault.
        """
        folders = set()
        for name in self._digests:
            path = self.root / name
            folders |= {folder for folder in path.parents if folder.is_relative_to(self.root)}
            try:
                with path.open("rb") as file:
                    durable.fsync_file(file.fileno())
            except (OSError, DurabilityError) as error:
                self.drop(name)  # else the next attempt takes for whole what is only in memory
                raise ProductionFailed(f"{path} cannot be made durable: {error}") from error
        try:
            for folder in sorted(folders):
                durable.fsync_dir(folder)
        except DurabilityError as error:
            raise ProductionFailed(f"{self.root} cannot be made durable: {error}") from error

    def _leave_room(self, size: int) -> None:
        leave_room(self.root, self._vault, self._reserve, size)

    def _add(self, name: str, size: int, digest: str) -> None:
        """Count a file, which is written once."""
        self._digests[name] = digest
        if name.startswith(_PAYLOAD):
            self._payload = self._payload[0] + size, self._payload[1] + 1

    def _manifest(self, *, payload: bool) -> bytes:
        names = sorted(name for name in self._digests if name.startswith(_PAYLOAD) == payload)
        return "".join(f"{self._digests[name]}  {name}\n" for name in names).encode()
