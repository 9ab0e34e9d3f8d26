"""The keyring: domain keys, durable before their first use, in two verified copies (DESIGN §6).

A change writes copy *a*, reads it back from the device, then does the same with *b*, and only then takes effect. So
at every instant one copy is whole, and a key that was ever used is in both. At start the newer good copy counts and
the other one is made again from it; if neither is good, nothing is served.

Reading by id is a lookup in a dictionary and takes no lock; changes are one at a time. Whoever encrypts under a key
holds it meanwhile (:meth:`Keyring.take`), from before the first byte until the record that names it is answered; a
key that is held is never retired, and one that is retired is taken by nobody. So between a look at what is under a key
and its destruction nothing comes under it.

A change that fails leaves the keyring as it was and refuses all further ones, unless there was merely no room: after a
failed sync nobody knows what the copies hold, and a start finds out.

Not handled here: deciding that a key may be destroyed (the eraser), and the files' format (``keyring_file``).
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vault import device, durable
from vault.crypto import keyring_file
from vault.crypto.kek import kek_id
from vault.crypto.keyring_file import KEY_BYTES, MAX_DOMAINS, Contents, DomainKey
from vault.errors import CorruptError, DurabilityError, KeyringError, Unavailable
from vault.storage.token import domain_name, require
from vault.times import MAX_NS, NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from vault.crypto.kek import KekProvider
    from vault.storage.token import ErasureToken

COPIES: Final = ("keyring-a", "keyring-b")
#: The month of what has no retention.
UNLOCKED: Final = "none"


def month_of(until: int) -> str:
    """The month in which a lock ends, UTC.

    Args:
        until: ns since the epoch; 0 without retention.
    """
    if not until:
        return UNLOCKED
    moment = datetime.fromtimestamp(min(until, MAX_NS) // NS, UTC)
    return f"{moment.year:04d}-{moment.month:02d}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A keyring as of one moment: a copy of its file, the KEK that opens it, and how far its contents had come."""

    data: bytes = field(repr=False)
    kek: bytes = field(repr=False)
    generation: int
    domains: int


