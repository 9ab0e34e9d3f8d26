from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime

import pytest

from tests.demo import fix, pdf
from tests.demo.day import Item, day

#: SHA-256 over the whole day. It changes only with the records themselves, on purpose.
GOLDEN = "5a62bdf67a23ff0008ae7bafe20b9b513558eefad01dfdcb12ab45f21ab1f81b"


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return day()


def of(items: list[Item], kind: str) -> list[Item]:
    return [item for item in items if item.kind == kind]


def fields(message: bytes) -> dict[int, str]:
    pairs = (field.split(b"=", 1) for field in message.removesuffix(fix.SOH).split(fix.SOH))
    return {int(tag): value.decode() for tag, value in pairs}


def test_the_day_has_the_same_bytes_wherever_it_is_made(items: list[Item]) -> None:
    digest = hashlib.sha256()
    for item in items:
        digest.update(b"%b %b %d\n" % (item.kind.encode(), item.key.encode(), len(item.data)))
        digest.update(item.data)
    assert digest.hexdigest() == GOLDEN


def test_the_day_is_as_large_as_the_demo_promises(items: list[Item]) -> None:
    assert Counter(item.kind for item in items) == {"ticket": 720, "fix": 1799, "mail": 180, "report": 1}
    assert len({item.key for item in items}) == len(items)


def test_fix_messages_carry_right_length_and_checksum(items: list[Item]) -> None:
    for item in of(items, "fix"):
        found = re.fullmatch(rb"8=FIX\.4\.4\x019=(\d+)\x01(35=[D8]\x01.*)10=(\d{3})\x01", item.data, re.DOTALL)
        assert found is not None
        assert len(found[2]) == int(found[1])
        assert sum(item.data[: found.start(3) - len("10=")]) % 256 == int(found[3])


def test_a_well_known_execution_report_comes_out_with_its_length_and_checksum() -> None:
    # Everybody's example of FIX 4.2 ends in 10=128; the one other byte, the 4 of 4.4, adds 2.
    made = fix.message(
        "8",
        [
            (49, "PHLX"), (56, "PERS"), (52, "20071123-05:30:00.000"), (11, "ATOMNOCCC9990900"), (20, 3), (150, "E"),
            (39, "E"), (55, "MSFT"), (167, "CS"), (54, 1), (38, 15), (40, 2), (44, 15), (58, "PHLX EQUITY TESTING"),
            (59, 0), (47, "C"), (32, 0), (31, 0), (151, 15), (14, 0), (6, 0),
        ],
    )  # fmt: skip
    assert made.startswith(b"8=FIX.4.4\x019=178\x0135=8\x01")
    assert made.endswith(b"\x0110=130\x01")


def test_both_sides_number_their_messages_without_a_gap(items: list[Item]) -> None:
    messages = [fields(item.data) for item in of(items, "fix")]
    for sender in ("BROKER", "MARKET"):
        numbers = [int(message[34]) for message in messages if message[49] == sender]
        assert numbers == list(range(1, len(numbers) + 1))


def test_every_order_is_filled_as_its_ticket_says(items: list[Item]) -> None:
    filled: Counter[str] = Counter()
    for item in of(items, "fix"):
        message = fields(item.data)
        if message[35] == "8":
            filled[message[11]] += int(message[32])
            assert int(message[14]) == filled[message[11]]
            assert int(message[14]) + int(message[151]) == int(message[38])
            assert message[39] == ("2" if message[151] == "0" else "1")
    tickets = [json.loads(item.data) for item in of(items, "ticket")]
    assert filled == {ticket["order"]: ticket["quantity"] for ticket in tickets}
    assert all(ticket["received"] < ticket["entered"] < ticket["executions"][0]["time"] for ticket in tickets)


def test_mails_are_read_without_a_defect(items: list[Item]) -> None:
    for item in of(items, "mail"):
        mail = message_from_bytes(item.data, policy=policy.default)
        assert not mail.defects
        assert {"Date", "From", "To", "Subject", "Message-ID"} <= set(mail.keys())
        assert parsedate_to_datetime(mail["Date"]).strftime("%Y-%m-%d") == "2026-11-20"
        assert b"\n" not in item.data.replace(b"\r\n", b"")


def objects(data: bytes) -> dict[int, bytes]:
    """The objects of a PDF, found as a reader finds them: from its end, by the table of offsets."""
    assert data.startswith(b"%PDF-1.4\n")
    start = re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", data)
    assert start is not None
    head = re.compile(rb"xref\n0 (\d+)\n0000000000 65535 f \n").match(data, int(start[1]))
    assert head is not None
    entries = [data[head.end() + at * 20 :][:20] for at in range(int(head[1]) - 1)]
    assert data[head.end() + 20 * len(entries) :].startswith(b"trailer\n<< /Size %d /Root 1 0 R >>" % int(head[1]))
    found = {}
    for number, entry in enumerate(entries, 1):
        assert re.fullmatch(rb"\d{10} 00000 n \n", entry)
        content = data[int(entry[:10]) :]
        assert content.startswith(b"%d 0 obj\n" % number)
        found[number] = content[: content.index(b"\nendobj\n")].partition(b" 0 obj\n")[2]
    return found


def test_the_blotter_is_a_pdf_whose_pages_hold_every_order(items: list[Item]) -> None:
    found = objects(of(items, "report")[0].data)
    assert b"/Type /Catalog /Pages 2 0 R" in found[1]
    pages = [int(number) for number in re.findall(rb"(\d+) 0 R", found[2])]
    assert b"/Count %d " % len(pages) in found[2]
    text = b""
    for page in pages:
        assert found[page].startswith(b"<< /Type /Page /Parent 2 0 R ")
        contents = re.search(rb"/Contents (\d+) 0 R", found[page])
        assert contents is not None
        stream = re.fullmatch(rb"<< /Length (\d+) >>\nstream\n(.*)\nendstream", found[int(contents[1])], re.DOTALL)
        assert stream is not None
        assert len(stream[2]) == int(stream[1])
        text += stream[2]
    orders = {json.loads(item.data)["order"].encode() for item in of(items, "ticket")}
    assert {order for order in orders if order not in text} == set()


def test_pdf_escapes_what_would_end_a_string() -> None:
    assert rb"(a \(b\) \\ c) Tj" in pdf.document([r"a (b) \ c"])
    assert len(objects(pdf.document([]))) == 5
