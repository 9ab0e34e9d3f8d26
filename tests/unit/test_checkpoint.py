from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import MAX_SIZE, Checkpoint, open_checkpoint
from audit.errors import NoteInvalid
from audit.note import Signer, sign_note
from vault.merkle import EMPTY_ROOT

ROOT = bytes(range(32))
B64 = base64.b64encode(ROOT).decode()
ORIGIN = "log.example/a"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.mark.parametrize(
    "checkpoint",
    [Checkpoint(ORIGIN, 1, ROOT), Checkpoint("an origin", MAX_SIZE, ROOT), Checkpoint(ORIGIN, 0, EMPTY_ROOT)],
)
def test_text_survives_writing_and_reading(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


def test_text_is_origin_size_and_root() -> None:
    assert Checkpoint(ORIGIN, 20_852_163, ROOT).text() == f"{ORIGIN}\n20852163\n{B64}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n1\n",
        f"\n1\n{B64}\n",
        f"{ORIGIN}\n1\n{B64}",
        f"{ORIGIN}\n01\n{B64}\n",
        f"{ORIGIN}\n+1\n{B64}\n",
        f"{ORIGIN}\n-1\n{B64}\n",
        f"{ORIGIN}\n 1\n{B64}\n",
        f"{ORIGIN}\n\N{ARABIC-INDIC DIGIT ONE}\n{B64}\n",
        f"{ORIGIN}\n{MAX_SIZE + 1}\n{B64}\n",
        f"{ORIGIN}\n{10**40}\n{B64}\n",
        f"{ORIGIN}\n1\n{B64[:-2]}9=\n",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\n1\n{B64}\n\n",
        f"{ORIGIN}\n1\n{B64}\nextension\n",
        f"{ORIGIN}\n0\n{B64}\n",
    ],
)
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_a_checkpoint_of_another_log_is_refused_whoever_signed_it() -> None:
    note = sign_note(Checkpoint("log.example/b", 1, ROOT).text(), SIGNER)
    assert open_checkpoint(note, "log.example/b", [SIGNER.verifier]).size == 1
    with pytest.raises(NoteInvalid, match=r"log\.example/b"):
        open_checkpoint(note, ORIGIN, [SIGNER.verifier])


def test_a_note_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(NoteInvalid):
        open_checkpoint(sign_note("hello\n", SIGNER), ORIGIN, [SIGNER.verifier])
