r"""A production for people who print: the same list as the page has, as a PDF that is the same each time it is made.

Drawn with reportlab (BSD), which writes PDF and nothing else is asked of it: no markup is parsed, a key is drawn as the
characters it has. It brings Pillow with it, 7 MB for images that this has none of; the other living libraries (fpdf2)
do so as well, and a writer of our own would have to know fonts. It is loaded only where a production is made.

The table is in Courier and in the reader's own Chinese and Korean fonts, whose characters are all one em wide: lines
are broken by counting. What none of these has, and what is no character that one can see, is written as Python would
write it (``\x1b``, ``\u202e``); versions.ndjson has every key exactly.

Bounded: :data:`MAX_PAGES`, some 45 rows each where keys are short; the rest is in versions.csv, and the last page says
so. 10,000 rows take a second, all pages some 5 s and 200 MB, however many versions there are.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from audit.production.versions import Entry

#: Pages of one PDF.
MAX_PAGES: Final = 1_000
_SIZE: Final[tuple[float, float]] = landscape(A4)
_MARGIN: Final = 34.0
_POINTS: Final = 6.5
_LEADING: Final = 8.2
_BETWEEN: Final = 2.4
_HEADING: Final = 14
#: Width of a fact, in Courier characters.
_FACT: Final = 120
_LATIN: Final = "Courier"
#: By what a character can be encoded in: the font that has it.
_FONTS: Final = (("cp1252", _LATIN), ("gbk", "STSong-Light"), ("cp949", "HYSMyeongJo-Medium"))
#: Widths in thirds of a Courier character, which is 0.6 em: what is not Courier is 1 em.
_NARROW, _WIDE = 3, 5
#: Title, and width in Courier characters.
_COLUMNS: Final = (
    ("#", 7), ("Key", 60), ("Version", 32), ("Stored", 20), ("Size", 15), ("Lock", 22), ("Record", 22), ("State", 12),
)  # fmt: skip
_MORE: Final = "{} more versions are not in this file: versions.csv lists all of them."

#: A font and a text in it; such runs one after the other; and runs, each with the points that it stands to the right.
_Run = tuple[str, str]
_Line = list[_Run]
_Placed = list[tuple[float, _Run]]


def document(title: str, facts: Sequence[tuple[str, str]], entries: Sequence[Entry]) -> bytes:
    """Draw the list.

    Args:
        title: Of the document.
        facts: What people want to know first, in order.
        entries: The versions.

    Returns:
        A PDF; the same for the same arguments and libraries.
    """
    for _, font in _FONTS[1:]:
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    pages, drawn = _pages(facts, entries)
    out = BytesIO()
    canvas = Canvas(out, pagesize=_SIZE, pageCompression=1, invariant=1)
    canvas.setTitle(title)
    for number, page in enumerate(pages, 1):
        _draw(canvas, title, page, f"page {number} of {len(pages)}", facts if number == 1 else ())
        if number == len(pages) and drawn < len(entries):
            canvas.setFont("Helvetica-Bold", 8)
            canvas.drawString(_MARGIN, _MARGIN - 14, _MORE.format(len(entries) - drawn))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _pages(facts: Sequence[_Run], entries: Iterable[Entry]) -> tuple[list[list[list[_Placed]]], int]:
    """Rows by page, a row being its printed lines; and how many rows there are."""
    pages: list[list[list[_Placed]]] = [[]]
    left = _height(sum(len(_wrapped(text, _FACT)) for _, text in facts))
    drawn = 0
    for entry in entries:
        row = _row([_wrapped(text, width) for text, (_, width) in zip(_cells(entry), _COLUMNS, strict=True)])
        needed = len(row) * _LEADING + _BETWEEN
        if needed > left and pages[-1]:
            if len(pages) == MAX_PAGES:
                break
            pages.append([])
            left = _height(0)
        pages[-1].append(row)
        left -= needed
        drawn += 1
    return pages, drawn


def _row(cells: list[list[_Line]]) -> list[_Placed]:
    """The printed lines of a row. What is all Courier is one text: drawing eight takes eight times as long."""
    lines: list[_Placed] = []
    for down in range(max(map(len, cells))):
        line = [cell[down] if down < len(cell) else [] for cell in cells]
        if all(font == _LATIN for runs in line for font, _ in runs):
            texts = ("".join(text for _, text in runs) for runs in line)
            padded = [text.ljust(width + 1) for text, (_, width) in zip(texts, _COLUMNS, strict=True)]
            lines.append([(0.0, (_LATIN, "".join(padded).rstrip()))])
        else:
            lines.append([one for x, runs in zip(_lefts(), line, strict=True) for one in _placed(x, runs, _POINTS)])
    return lines


def _placed(x: float, runs: _Line, points: float) -> _Placed:
    placed = []
    for font, text in runs:
        placed.append((x, (font, text)))
        x += len(text) * points * (0.6 if font == _LATIN else 1.0)
    return placed


def _height(facts: int) -> float:
    """What a page has for rows, below its title, so many lines of facts, and the head of the table."""
    return _SIZE[1] - 2 * _MARGIN - _HEADING - 10 - facts * 12 - (8 if facts else 0) - _LEADING - _BETWEEN


def _cells(entry: Entry) -> tuple[str, ...]:
    held = "hold" if entry.hold or entry.matters else ""
    return (
        str(entry.n),
        entry.key,
        entry.version_id,
        f"{entry.time[:19]}Z",
        f"{entry.size:,}",
        " ".join(filter(None, (entry.mode, entry.until[:10], held))),
        f"{entry.stream}/{entry.seq}",
        entry.problem or entry.state,
    )


def _draw(canvas: Canvas, title: str, rows: list[list[_Placed]], number: str, facts: Sequence[_Run]) -> None:
    """Draw a page: title and number, on the first one the facts, the head of the table, and its rows."""
    y = _SIZE[1] - _MARGIN - _HEADING
    canvas.setFont("Helvetica-Bold", _HEADING)
    canvas.drawString(_MARGIN, y, title)
    canvas.setFont("Helvetica", 8)
    canvas.drawRightString(_SIZE[0] - _MARGIN, y, number)
    y -= 10
    for name, text in facts:
        canvas.setFont("Helvetica-Bold", 9)
        canvas.drawString(_MARGIN, y - 9, name)
        for line in _wrapped(text, _FACT):
            y -= 12
            _write(canvas, y + 3, _placed(80.0, line, 9), 9)
    y -= (8 if facts else 0) + _LEADING
    canvas.setFont("Helvetica-Bold", _POINTS)
    for x, (name, _) in zip(_lefts(), _COLUMNS, strict=True):
        canvas.drawString(_MARGIN + x, y, name)
    canvas.line(_MARGIN, y - 2, _SIZE[0] - _MARGIN, y - 2)
    y -= _BETWEEN
    for row in rows:
        for placed in row:
            y -= _LEADING
            _write(canvas, y, placed, _POINTS)
        y -= _BETWEEN


def _lefts() -> Iterator[float]:
    x = 0.0
    for _, width in _COLUMNS:
        yield x
        x += (width + 1) * _POINTS * 0.6


def _write(canvas: Canvas, y: float, line: _Placed, points: float) -> None:
    for x, (font, text) in line:
        canvas.setFont(font, points)
        canvas.drawString(_MARGIN + x, y, text)


def _wrapped(text: str, width: int) -> list[_Line]:
    """Break a text into lines of a width in Courier characters: runs of one font each. At least one line."""
    if text.isascii() and text.isprintable():
        return [[(_LATIN, text[at : at + width])] for at in range(0, len(text), width)] or [[]]
    lines: list[list[_Run]] = [[]]
    left = width * _NARROW
    for font, shown in map(_drawn, text):
        taken = len(shown) * (_NARROW if font == _LATIN else _WIDE)
        if taken > left:
            lines.append([])
            left = width * _NARROW
        lines[-1].append((font, shown))
        left -= taken
    joined = [groupby(line, key=lambda run: run[0]) for line in lines]
    return [[(font, "".join(shown for _, shown in runs)) for font, runs in line] for line in joined]


@lru_cache(maxsize=4096)
def _drawn(char: str) -> _Run:
    """The font that has a character, or how it is written where none has, or nobody could see it."""
    if char.isprintable():
        for encoding, font in _FONTS:
            try:
                char.encode(encoding)
            except UnicodeEncodeError:
                continue
            return font, char
    return _LATIN, char.encode("unicode_escape").decode()
