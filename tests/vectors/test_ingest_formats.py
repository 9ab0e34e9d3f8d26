"""Requests as other systems send them: which events they hold, byte for byte, and what is read out of each.

Written by hand to the form of: MinIO's audit entry (internal/logger/message/audit), RustFS's AuditEntry in its
webhook's envelope (crates/audit, crates/targets), Ceph's rgw_format_ops_log_entry (src/rgw/rgw_log.cc), Kubernetes'
audit.k8s.io/v1 EventList, OCSF 1.3 API Activity (6003).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.ingest.formats import READERS, Words
from audit.ingest.unpack import events
from vault.state.tokens import FORMATS

VECTORS = Path(__file__).parent / "ingest"
TICKET = "tickets/2026/11/27/T-1"
POD = "system:serviceaccount:trading:deployer"
AUDIT = "c0f1d2e3-0a1b-4c2d-8e3f-4a5b6c7d8e9f"
EXPECTED: dict[str, list[Words | None]] = {
    "json": [
        Words("4b1c", 17, "2026-11-27T09:00:00Z"),
        Words("90210", 18, "1795770000"),
        None,
    ],
    "minio": [Words("187A5F0C3D2B1E40", -1, "2026-11-27T09:00:00.123456789Z", "desk-7", "PutObject", TICKET)],
    "rustfs": [
        Words("0f0c7f60-9d2c-4f3a-8a58-3f2b1d9c7a10", -1, "1795770000123", "trading-app", "PutObject", TICKET)
    ],
    "ceph-rgw": [
        Words(
            "tx00000a1b2c3d4e5f60718-006920a2b0-1a2b-default", -1, "2026-11-27T09:00:00.123456Z", "desk-7", "put_obj",
            TICKET,
        ),
        Words(
            "tx00000a1b2c3d4e5f60719-006920a2b1-1a2b-default", -1, "2026-11-27T09:00:01.000001Z", "desk-7",
            "list_buckets", "",
        ),
    ],
    "kubernetes": [
        Words(f"{AUDIT}/RequestReceived", -1, "2026-11-27T09:00:00.100000Z", POD, "delete", "trading/secrets/desk-7"),
        Words(f"{AUDIT}/ResponseComplete", -1, "2026-11-27T09:00:00.200000Z", POD, "delete", "trading/secrets/desk-7"),
    ],
    "ocsf": [
        Words("7f3c9b52-6a1e-4e57-9d2c-1b0a9f8e7d6c", 4711, "1795770000123", "ann", "DeleteSecret", "desk-7"),
    ],
}  # fmt: skip


def request_of(form: str) -> tuple[bytes, str]:
    """A body and its type."""
    (path,) = VECTORS.glob(f"{form}.*")
    return path.read_bytes(), "application/x-ndjson" if path.suffix == ".ndjson" else "application/json"


def test_every_format_has_a_payload() -> None:
    assert set(EXPECTED) == FORMATS == set(READERS)


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_a_system_sends_is_taken_apart_without_a_byte_of_it_changed(form: str) -> None:
    body, kind = request_of(form)
    found = events(body, kind)
    assert all(event in body for event in found)
    assert [READERS[form](event) for event in found] == EXPECTED[form]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_an_event_of_other_types_is_no_event_of_the_format_and_no_error(form: str) -> None:
    for data in (b"[]", b"7", b"{", b"\xff", b'{"id":[],"requestID":{},"trans_id":[],"auditID":[],"metadata":7}'):
        assert READERS[form](data) is None
