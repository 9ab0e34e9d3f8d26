"""RFC 8032 §7.1, and what a strict verifier must not accept."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.verify.ed25519 import L, P, verify

# secret key, public key, message, signature
VECTORS = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}
# Encodings of the eight points whose order divides 8, canonical ones first.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_rfc_verify(name: str) -> None:
    secret, public, message, signature = map(bytes.fromhex, VECTORS[name])
    key = Ed25519PrivateKey.from_private_bytes(secret)
    assert (key.public_key().public_bytes_raw(), key.sign(message)) == (public, signature)
    assert verify(public, signature, message)


@pytest.mark.parametrize("name", VECTORS)
def test_a_signature_with_s_above_the_group_order_is_refused(name: str) -> None:
    _, public, message, signature = map(bytes.fromhex, VECTORS[name])
    s = int.from_bytes(signature[32:], "little") + L
    assert not verify(public, signature[:32] + s.to_bytes(32, "little"), message)


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(point: str) -> None:
    public = bytes.fromhex(point)
    for r in (public, bytes.fromhex(SMALL_ORDER[0])):
        assert not verify(public, r + bytes(32), b"anything")


def test_small_order_r_is_refused_under_a_good_key() -> None:
    public = bytes.fromhex(VECTORS["TEST 1"][1])
    assert not any(verify(public, bytes.fromhex(point) + bytes(32), b"") for point in SMALL_ORDER)


@pytest.mark.parametrize("y", [P, P + 1, 2**255 - 1, 2])
def test_keys_that_are_no_canonical_point_are_refused(y: int) -> None:
    signature = bytes.fromhex(VECTORS["TEST 1"][3])
    assert not verify(y.to_bytes(32, "little"), signature, b"")


@pytest.mark.parametrize(("public", "signature"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_other_lengths_are_refused(public: int, signature: int) -> None:
    assert not verify(bytes(public), bytes(signature), b"")


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), bit=st.integers(0, 511))
def test_what_another_implementation_signs_verifies_and_one_flipped_bit_does_not(
    seed: bytes, message: bytes, bit: int
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verify(public, signature, message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify(public, bytes(flipped), message)
    assert not verify(public, signature, message + b"x")


@given(public=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64))
def test_random_bytes_are_no_signature(public: bytes, signature: bytes) -> None:
    assert not verify(public, signature, b"message")
