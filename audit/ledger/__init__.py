"""Settled records: the file format (``segment``) and the directory of them (``store``)."""

from __future__ import annotations

from audit.ledger.store import SettledLedger

__all__ = ["SettledLedger"]
