"""A production for people: an HTML page that needs nothing but itself, and tables as CSV.

Names of keys are a client's own words. In the page they are text and never markup; in the tables nothing begins as a
formula would.
"""

from __future__ import annotations

import csv
import io
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from audit.production.versions import Entry

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS: Final = ("#", "Bucket", "Key", "Version", "Stored", "Size", "Lock", "Record", "State")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_STYLE: Final = """
body{font:14px/1.5 system-ui,sans-serif;margin:2em;color:#1b1b1b;background:#fff}
h1{font-size:1.4em}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}dt{font-weight:600}dd{margin:0}
table{border-collapse:collapse;width:100%;margin-top:1em}
th,td{border:1px solid #c8c8c8;padding:.25em .5em;text-align:left;vertical-align:top}
td:nth-child(3),td:nth-child(4){overflow-wrap:anywhere;min-width:9em}
th{background:#f2f2f2;position:sticky;top:0}th button{all:unset;cursor:pointer;font-weight:600}
th button:focus-visible{outline:2px solid #1558b0}
th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
@page{size:landscape}
@media print{body{margin:0;font-size:11px}th{position:static}a{color:inherit;text-decoration:none}}
"""
_SCRIPT: Final = """
document.querySelectorAll("th button").forEach((button,column)=>button.addEventListener("click",()=>{
 const head=button.parentElement,body=document.querySelector("tbody");
 const down=head.getAttribute("aria-sort")==="ascending";
 document.querySelectorAll("th").forEach(other=>other.removeAttribute("aria-sort"));
 head.setAttribute("aria-sort",down?"descending":"ascending");
 const value=row=>row.children[column].dataset.sort??row.children[column].textContent;
 const order=new Intl.Collator(undefined,{numeric:true}).compare;
 [...body.rows].sort((a,b)=>(down?-1:1)*order(value(a),value(b))).forEach(row=>body.append(row));
}));
"""


def page(title: str, facts: Sequence[tuple[str, str]], entries: Iterable[Entry]) -> bytes:
    """Write the page: what was asked, and a table that can be sorted by each column and printed.

    Args:
        title: Of the page.
        facts: What people want to know first, in order.
        entries: The versions.
    """
    out = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1><dl>",
        *(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts),
        "</dl><table><thead><tr>",
        *(f'<th scope="col"><button type="button">{name}</button></th>' for name in _COLUMNS),
        "</tr></thead><tbody>",
        *(_row(entry) for entry in entries),
        f"</tbody></table><script>{_SCRIPT}</script></html>\n",
    ]
    return "\n".join(out).encode()


def _row(entry: Entry) -> str:
    shown = escape(entry.key)
    key = f'<a href="{escape(quote(entry.native))}">{shown}</a>' if entry.native else shown
    lock = escape(" ".join(filter(None, (entry.mode, entry.until[:10], "hold" if entry.hold or entry.matters else ""))))
    return (
        f'<tr><td class="n">{entry.n}</td><td>{escape(entry.bucket)}</td><td>{key}</td>'
        f"<td>{escape(entry.version_id)}</td><td>{escape(entry.time[:19])}Z</td>"
        f'<td class="n" data-sort="{entry.size}">{entry.size:,}</td><td>{lock}</td>'
        f"<td>{escape(entry.stream)}/{entry.seq}</td><td>{escape(entry.problem or entry.state)}</td></tr>"
    )


def table(columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """Write a CSV table (RFC 4180, UTF-8) line by line: ' stands before what a spreadsheet would take for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in chain([columns], ([cell(line.get(name, "")) for name in columns] for line in lines)):
        writer.writerow(row)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def cell(value: object) -> object:
    """A value that no spreadsheet runs, in a cell of any CSV that is handed out."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
