"""Whatever bytes come, the control socket's ends give a value, a reply or one of our errors."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from audit.control.direct import NodeControl, host_user
from audit.control.messages import decode_reply
from audit.control.server import answer
from audit.control.stream_messages import split_entries
from audit.errors import ControlFailed
from tests.doubles.node import FakeNode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
OPS = st.sampled_from(
    ["status", "principal.list", "principal.add", "principal.disable", "entries", "key.take", "key.backup",
     "key.rotate", "x"]
)  # fmt: skip
FIELDS = st.sampled_from(["name", "roles", "access_key", "secret", "index", "width", "keys", "new", "x"])
REQUESTS = st.builds(
    lambda op, fields: msgspec.json.encode({"op": op, **fields}),
    OPS,
    st.dictionaries(FIELDS, JSON | st.lists(st.sampled_from(["root", "writer"])), max_size=6),
)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode) | REQUESTS)
def test_every_line_is_answered_with_one_whole_reply(line: bytes) -> None:
    node = FakeNode()
    node.write(2)
    head, newline, payload = answer(NodeControl(node.node, host_user(0)), line + b"\n").partition(b"\n")
    assert newline == b"\n"
    assert len(payload) == decode_reply(head).payload


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode), st.integers(0, 256))
def test_every_answer_is_understood_or_refused(data: bytes, width: int) -> None:
    for read in (lambda: decode_reply(data), lambda: split_entries(data, width)):
        try:
            read()
        except ControlFailed:
            continue
