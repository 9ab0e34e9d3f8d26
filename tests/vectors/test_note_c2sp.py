"""The example of C2SP signed-note, and those of the package its format comes from (golang.org/x/mod/sumdb/note)."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.note import Signer, VerifierKey, open_note, parse_note, sign_note

C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_TEXT = "This is an example message.\n"
C2SP_NOTE = (
    f"{C2SP_TEXT}\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # type byte and seed of the published test key
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
BOTH = f"{PETER_TEXT}\n{PETER_LINE}{ENOCH_LINE}".encode()


@pytest.mark.parametrize("vkey", [C2SP_VKEY, PETER_VKEY, ENOCH_VKEY])
def test_verifier_keys_survive_reading_and_writing(vkey: str) -> None:
    assert VerifierKey.parse(vkey).encode() == vkey


def test_the_example_of_the_specification_opens() -> None:
    assert open_note(C2SP_NOTE, [VerifierKey.parse(C2SP_VKEY)]) == C2SP_TEXT


@pytest.mark.parametrize("vkeys", [[PETER_VKEY], [ENOCH_VKEY], [PETER_VKEY, ENOCH_VKEY], [C2SP_VKEY, PETER_VKEY]])
def test_a_note_with_two_signatures_opens_with_either_key(vkeys: list[str]) -> None:
    assert open_note(BOTH, [VerifierKey.parse(vkey) for vkey in vkeys]) == PETER_TEXT
    assert [line.name for line in parse_note(BOTH).signatures] == ["PeterNeumann", "EnochRoot"]


def test_signing_gives_the_published_bytes() -> None:
    seed = base64.b64decode(PETER_SEED)[1:]
    signer = Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed))
    assert signer.verifier.encode() == PETER_VKEY
    assert sign_note(PETER_TEXT, signer) == f"{PETER_TEXT}\n{PETER_LINE}".encode()
