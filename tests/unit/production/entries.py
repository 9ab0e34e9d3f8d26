"""Versions as a production lists them."""

from __future__ import annotations

from audit.production.versions import Entry


def entry(number: int, key: str, problem: str = "") -> Entry:
    return Entry(
        n=number,
        bucket="trades",
        key=key,
        version_id=f"{number:032x}",
        ordinal=1,
        stream="site-a.node-1",
        seq=number,
        time="2026-11-27T10:00:00.000000000Z",
        size=1024 * number,
        state="failed" if problem else "native",
        mode="COMPLIANCE",
        until="2032-11-27T00:00:00.000000000Z",
        problem=problem,
    )
