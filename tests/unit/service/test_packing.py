from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.doubles.archives import END, member, pax
from tests.doubles.keys import FixedKek
from tests.doubles.world import ADA, caller
from vault.archive.contents import read_contents
from vault.crypto import aead
from vault.crypto.aead import VersionKey
from vault.crypto.keyring import Keyring
from vault.forms import quoted
from vault.manifest import decode_document, document_digest, encode_document
from vault.merkle import leaf_hash
from vault.ports import Put
from vault.record import Request, encode_tail
from vault.s3.extract import described_by
from vault.service.packing import Alike, pack
from vault.service.sealing import INLINE_BYTES
from vault.service.unpacking import Held
from vault.state.puts import intent_of

if TYPE_CHECKING:
    from pathlib import Path

    from vault.service.context import Caller

#: Bytes that mean something to a form, to JSON or to neither, and a member that says something of itself.
MEMBERS = {
    "a": b"", "%d %b %%": b"x", 'q"uo"ted': b"y" * 1024, "ü€𝄞": b"%", "k" * 999: b"z" * 3000,
    "big": b"b" * INLINE_BYTES,
}  # fmt: skip
METADATA = {"x-amz-meta-percent": "100%d %b", "x-amz-meta-quoted": '"\\', "x-amz-meta-latin": "\xff"}


@pytest.mark.parametrize("who", [ADA, caller("%s", "root")], ids=["plain", "odd"])
@pytest.mark.parametrize("asked", [Request(), Request(mode="COMPLIANCE", until="2140", http="PUT /100%25b")])
def test_what_is_packed_is_what_the_encoders_and_ciphers_make(tmp_path: Path, who: Caller, asked: Request) -> None:
    domain = Keyring.create(tmp_path, FixedKek()).take_or_make("bucket", 0)
    said = {"a": {"minio.metadata.content-type": b"text/%d"}}
    archive = (
        pax({"path": name.encode(), **said.get(name, {})}) + member(b"x", data) for name, data in MEMBERS.items()
    )
    source = Held(b"".join(archive) + END)
    packed = pack(
        Alike(who, "100%b", asked, domain, described_by(METADATA)), source, read_contents(source, max_size=1 << 30)
    )
    salts = set()
    for put, etag, (name, data) in zip(packed.intent.members, packed.etags, MEMBERS.items(), strict=True):
        assert isinstance(put, Put)
        intent = intent_of(put, packed.intent.tail)
        tail, storage, named = intent.tail, intent.tail.storage, intent.tail.object
        assert storage is not None
        assert named is not None
        assert intent.encoded == encode_tail(tail)
        assert (put.key, put.name) == (name, quoted(name))
        assert (named.bucket, named.key, named.size) == ("100%b", name, len(data))
        assert (tail.actor, tail.origin, tail.request) == (who.actor, who.origin, asked)
        sealed, ciphertext = intent.body
        key = VersionKey(domain.key, bytes.fromhex(storage.salt))
        plain = key.open(sealed)
        document = decode_document(plain)
        assert encode_document(document) == plain
        assert document_digest(plain) == named.content
        assert key.decrypt(0, ciphertext, last=True) == data
        assert (storage.kind, storage.chunk, storage.length) == ("log", INLINE_BYTES, len(ciphertext))
        assert (storage.sealed, storage.domain, storage.blob) == (len(sealed), domain.id, "")
        assert storage.root == aead.root(sealed, [leaf_hash(ciphertext)])
        assert document.etag == document.md5 == etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert (document.sha256, document.size) == (hashlib.sha256(data).hexdigest(), len(data))
        assert document.metadata == {"percent": "100%d %b", "quoted": '"\\', "latin": "\xff"}
        assert document.headers == {"content-type": "text/%d" if name == "a" else "binary/octet-stream"}
        salts |= {storage.salt, document.salt}
    assert len(salts) == 2 * len(MEMBERS)