class Keyring:
    """Domain keys by id and by place. Thread-safe; see :meth:`create` and :meth:`open`."""

    def __init__(self, directory: Path, kek: bytes, contents: Contents) -> None:
        self._directory = directory
        self._kek = kek
        self._contents = contents
        self._ids = {domain.id: domain for domain in contents.domains}
        self._places = {(domain.bucket, domain.month): domain for domain in contents.domains}
        self._change = threading.Lock()
        self._failed = False
        self._using = threading.Lock()  # guards the two below, and places
        self._held: Counter[str] = Counter()
        self._retired: set[str] = set()

    @classmethod
    def create(cls, directory: Path, provider: KekProvider) -> Keyring:
        """Make a keyring with a new site key and no domain keys; both copies are durable on return.

        Raises:
            NameTaken: There is a keyring already.
            KeyringError: There is no KEK.
            DurabilityError: A copy could not be written.
        """
        kek = provider.load()
        contents = Contents(1, secrets.token_bytes(KEY_BYTES), ())
        data = keyring_file.encode(contents, kek)
        for name in COPIES:
            durable.write_new(directory / name, data)
        return cls(directory, kek, contents)

    @classmethod
    def open(cls, directory: Path, provider: KekProvider) -> Keyring:
        """Open a keyring, and make the worse copy again from the better one. One writer: the data directory's lock.

        Raises:
            KeyringError: There is no KEK, or no copy is good, or both are and disagree.
            DurabilityError: The worse copy could not be written.
        """
        kek = provider.load()
        copies = read_copies(directory, kek)
        good = [copy for copy in copies if isinstance(copy, tuple)]
        if not good:
            reasons = "; ".join(str(copy) for copy in copies)
            raise KeyringError(f"no copy of the keyring can be used ({reasons}); restore it from a key backup")
        newest = max(good, key=lambda copy: copy[0].generation)
        if any(copy[0].generation == newest[0].generation and copy[1] != newest[1] for copy in good):
            raise KeyringError(
                f"both copies of the keyring in {directory} are of generation {newest[0].generation} and differ; "
                "restore it from a key backup"
            )
        for name, copy in zip(COPIES, copies, strict=True):
            if not isinstance(copy, tuple) or copy[1] != newest[1]:
                _write(directory / name, newest[1])
        durable.sweep_temps(directory, "keyring-")
        return cls(directory, kek, newest[0])

    @classmethod
    def put_back(cls, directory: Path, kek: bytes, contents: Contents) -> Keyring:
        """Put a keyring in the place of what is left of one: both copies are durable on return, and read back.

        Raises:
            DurabilityError: A copy could not be written.
        """
        data = keyring_file.encode(contents, kek)
        for name in COPIES:
            _write(directory / name, data)
        return cls(directory, kek, contents)

    def snapshot(self) -> Snapshot:
        """What a backup of it holds."""
        with self._change:
            contents, kek = self._contents, self._kek
        return Snapshot(keyring_file.encode(contents, kek), kek, contents.generation, len(contents.domains))

    @property
    def kek_id(self) -> str:
        """Names the KEK that it is wrapped by."""
        return kek_id(self._kek)

    @property
    def extent(self) -> tuple[int, int]:
        """How often it was written, and how many domain keys it holds."""
        contents = self._contents
        return contents.generation, len(contents.domains)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key of the site for one purpose (``secrets``, ``signing``), always the same."""
        return keyring_file.derive(self._contents.site, purpose)

    @property
    def domains(self) -> tuple[DomainKey, ...]:
        """All domain keys, oldest first."""
        return self._contents.domains

    def take(self, bucket: str, until: int) -> DomainKey | None:
        """Hold the domain key of a bucket's versions locked until then (ns since the epoch), where one was made.

        Returns:
            The key, to be given back with :meth:`give_back`.
        """
        with self._using:
            found = self._places.get((bucket, month_of(until)))
            if found is None or found.id in self._retired:
                return None
            self._held[found.id] += 1
            return found

    def give_back(self, domain: DomainKey) -> None:
        """Hold a key no longer: what was encrypted under it is recorded, or is given up. Once for each take."""
        with self._using:
            self._held[domain.id] -= 1
            if not self._held[domain.id]:
                del self._held[domain.id]

    def retire(self, domain_id: str) -> bool:
        """Let nobody take a key from here on, unless somebody holds it; whether it is so."""
        with self._using:
            if domain_id in self._held:
                return False
            self._retired.add(domain_id)
            return True

    def reinstate(self, domain_id: str) -> None:
        """Take back a retirement: something is under the key after all."""
        with self._using:
            self._retired.discard(domain_id)

    def take_or_make(self, bucket: str, until: int) -> DomainKey:
        """As :meth:`take`, made where it is missing: durable in both copies before it is returned. May block on disk.

        Raises:
            Unavailable: The keyring is full.
            KeyringError: An earlier change failed; restart.
            DurabilityError: The key could not be made durable, and is not used.
        """
        with self._change:
            found = self.take(bucket, until)
            if found is not None:
                return found
            if len(self._contents.domains) >= MAX_DOMAINS:
                raise Unavailable(f"the keyring holds {MAX_DOMAINS} domain keys and takes no more")
            domain = DomainKey(secrets.token_hex(8), secrets.token_bytes(KEY_BYTES), bucket, month_of(until))
            self._store((*self._contents.domains, domain), self._kek)
            with self._using:
                self._ids[domain.id] = domain
                self._places[domain.bucket, domain.month] = domain
                self._held[domain.id] += 1
            return domain

    def get(self, domain_id: str) -> DomainKey:
        """The domain key that a storage descriptor names.

        Raises:
            KeyringError: It is not here: destroyed, or the keyring is older than the data.
        """
        try:
            return self._ids[domain_id]
        except KeyError:
            raise KeyringError(
                f"domain key {domain_id[:16]} is not in the keyring; restore a key backup made after it was first used"
            ) from None

    def destroy(self, domain_id: str, token: ErasureToken) -> None:
        """Destroy a retired domain key in both copies, durably; a missing one counts as destroyed. May block on disk.

        Raises:
            NotCovered: The token does not name it.
            KeyringError: An earlier change failed; restart.
            DurabilityError: A copy could not be written; the key may still be there after a restart.
        """
        require(token, domain_name(domain_id))
        with self._change:
            gone = self._ids.get(domain_id)
            if gone is None:
                return
            if domain_id not in self._retired:
                raise ValueError(f"domain key {domain_id} is to be destroyed and was not retired")
            self._store((domain for domain in self._contents.domains if domain.id != domain_id), self._kek)
            del self._ids[domain_id]
            self._retired.discard(domain_id)
            if self._places.get((gone.bucket, gone.month)) is gone:
                del self._places[gone.bucket, gone.month]

    def rewrap(self, provider: KekProvider, written: Callable[[str], None] = lambda _: None) -> None:
        """Wrap the keyring under another KEK, durably; data and secrets are not touched (rotation). May block.

        A crash between the copies leaves one under each KEK: a start with either finds all keys.

        Args:
            provider: Has the new KEK.
            written: Called with a copy's name once it is under the new KEK and was read back.

        Raises:
            KeyringError: The provider has no KEK, or an earlier change failed.
            DurabilityError: A copy could not be written.
        """
        kek = provider.load()
        with self._change:
            self._store(self._contents.domains, kek, written)

    @property
    def failed(self) -> bool:
        """Whether a change failed, so that no other one is made until the next start has checked both copies."""
        return self._failed

    def _store(self, domains: Iterable[DomainKey], kek: bytes, written: Callable[[str], None] = lambda _: None) -> None:
        """Write both copies, then let the new contents count. Called with the change lock held."""
        if self._failed:
            raise KeyringError("an earlier change of the keyring failed; restart, so that both copies are checked")
        contents = Contents(self._contents.generation + 1, self._contents.site, tuple(domains))
        data = keyring_file.encode(contents, kek)
        failed = True
        try:
            for name in COPIES:
                _write(self._directory / name, data)
                written(name)
            failed = False
        except Unavailable:  # no room: the copy stands as it was; had the first been changed, it holds a key too many
            failed = False
            raise
        finally:
            self._failed = failed
        self._contents, self._kek = contents, kek


def read_copies(directory: Path, kek: bytes) -> list[tuple[Contents, bytes] | str]:
    """Both copies as they are: contents and exact bytes of one that is good, of another why it is not."""
    return [_read(directory / name, kek) for name in COPIES]


def wrapped_by(directory: Path) -> set[str]:
    """The ids of the KEKs that the copies' headers name, as far as they can be read."""
    found = set()
    for name in COPIES:
        try:
            with (directory / name).open("rb") as file:
                found.add(keyring_file.kek_named(file.read(keyring_file.MAX_HEADER_BYTES)))
        except OSError:
            continue
    return found - {""}


def _read(path: Path, kek: bytes) -> tuple[Contents, bytes] | str:
    """A copy that is good, or why it is not."""
    try:
        with path.open("rb") as file:
            data = file.read(keyring_file.MAX_FILE_BYTES + 1)
        return keyring_file.decode(data, kek), data
    except OSError as error:
        return f"{path}: {error.strerror}"
    except KeyringError as error:
        return f"{path}: {error}"


def _write(path: Path, data: bytes) -> None:
    """Replace a copy and read it back from the device."""
    durable.replace(path, data)
    try:
        same = device.read_direct(path, 0, len(data) + 1) == data
    except CorruptError as error:
        raise DurabilityError(f"{path} cannot be read back: {error}") from error
    if not same:
        raise DurabilityError(f"{path} does not hold what was written to it")
