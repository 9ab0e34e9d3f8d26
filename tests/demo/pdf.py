"""A PDF 1.4 file of plain text (ISO 32000-1 §7.5): Courier, as many pages as the lines need.

The same lines give the same bytes: no dates, no ids, no compression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Lines of one page.
PAGE_LINES: Final = 66
#: Object numbers of what stands before the pages.
_CATALOG: Final = 1
_PAGES: Final = 2
_FONT: Final = 3
_FIRST_PAGE: Final = 4


def document(lines: Sequence[str]) -> bytes:
    """Set lines of ASCII, at most 95 characters each, on A4 pages."""
    data = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(_objects(lines), _CATALOG):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, _CATALOG, start)
    return bytes(data)


def _objects(lines: Sequence[str]) -> Iterator[bytes]:
    """Every object of the file, in the order of their numbers."""
    pages = [lines[at : at + PAGE_LINES] for at in range(0, len(lines), PAGE_LINES)] or [[]]
    numbers = range(_FIRST_PAGE, _FIRST_PAGE + 2 * len(pages), 2)
    yield b"<< /Type /Catalog /Pages %d 0 R >>" % _PAGES
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    yield b"<< /Type /Pages /Kids [%b] /Count %d /MediaBox [0 0 595 842] >>" % (kids, len(pages))
    yield b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>"
    for number, page in zip(numbers, pages, strict=True):
        resources = b"<< /Font << /F1 %d 0 R >> >>" % _FONT
        yield b"<< /Type /Page /Parent %d 0 R /Resources %b /Contents %d 0 R >>" % (_PAGES, resources, number + 1)
        text = b"BT /F1 9 Tf 42 800 Td 11.5 TL\n%bET" % b"".join(b"(%b) Tj T*\n" % _escape(line) for line in page)
        yield b"<< /Length %d >>\nstream\n%b\nendstream" % (len(text), text)


def _escape(line: str) -> bytes:
    """A literal string's content (§7.3.4.2)."""
    return line.translate({ord(char): f"\\{char}" for char in "\\()"}).encode("ascii")
