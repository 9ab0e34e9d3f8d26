"""One trading day of a small broker: what the demo stores.

Everything in it is invented. The same seed gives the same bytes with every Python: only ``Random.random`` is drawn
from, the one method whose sequence its documentation promises to keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from tests.demo import fix, pdf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

SEED: Final = 20261120
#: Orders of the day; each leaves a ticket and two or more FIX messages, every fourth an e-mail.
ORDERS: Final = 720
OPEN: Final = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
HOURS: Final = 6.5

_SYMBOLS: Final = {"ALPN": 48_25, "BRZE": 112_40, "CEDR": 9_87, "DUNE": 231_05, "ELMX": 64_10, "FJRD": 17_66}
_CLIENTS: Final = ("Anders", "Bianchi", "Castillo", "Dubois", "Eriksen", "Fontaine", "Gruber", "Haddad")
_TRADERS: Final = ("t.ito", "m.okafor", "s.novak")
_TYPES: Final = {"market": "1", "limit": "2"}


class Item(NamedTuple):
    """One record of the firm: an object to be.

    Attributes:
        kind: ``ticket``, ``fix``, ``mail`` or ``report``.
        key: Where it is stored.
        media_type: For ``Content-Type``.
        data: Its bytes.
    """

    kind: str
    key: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Fill:
    at: datetime
    quantity: int
    cents: int


@dataclass(frozen=True, slots=True)
class _Order:
    number: int
    received: datetime
    client: str
    account: str
    trader: str
    symbol: str
    side: str
    type: str
    quantity: int
    cents: int
    fills: tuple[_Fill, ...]

    @property
    def id(self) -> str:
        return f"O-{OPEN:%Y%m%d}-{self.number:05d}"

    @property
    def entered(self) -> datetime:
        return self.received + timedelta(milliseconds=180 + self.number % 700)


def day(orders: int = ORDERS) -> list[Item]:
    """Make the day's records in the order in which they arise.

    Args:
        orders: How many orders come in.

    Returns:
        Tickets, FIX messages in both directions, e-mails to clients, and the trade blotter.
    """
    book = list(_book(Random(SEED), orders))
    items: list[Item] = []
    folder = f"{OPEN:%Y/%m/%d}"
    received = 0
    for order in book:
        items.append(Item("ticket", f"{folder}/tickets/{order.id}.json", "application/json", _ticket(order)))
        for number, data in enumerate(_messages(order, received), order.number + received):
            items.append(Item("fix", f"{folder}/fix/{number:06d}.fix", "application/x-fix", data))
        received += len(order.fills)
        if order.number % 4 == 0:
            items.append(Item("mail", f"{folder}/{order.id}.eml", "message/rfc822", _mail(order)))
    items.append(Item("report", f"{folder}/blotter.pdf", "application/pdf", pdf.document(_blotter(book))))
    return items


def _book(random: Random, orders: int) -> Iterator[_Order]:
    for number in range(1, orders + 1):
        received = OPEN + timedelta(milliseconds=int(HOURS * 3_600_000 * (number - random.random()) / orders))
        client = _pick(random, _CLIENTS)
        symbol = _pick(random, tuple(_SYMBOLS))
        quantity = 100 * _between(random, 1, 40)
        cents = _SYMBOLS[symbol] + _between(random, -60, 60)
        parts = [quantity] if quantity < 2_000 else [quantity - 1_000, 1_000]
        yield _Order(
            number=number,
            received=received,
            client=client,
            account=f"4711-{_CLIENTS.index(client) + 1:04d}",
            trader=_pick(random, _TRADERS),
            symbol=symbol,
            side=_pick(random, ("buy", "sell")),
            type=_pick(random, tuple(_TYPES)),
            quantity=quantity,
            cents=cents,
            fills=tuple(
                _Fill(received + timedelta(milliseconds=900 * turn + _between(random, 0, 400)), part, cents)
                for turn, part in enumerate(parts, 1)
            ),
        )


def _pick(random: Random, options: Sequence[T]) -> T:
    return options[int(random.random() * len(options))]


def _between(random: Random, low: int, high: int) -> int:
    return low + int(random.random() * (high - low + 1))


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _ticket(order: _Order) -> bytes:
    """The memorandum of an order."""
    ticket = {
        "order": order.id,
        "account": order.account,
        "client": order.client,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "quantity": order.quantity,
        "limit": _price(order.cents) if order.type == "limit" else None,
        "currency": "USD",
        "received": _instant(order.received),
        "received_by": order.trader,
        "entered": _instant(order.entered),
        "discretionary": False,
        "executions": [
            {"time": _instant(fill.at), "quantity": fill.quantity, "price": _price(fill.cents)} for fill in order.fills
        ],
    }
    return json.dumps(ticket, indent=1).encode() + b"\n"


def _messages(order: _Order, received: int) -> Iterator[bytes]:
    """NewOrderSingle (D) to the market, and an ExecutionReport (8) back for each fill, after ``received`` earlier."""
    side, kind = "1" if order.side == "buy" else "2", _TYPES[order.type]
    price: list[tuple[int, str | int]] = [(44, _price(order.cents))] if order.type == "limit" else []
    yield fix.message(
        "D",
        [
            (49, "BROKER"), (56, "MARKET"), (34, order.number), (52, fix.timestamp(order.entered)), (11, order.id),
            (1, order.account), (55, order.symbol), (54, side), (60, fix.timestamp(order.entered)),
            (38, order.quantity), (40, kind), *price, (15, "USD"), (59, "0"),
        ],
    )  # fmt: skip
    done = 0
    for number, fill in enumerate(order.fills, received + 1):
        done += fill.quantity
        status = "2" if done == order.quantity else "1"
        yield fix.message(
            "8",
            [
                (49, "MARKET"), (56, "BROKER"), (34, number), (52, fix.timestamp(fill.at)),
                (37, f"M{order.number:07d}"), (11, order.id), (17, f"E{number:07d}"), (150, "F"),
                (39, status), (1, order.account), (55, order.symbol), (54, side), (38, order.quantity), (40, kind),
                *price, (32, fill.quantity), (31, _price(fill.cents)), (151, order.quantity - done), (14, done),
                (6, _price(fill.cents)), (60, fix.timestamp(fill.at)),
            ],
        )  # fmt: skip


def _mail(order: _Order) -> bytes:
    """The confirmation to the client (RFC 5322)."""
    name = order.client.lower()
    text = [
        f"Date: {format_datetime(order.fills[-1].at + timedelta(seconds=20))}",
        "From: Trade desk <desk@broker.example>",
        f"To: {order.client} <{name}@client.example>",
        f"Subject: Order {order.id} done",
        f"Message-ID: <{order.id}.1@broker.example>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        f"Dear {order.client},",
        "",
        f"your order to {order.side} {order.quantity} {order.symbol} has been done:",
        "",
        *(f"  {_instant(fill.at)}  {fill.quantity:6d} at USD {_price(fill.cents)}" for fill in order.fills),
        "",
        f"Account {order.account}. Questions: answer this e-mail.",
        "",
        f"{order.trader}, trade desk",
        "",
    ]
    return "\r\n".join(text).encode("ascii")


def _blotter(book: Sequence[_Order]) -> list[str]:
    """Every execution of the day, and the sum."""
    rows = [
        f"{_instant(fill.at)}  {order.id}  {order.account}  {order.side:4s} {fill.quantity:6d} {order.symbol} "
        f"{_price(fill.cents):>8s}"
        for order in book
        for fill in order.fills
    ]
    total = sum(fill.quantity * fill.cents for order in book for fill in order.fills)
    return [f"Trade blotter (USD), {OPEN:%Y-%m-%d}", "", *rows, "", f"Executions: {len(rows)}  Sum: {_price(total)}"]
