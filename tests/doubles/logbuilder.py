"""Logs written straight from ARCHITECTURE.md, with no code of the writer or of the verifier.

Everything is deterministic: fixed key, time that goes by the seq, bytes by hashing. What a test wants
to be wrong it changes in the entries (and calls :meth:`LogBuilder.rechain`) or in the files.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

VAULT = "0123456789abcdef"
STREAM = "site-a.node-1"
TAG = 16
CHUNK = 64
EMPTY = sha256(b"").digest()


@dataclass
class Entry:
    """A record's fields, head and tail in order, and its body."""

    fields: dict[str, Any]
    body: bytes = b""
    raw: bytes = b""  # exact bytes, where they are not simply the fields

    def bytes(self) -> bytes:
        return self.raw or json.dumps(self.fields, separators=(",", ":"), ensure_ascii=False).encode()


def instant(seq: int, days: int = 0) -> str:
    """RFC 3339 with nine digits: a second for each seq, from 2026-11-01 on, or so many days after that."""
    seconds = seq % 86_400
    day = 1 + seq // 86_400 + days
    month, day = 11 + (day - 1) // 28, (day - 1) % 28 + 1
    year, month = 2026 + (month - 1) // 12, (month - 1) % 12 + 1
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}.{seq % 1_000_000_000:09d}Z"


