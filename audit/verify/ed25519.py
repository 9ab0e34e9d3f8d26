"""Ed25519 verification (RFC 8032 §5.1.7), in the standard library's arithmetic.

Strict, so that every verifier that accepts agrees on what it accepted: S must
be below the group order, A and R must be canonical encodings of points that are
not of small order, and the equation is checked without the cofactor.

Nothing here is secret, so nothing here is constant-time. Not handled here:
signing.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, P - 2, P) % P
_D2: Final = 2 * _D % P
_SQRT_M1: Final = pow(2, (P - 1) // 4, P)

# Extended homogeneous coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z (RFC 8032 §5.1.4).
_Point = tuple[int, int, int, int]
_IDENTITY: Final[_Point] = (0, 1, 1, 0)
_WINDOW: Final = 4  # bits of both scalars taken at a time


def _add(p: _Point, q: _Point) -> _Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = p[3] * q[3] * _D2 % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p: _Point) -> _Point:
    a = p[0] * p[0] % P
    b = p[1] * p[1] % P
    h = a + b
    e = h - (p[0] + p[1]) ** 2 % P
    g = a - b
    f = 2 * p[2] * p[2] % P + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _decode(data: bytes) -> _Point | None:
    """RFC 8032 §5.1.3, refusing y >= p and x = 0 with the sign bit set."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (_D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * _SQRT_M1 % P
    elif (v * x * x - u) % P:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _encode(p: _Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _small_order(p: _Point) -> bool:
    for _ in range(3):
        p = _double(p)
    return p[0] == 0 and p[1] == p[2]


def _multiples(p: _Point) -> list[_Point]:
    table = [_IDENTITY]
    for _ in range((1 << _WINDOW) - 1):
        table.append(_add(table[-1], p))
    return table


_BASE: Final = _decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or _IDENTITY
_BASE_MULTIPLES: Final = _multiples(_BASE)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Check a signature.

    Args:
        public: Public key, 32 bytes.
        signature: R ‖ S, 64 bytes.
        message: What was signed.

    Returns:
        Whether it is good. Anything malformed is not.
    """
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    a, r = _decode(public), _decode(signature[:32])
    if s >= L or a is None or r is None or _small_order(a) or _small_order(r):
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % L
    # R = [S]B - [k]A, both products in one pass (Straus), most significant window first.
    minus_a = _multiples((P - a[0], a[1], 1, P - a[3]))
    total = _IDENTITY
    for shift in range(256 - _WINDOW, -1, -_WINDOW):
        for _ in range(_WINDOW):
            total = _double(total)
        total = _add(total, _BASE_MULTIPLES[s >> shift & 15])
        total = _add(total, minus_a[k >> shift & 15])
    return _encode(total) == signature[:32]
