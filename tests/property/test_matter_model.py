"""The lock model again, with matters opened and closed in between: both sides say the same of what holds a version."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.doubles.matters_model import Matter
from tests.doubles.model_pair import Pair
from tests.doubles.s3_model import DAY, SECOND, Asked
from tests.property.test_lock_model import BYTES, START, LockMachine
from vault.matters import MatterQuery, MatterRef
from vault.record import SUCCESS, BucketConfig, ObjectRef, Request
from vault.times import rfc3339

#: Mostly the compliance officer, who alone may.
officers = st.sampled_from(["carl"] * 10 + ["root", "olga", "rita", "dora"])
where = st.sampled_from(["b1"] * 4 + ["b2"] * 4 + ["none"] + [None] * 3)
prefixes = st.sampled_from(["", "", "a", "a/", "a/b", "b"])
spans = st.none() | st.sampled_from([-400 * DAY, -DAY, -SECOND, 0, SECOND, DAY])
actors = st.sampled_from([None, None, None, "root", "olga", "will"])


class MatterMachine(LockMachine):
    """Each rule asks the product and the model the same."""

    @initialize()
    def hold_something(self) -> None:
        """Two at least, so that deletes meet them."""
        for _ in range(2):
            self.open_matter("carl", None, "", None, None, None)

    @rule(user=officers, bucket=where, prefix=prefixes, since=spans, before=spans, actor=actors)
    def open_matter(
        self, user: str, bucket: str | None, prefix: str, since: int | None, before: int | None, actor: str | None
    ) -> None:
        number = len(self.model.matters.all)
        begin = max(1, self.model.wall + since) if since is not None else None
        end = max((begin or 1) + 1, self.model.wall + before) if before is not None else None
        matter = Matter(f"{number:016x}", bucket, prefix, begin, end, actor)
        query = MatterQuery(
            bucket or "",
            bucket is None,
            prefix,
            rfc3339(begin) if begin is not None else "",
            rfc3339(end) if end is not None else "",
            actor or "",
        )
        named = MatterRef(matter.id, "SEC 17", "their letter", "legal", query)
        self.ask("matter.open", user, lambda: self.model.open_matter(user, matter), matter=named)

    @rule(user=officers, which=st.integers(0, 30))
    def close_matter(self, user: str, which: int) -> None:
        matter = MatterRef(f"{which % (len(self.model.matters.all) + 1):016x}", reason="settled")
        self.ask("matter.close", user, lambda: self.model.close_matter(user, matter.id), matter=matter)

    @invariant()
    def the_same_matters_hold_the_same_versions(self) -> None:
        self.pair.check_matters()


TestMatterModel = MatterMachine.TestCase
TestMatterModel.settings = settings(max_examples=100, stateful_step_count=50)


def test_releasing_one_of_three_keeps_the_lock() -> None:
    pair = Pair(START)
    ask, model = pair.ask, pair.model
    ask(
        "bucket.create",
        "root",
        lambda: model.create_bucket("root", "b1", lock=True, strict=False),
        object=ObjectRef("b1"),
        bucket=BucketConfig(owner="root", lock=True),
    )
    head, _ = ask(
        "object.put",
        "root",
        lambda: model.put("root", "b1", "a", Asked()),
        object=ObjectRef("b1", "a", size=10, content="c" * 64),
        storage=BYTES,
        request=Request(),
    )
    pair.note_version("b1", "a", head)
    named = ObjectRef("b1", "a", pair.ids["b1", "a"][0])
    ids = [f"{number:016x}" for number in range(3)]
    for matter in ids:
        query = MatterQuery("b1")
        opened = MatterRef(matter, "n", "r", "o", query)
        ask("matter.open", "carl", lambda matter=matter: model.open_matter("carl", Matter(matter, "b1")), matter=opened)  # type: ignore[misc]
    for left in (ids, ids[:1] + ids[2:], ids[2:]):
        denied, _ = pair.commit("object.delete", "root", object=named, request=Request(bypass=True, bypass_sent=True))
        assert denied.reason == "legal_hold"
        assert denied.lock is not None
        assert list(denied.lock.matters) == left
        off, _ = pair.commit("object.hold.put", "root", object=named, request=Request(hold=False))
        assert off.lock is not None
        assert (off.outcome, off.lock.hold, list(off.lock.matters)) == (SUCCESS, False, left)
        gone = left[1] if len(left) == 3 else left[0]
        pair.commit("matter.close", "carl", matter=MatterRef(gone, reason="settled"))
    freed, _ = pair.commit("object.delete", "root", object=named, request=Request())
    assert (freed.outcome, freed.lock) == (SUCCESS, None)


def test_a_record_names_at_most_so_many_matters_and_counts_the_others() -> None:
    pair = Pair(START)
    pair.commit("bucket.create", "root", object=ObjectRef("b1"), bucket=BucketConfig(owner="root", lock=True))
    pair.commit("object.put", "root", object=ObjectRef("b1", "a", size=1), storage=BYTES, request=Request())
    for number in range(1001):
        matter = MatterRef(f"{number:016x}", "n", "r", "o", MatterQuery("", vault=True))
        head, _ = pair.commit("matter.open", "carl", matter=matter)
        assert head.reason == ("" if number < 1000 else "too_many_matters")
    head, _ = pair.commit("object.get", "root", object=ObjectRef("b1", "a"))
    assert head.lock is not None
    assert (len(head.lock.matters), head.lock.more) == (32, 968)
    assert len(msgspec.json.encode(head)) < 2048 - 500  # what the committer keeps room for, with long names to spare
