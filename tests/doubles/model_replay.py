"""Replays records, and nothing but records, against the model: was every success legal, and every refusal due?

Reads JSON with the standard library and decides with :mod:`tests.doubles.s3_model`; no code of the product.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.doubles.matters_model import Matter
from tests.doubles.officer import WholeModel
from tests.doubles.s3_model import SECOND, Asked, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

#: What changes no bucket, and asks nobody.
_ASIDE = ("principal.", "clock.", "ledger.")


def instant(text: str) -> int:
    moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND + int(text[20:29])


class ModelReplay:
    """Feed it every record in order.

    Args:
        body: Gives the body of a record by its seq: a completion lists its parts there.
    """

    def __init__(self, body: Callable[[int], bytes]) -> None:
        self.model = WholeModel(0)
        self.body = body
        self.counts: dict[tuple[str, str], int] = {}

    def feed(self, data: bytes) -> None:
        record: dict[str, Any] = json.loads(data)
        op, reason = record["op"], record.get("reason", "")
        self.counts[op, reason] = self.counts.get((op, reason), 0) + 1
        if op.startswith(_ASIDE):
            return
        self.model.wall, self.model.clock = instant(record["time"]), instant(record["clock"])
        try:
            self.ask(record)
            expected = ""
        except Refused as refused:
            expected = refused.reason
        assert reason == expected, (
            f"record {record['seq']}: {op} {reason or 'done'!r}, by the model {expected or 'done'!r}"
        )
        assert (record["outcome"] == "success") == (expected == "")
        made = op in {"object.put", "multipart.complete"} or (
            op == "object.delete" and "marker" in record.get("version", {})
        )
        if made and not expected and not (op == "object.delete" and record["object"].get("version_id")):
            self.made(record)

    def made(self, record: dict[str, Any]) -> None:
        """The version that a record says it made is the one that the model made."""
        named, version, lock = record["object"], record["version"], record.get("lock", {})
        newest = self.model.buckets[named["bucket"]].keys[named["key"]][-1]
        until = instant(lock["until"]) if "until" in lock else 0
        assert newest.weight() == (
            version["ordinal"],
            version.get("marker", False),
            version.get("null", False),
            lock.get("mode", ""),
            until,
            lock.get("hold", False),
        )
        newest.id = version["version_id"]

    def ask(self, record: dict[str, Any]) -> None:
        """Do in the model what the record says was asked for."""
        found = _Asked(record)
        step = getattr(self, record["op"].replace(".", "_"), None)
        assert step is not None, f"the model does not know {record['op']}"
        step(found)

    def bucket_create(self, found: _Asked) -> None:
        config = found.config
        self.model.create_bucket(*found.bucket, lock=config.get("lock", False), strict=config.get("strict", False))

    def bucket_lock_put(self, found: _Asked) -> None:
        rule = found.config.get("default")
        default = (rule["mode"], rule.get("days", 0), rule.get("years", 0)) if rule else None
        self.model.put_lock(*found.bucket, default)

    def bucket_versioning_put(self, found: _Asked) -> None:
        self.model.put_versioning(*found.bucket, found.config["versioning"])

    def object_put(self, found: _Asked) -> None:
        asked = found.asked
        conditions = {"if_none_match": asked.get("if_none_match", False), "if_match": asked.get("if_match", "")}
        self.model.put(*found.key, found.lock, **conditions)

    def object_delete(self, found: _Asked) -> None:
        sent = found.asked.get("bypass_sent", False)
        self.model.delete(*found.key, found.version, bypass=found.bypass, sent=sent)

    def object_get(self, found: _Asked) -> None:
        self.model.get(*found.key, found.version, head=found.record["op"] == "object.head")

    object_head = object_get

    def object_retention_put(self, found: _Asked) -> None:
        new = None if found.asked.get("remove") else (found.lock.mode, found.lock.until or 0)
        self.model.put_retention(*found.key, found.version, new, bypass=found.bypass)

    def object_hold_put(self, found: _Asked) -> None:
        self.model.put_hold(*found.key, found.version, on=found.asked["hold"])

    def multipart_create(self, found: _Asked) -> None:
        self.model.create_upload(*found.key, found.upload, found.lock)

    def multipart_part(self, found: _Asked) -> None:
        self.model.part(*found.key, found.upload, found.named.get("part", 0), found.record["seq"])

    def multipart_complete(self, found: _Asked) -> None:
        if found.record["outcome"] != "success":  # a refusal keeps no body, so which parts it named is not known
            raise Refused(found.record["reason"])
        parts = [(number, seq) for number, seq in json.loads(self.body(found.record["seq"]))]
        self.model.complete(*found.key, found.upload, parts)

    def multipart_abort(self, found: _Asked) -> None:
        self.model.abort(*found.key, found.upload)

    def matter_open(self, found: _Asked) -> None:
        matter = found.record["matter"]
        query = matter["query"]
        since, before = (instant(query[name]) if name in query else None for name in ("since", "before"))
        described = Matter(
            matter["id"], query.get("bucket"), query.get("prefix", ""), since, before, query.get("actor")
        )
        self.model.open_matter(found.bucket[0], described)

    def matter_close(self, found: _Asked) -> None:
        self.model.close_matter(found.bucket[0], found.record["matter"]["id"])


class _Asked:
    """What a record says was asked for, in the model's terms; ``bucket`` and ``key`` begin with who asks."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.named, self.asked = record.get("object", {}), record.get("request", {})
        self.config = record.get("bucket", {})
        self.bucket: tuple[str, str] = (record["actor"]["id"], self.named.get("bucket", ""))
        self.key: tuple[str, str, str] = (*self.bucket, self.named.get("key", ""))
        self.version, self.upload = self.named.get("version_id", ""), self.named.get("upload_id", "")
        self.bypass = self.asked.get("bypass", False)
        until = instant(self.asked["until"]) if "until" in self.asked else None
        self.lock = Asked(self.asked.get("mode", ""), until, self.asked.get("hold"))