def noise(label: str, length: int) -> bytes:
    """Bytes that look like ciphertext, the same for the same label."""
    blocks = (sha256(f"{label}/{index}".encode()).digest() for index in range(length // 32 + 1))
    return b"".join(blocks)[:length]


@dataclass
class LogBuilder:
    """One stream's records. Methods append records of successful operations and return their seq."""

    vault: str = VAULT
    stream: str = STREAM
    seed: bytes = b"\1" * 32
    leaf_prefix: bytes = b"\0"
    entries: list[Entry] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    _chains: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    _prev: bytes = EMPTY

    @property
    def origin(self) -> str:
        return f"strongroom/{self.vault}/{self.stream}"

    @property
    def size(self) -> int:
        return len(self.entries)

    # --- records ---

    def record(self, op: str, *, head: dict[str, Any] | None = None, body: bytes = b"", **tail: Any) -> int:
        """Append any record; ``head`` may replace or add fields of the head."""
        seq = len(self.entries)
        fields: dict[str, Any] = {
            "v": 1, "stream": self.stream, "seq": seq, "prev": self._prev.hex(),
            "time": instant(seq), "clock": instant(seq), "outcome": "success",
        } | (head or {})  # fmt: skip
        fields |= {"op": op, "actor": {"id": "p1", "roles": ["owner"]}, "origin": {"via": "s3", "ip": "192.0.2.1"}}
        entry = Entry(fields | tail, body)
        self.entries.append(entry)
        self._prev = sha256(self.leaf_prefix + entry.bytes()).digest()
        return seq

    def denied(self, op: str, **tail: Any) -> int:
        return self.record(op, head={"outcome": "denied", "reason": "policy"}, **tail)

    def start(self, takes_over: dict[str, Any] | None = None) -> None:
        """What every log begins with."""
        opened: dict[str, Any] = {"vault": self.vault, "anchor": "local", "profile": "standard"}
        self.record("ledger.open", ledger=opened | ({"takes_over": takes_over} if takes_over else {}))
        self.record("ledger.start", ledger={"incarnation": 1})
        if takes_over:
            self.fill(4)
            return
        self.record("principal.add", principal={"id": "p1", "name": "root", "access_key": "SRA", "roles": ["root"]})
        self.record("bucket.create", object={"bucket": "b"}, bucket={"lock": True})

    def make(
        self, op: str, key: str, *, lock: dict[str, Any] | None = None, marker: bool = False, null: bool = False,
        replaced: int = 0, bucket: str = "b", content: str = "", body: bytes = b"", **tail: Any,
    ) -> str:  # fmt: skip
        """Append a record that makes a version; its version id."""
        seq = len(self.entries)
        ordinal, prev = self._chains.get((bucket, key), (0, ""))
        ordinal += 1
        manifest: dict[str, Any] = {"v": 1, "bucket": bucket, "key": key, "ordinal": ordinal, "time": instant(seq)}
        manifest |= {"content": content} if content else {}
        manifest |= {"lock": lock} if lock else {}
        manifest |= {"marker": True} if marker else {}
        manifest |= {"null": True} if null else {}
        manifest |= {"prev": prev} if prev else {}
        digest = sha256(json.dumps(manifest, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
        version: dict[str, Any] = {"ordinal": ordinal, "version_id": f"{ordinal:08x}{digest[:24]}", "manifest": digest}
        version |= {"prev_manifest": prev} if prev else {}
        version |= {"marker": True} if marker else {}
        version |= {"null": True} if null else {}
        version |= {"replaced": replaced} if replaced else {}
        named = {"bucket": bucket, "key": key} | tail.pop("object", {}) | ({"content": content} if content else {})
        head = {"version": version} | ({"lock": lock} if lock else {})
        self.record(op, head=head, object=named, body=body, **tail)
        self._chains[bucket, key] = ordinal, digest
        return str(version["version_id"])

    def put(self, key: str, size: int = 100, kind: str = "log", **more: Any) -> str:
        """PutObject of ``size`` bytes, in the body itself or in a blob."""
        body, storage = self.stored(f"{key}/{len(self.entries)}", size, kind)
        content = sha256(key.encode()).hexdigest()
        named = {"size": size} | more.pop("object", {})
        return self.make("object.put", key, content=content, body=body, storage=storage, object=named, **more)

    def stored(self, label: str, size: int, kind: str = "log") -> tuple[bytes, dict[str, Any]]:
        """A body and the descriptor that fits it."""
        sealed = noise(f"sealed {label}", 48)
        full, rest = divmod(size, CHUNK)
        sizes = [CHUNK] * full + ([rest] if rest or not full else [])
        chunks = [noise(f"{label} {index}", length + TAG) for index, length in enumerate(sizes)]
        data = b"".join(chunks)
        storage = self._descriptor(kind, sealed, len(data), [sealed, *chunks])
        if kind == "blob":
            storage["blob"] = sha256(label.encode()).hexdigest()[:32]
            self.blobs[storage["blob"]] = data
            return sealed, storage
        return sealed + data, storage

    def _descriptor(self, kind: str, sealed: bytes, length: int, leaves: list[bytes]) -> dict[str, Any]:
        root = mth([sha256(self.leaf_prefix + leaf).digest() for leaf in leaves]).hex()
        return {
            "suite": 1, "kind": kind, "domain": "d1", "salt": "00" * 16, "sealed": len(sealed), "chunk": CHUNK,
            "length": length, "root": root,
        }  # fmt: skip

    def upload(self, key: str, upload: str, lock: dict[str, Any] | None = None) -> int:
        sealed = noise(f"sealed {upload}", 48)
        storage = self._descriptor("log", sealed, 0, [sealed])
        self.parts[upload] = {}
        named = {"bucket": "b", "key": key, "upload_id": upload}
        head, asked = ({"lock": lock}, {"request": lock}) if lock else ({}, {})
        return self.record("multipart.create", head=head, object=named, storage=storage, body=sealed, **asked)

    def part(self, key: str, upload: str, number: int, size: int, kind: str = "log") -> int:
        body, storage = self.stored(f"{upload}/{number}/{len(self.entries)}", size, kind)
        named = {"bucket": "b", "key": key, "upload_id": upload, "part": number, "size": size}
        seq = self.record("multipart.part", object=named, storage=storage, body=body)
        self.parts[upload][number] = seq, size
        return seq

    def complete(self, key: str, upload: str, lock: dict[str, Any] | None = None) -> str:
        sealed = noise(f"sealed {upload} complete", 48)
        listed = [[number, seq, size] for number, (seq, size) in sorted(self.parts[upload].items())]
        rest = json.dumps(listed, separators=(",", ":")).encode()
        storage = self._descriptor("parts", sealed, len(rest), [sealed, rest])
        return self.make(
            "multipart.complete", key, object={"upload_id": upload}, content="cc" * 32, storage=storage,
            body=sealed + rest, lock=lock,
        )  # fmt: skip

    def on(
        self, op: str, version_id: str, *, named: bool = True, lock: dict[str, Any] | None = None, **tail: Any
    ) -> int:
        """Append an operation on an existing version: object.get, object.delete, object.retention.put."""
        made = next(e.fields for e in self.entries if e.fields.get("version", {}).get("version_id") == version_id)
        version = {name: value for name, value in made["version"].items() if name != "replaced"}
        where = {name: made["object"][name] for name in ("bucket", "key")}
        where |= {"version_id": version_id} if named else {}
        return self.record(op, head={"version": version} | ({"lock": lock} if lock else {}), object=where, **tail)

    def erase(self, version_id: str) -> int:
        made = next(e.fields for e in self.entries if e.fields.get("version", {}).get("version_id") == version_id)
        named = {"bucket": "b", "key": made["object"]["key"], "version_id": version_id}
        return self.record("object.erased", object=named, ref=made["seq"])

    def fill(self, size: int) -> None:
        """Append reads until there are ``size`` records."""
        while len(self.entries) < size:
            self.record("object.get", object={"bucket": "b", "key": "k"})

    def rechain(self, first: int = 0) -> None:
        """Give every record from ``first`` on the ``prev`` that fits: what a forger who has all keys would do."""
        self._prev = self.leaf(first - 1) if first else EMPTY
        for entry in self.entries[first:]:
            entry.fields["prev"] = self._prev.hex()
            self._prev = sha256(self.leaf_prefix + entry.bytes()).digest()

    # --- tree and notes ---

    def leaf(self, seq: int) -> bytes:
        return sha256(self.leaf_prefix + self.entries[seq].bytes()).digest()

    def leaves(self, size: int | None = None) -> list[bytes]:
        return [sha256(self.leaf_prefix + entry.bytes()).digest() for entry in self.entries[:size]]

    def vkey(self) -> str:
        blob = b"\1" + self._key().public_key().public_bytes_raw()
        return f"{self.origin}+{self._key_id().hex()}+{b64encode(blob).decode()}"

    def checkpoint(self, size: int | None = None) -> bytes:
        size = self.size if size is None else size
        root = b64encode(mth(self.leaves(size))).decode()
        text = f"{self.origin}\n{size}\n{root}\n"
        signature = b64encode(self._key_id() + self._key().sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.origin} {signature}\n".encode()

    def write_export(self, root: Path, size: int | None = None) -> None:
        """The first ``size`` records as a C2SP tlog-tiles directory."""
        size = self.size if size is None else size
        root.mkdir(parents=True, exist_ok=True)
        (root / "checkpoint").write_bytes(self.checkpoint(size))
        write_tiles(root, self.leaves(size))
        for start in range(0, size, 256):
            records = [entry.bytes() for entry in self.entries[start : min(start + 256, size)]]
            data = b"".join(len(record).to_bytes(2, "big") + record for record in records)
            write_tile(root, "entries", start // 256, len(records), data)

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def _key_id(self) -> bytes:
        public = self._key().public_key().public_bytes_raw()
        return sha256(f"{self.origin}\n".encode() + b"\1" + public).digest()[:4]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1 over leaf hashes, as it is written there."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def write_tiles(root: Path, leaves: list[bytes]) -> None:
    """All tiles of a tree, partial ones of the right edge included."""
    level, hashes = 0, leaves
    while hashes:
        for start in range(0, len(hashes), 256):
            tile = hashes[start : start + 256]
            write_tile(root, level, start // 256, len(tile), b"".join(tile))
        full = len(hashes) // 256
        hashes = [mth(hashes[n * 256 : n * 256 + 256]) for n in range(full)]
        level += 1


def write_tile(root: Path, level: int | str, n: int, width: int, data: bytes) -> None:
    name = f"{n % 1000:03d}"
    while n >= 1000:
        n //= 1000
        name = f"x{n % 1000:03d}/{name}"
    path = root / f"tile/{level}/{name}{'' if width == 256 else f'.p/{width}'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
