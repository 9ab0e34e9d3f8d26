"""A signature holds for exactly what was signed, whatever was signed; garbage is refused and nothing else happens."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote_to_bytes

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.unit.s3.signer import ACCESS_KEY, AMZ_DATE, Request, Signer, check
from vault.errors import S3Error
from vault.s3.authorization import Payload, Reason

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PAIRS = st.dictionaries(KEYS.filter(lambda name: not name.startswith("X-Amz-")), KEYS, max_size=3)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f\x85\xa0"), max_size=12)
HEADERS = st.dictionaries(st.from_regex(r"(x-amz-meta-|content-)[a-z]{1,5}", fullmatch=True), VALUES, max_size=3)


@st.composite
def signed(draw: st.DrawFn) -> Request:
    path = "/bucket/" + quote(draw(KEYS).encode(), safe="/-._~")
    if draw(st.booleans()):
        return Signer().presign(path=path, headers=draw(HEADERS))
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in draw(PAIRS).items())
    query = "&".join(f"{name}={value}" for name, value in pairs)
    assume(not {"Signature", "AWSAccessKeyId"} & {name for name, _ in pairs})
    return Signer().header("PUT", path, query, draw(HEADERS), draw(st.sampled_from([*Payload][1:])).value)


def flipped(data: bytes, bit: int) -> bytes:
    at, shift = divmod(bit % (8 * len(data)), 8)
    return data[:at] + bytes([data[at] ^ 1 << shift]) + data[at + 1 :]


def meaning(request: Request) -> tuple[object, ...]:
    """What a request says, apart from how it is written."""
    query = sorted(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"))
    headers = sorted((name, b" ".join(value.split())) for name, value in request.headers)
    return request.method, unquote_to_bytes(request.path), query, headers


@given(signed())
def test_what_was_signed_verifies(request: Request) -> None:
    result = check(request)

    assert (result.access_key, result.seed_signature) == (ACCESS_KEY, request.signature)


@given(signed(), st.data())
def test_any_flipped_bit_in_what_was_signed_is_refused(request: Request, data: st.DataObject) -> None:
    before = meaning(request)
    places = [place for place in ("method", "path", "query", "header") if place != "query" or request.query]
    place = data.draw(st.sampled_from(places))
    bit = data.draw(st.integers(min_value=0, max_value=2**20))
    if place == "header":
        index = data.draw(st.integers(min_value=0, max_value=len(request.headers) - 1))
        name, value = request.headers[index]
        assume(value)
        request.headers[index] = (name, flipped(value, bit))
    elif place == "method":
        request.method = flipped(request.method.encode(), bit).decode("latin-1")
    else:
        setattr(request, place, flipped(getattr(request, place), bit))
    assume(meaning(request) != before)

    with pytest.raises(S3Error) as caught:
        check(request)
    assert caught.value.reason in {*Reason}


TOKENS = st.sampled_from(
    [
        b"AWS4-HMAC-SHA256 ",
        b"AWS ",
        b"Credential=",
        ACCESS_KEY.encode(),
        b"/20261122/r/s3/aws4_request",
        b", SignedHeaders=",
        b"host;x-amz-date",
        b", Signature=",
        b"0" * 64,
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256",
        b"&X-Amz-Credential=",
        b"&X-Amz-Date=" + AMZ_DATE.encode(),
        b"&X-Amz-Expires=60",
        b"&X-Amz-SignedHeaders=host",
        b"&X-Amz-Signature=",
        AMZ_DATE.encode(),
        b"UNSIGNED-PAYLOAD",
        b"%",
        b"%FF",
        b"&",
        b"=",
        b";",
        b",",
    ]
)
NEARLY = st.lists(TOKENS | st.binary(max_size=4), max_size=12).map(b"".join)
NAMES = st.sampled_from([b"authorization", b"host", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-acl", b""])


@given(st.text(max_size=8), NEARLY, NEARLY, st.lists(st.tuples(NAMES | st.binary(max_size=6), NEARLY), max_size=6))
@example("", b"", b"X-Amz-Algorithm", [])
@example("\udc80", b"", b"", [(b"authorization", b"AWS4-HMAC-SHA256")])
def test_garbage_is_refused_with_one_of_our_errors(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    with pytest.raises(S3Error) as caught:
        check(Request(method, path, query, headers))

    assert caught.value.reason in {*Reason}
