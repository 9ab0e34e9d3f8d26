"""Asking the ledger: a Parquet view of its records, filters, and pages that a snapshot holds together.

The view is derived (DESIGN §1): it is built from the feed alone, may be deleted, and says only *which* records answer a
question. What is handed out are the records themselves, exact bytes, read from the ledger.

Not handled here: who may ask (``audit.api.access``), and proofs (``audit.proof``).
"""
