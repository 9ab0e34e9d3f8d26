"""A pack store is a map from seq to body, whatever is added, erased and reopened in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.keys import Token
from vault.storage.packs import PackStore, body_name

BODY = st.binary(max_size=40)
#: Add some bodies under a group each, erase some seqs, or open the store again.
STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, 2), BODY), max_size=8),
        st.sets(st.integers(0, 30), max_size=6),
        st.none(),
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(STEPS)
def test_a_pack_store_is_a_map(steps: list[list[tuple[int, bytes]] | set[int] | None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        store = PackStore(Path(name), "s")
        model: dict[int, bytes] = {}
        following = 0
        for step in steps:
            if step is None:
                store = PackStore(Path(name), "s")
            elif isinstance(step, set):
                store.erase({seq: Token(body_name("s", seq)) for seq in step})
                model = {seq: body for seq, body in model.items() if seq not in step}
            else:
                groups: dict[int, list[tuple[int, memoryview]]] = {}
                for seq, (group, body) in enumerate(step, following):
                    groups.setdefault(group, []).append((seq, memoryview(body)))
                    model[seq] = body
                following += len(step)
                for group, bodies in groups.items():
                    store.add("b", str(group), bodies)
            assert {seq for seq in range(following + 1) if seq in store} == model.keys()
            assert {seq: store.read(seq, 0, len(body)) for seq, body in model.items()} == model
            assert {seq: bytes(body) for seq, body in store.read_back(range(following))} == model
