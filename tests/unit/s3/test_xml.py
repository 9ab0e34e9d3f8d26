from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from vault.errors import S3Error
from vault.s3 import xml

if TYPE_CHECKING:
    from pathlib import Path

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><Root><A>&c;</A></Root>"""
EXTERNAL = b'<!DOCTYPE Root [<!ENTITY x SYSTEM "file:///etc/passwd">]><Root><A>&x;</A></Root>'
NAMES = frozenset({"A", "B"})


def refused(data: bytes) -> S3Error:
    with pytest.raises(S3Error) as caught:
        xml.texts(xml.parse(data, "Root"), NAMES)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        EXTERNAL,
        b"",
        b"   ",
        b"not xml",
        b"<Root>",
        b"<Root><A>1</A>",
        b"<Root/>trailing",
        b"<Other/>",
        b'<Root xmlns="http://example.com/other"/>',
        b'<Root xmlns:o="http://example.com/other"><o:A>1</o:A></Root>',
        b"<Root><C/></Root>",
        b"<Root><A/><A/></Root>",
        b"<Root><A><B/></A></Root>",
        b"<Root>text</Root>",
        b"<Root><A/>text</Root>",
        b'<Root a="1"/>',
        b'<Root><A b="1"/></Root>',
        b"<Root><A>&undefined;</A></Root>",
        b"<Root><A>\xff</A></Root>",
        b"<Root><A>\x00</A></Root>",
        "<Root/>".encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE Root+AD4-<Root/>',
        b"<Root>" * 1000,
        b"<Root>" + b"<A>" * 300 + b"</A>" * 300 + b"</Root>",
    ],
)
def test_what_is_not_exactly_the_schema_is_malformed(data: bytes) -> None:
    assert refused(data).s3_code == "MalformedXML"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"<Root/>", {}),
        (b'<Root xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><A>1</A></Root>', {"A": "1"}),
        (
            b'<s:Root xmlns:s="http://s3.amazonaws.com/doc/2006-03-01/"><s:A>1</s:A><B>2</B></s:Root>',
            {"A": "1", "B": "2"},
        ),
        (b"<Root>\n <B> 2 </B>\r\n\t<A/></Root>", {"A": "", "B": " 2 "}),
        (b"<!-- c --><Root><A>1<!-- c -->2</A><!-- c --></Root>", {"A": "12"}),
        (b"<?pi x?><Root><A><![CDATA[<&>]]></A></Root>", {"A": "<&>"}),
        (b"<Root><A>&lt;&amp;&#65;</A></Root>", {"A": "<&A"}),
        ("﻿<Root><A>ü€𝄞</A></Root>".encode(), {"A": "ü€𝄞"}),
    ],
)
def test_what_the_schema_allows_is_read(data: bytes, found: dict[str, str]) -> None:
    assert xml.texts(xml.parse(data, "Root"), NAMES) == found


def test_a_repeated_element_is_kept_in_order() -> None:
    root = xml.parse(b"<Root><A>2</A><B/><A>1</A></Root>", "Root")
    assert [xml.text(each) for each in xml.children(root, NAMES, repeated="A")["A"]] == ["2", "1"]


def test_nothing_outside_the_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for data in (
        f'<!DOCTYPE Root SYSTEM "{tmp_path}/secret"><Root/>',
        f'<Root xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{tmp_path}/secret"/></Root>',
    ):
        assert refused(data.encode()).s3_code == "MalformedXML"


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (data, b"<Root>" + data + b"</Root>", b"<Root><A>" + data + b"</A></Root>"):
        with contextlib.suppress(S3Error):
            assert xml.texts(xml.parse(body, "Root"), NAMES).keys() <= NAMES


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32)] + ["\ufffe", "\uffff"])
    )
)
def test_text_comes_back_as_it_was_written(value: str) -> None:
    root = etree.fromstring(xml.document("Root", xml.tag("A", value)))
    assert (root[0].text or "") == value


def test_carriage_return_and_tab_survive_a_parser() -> None:
    assert etree.fromstring(xml.document("Root", xml.tag("A", "a\r\n\tb")))[0].text == "a\r\n\tb"


def test_characters_that_xml_forbids_become_references_as_s3_writes_them() -> None:
    assert xml.tag("Key", "a\x01\x1f\ufffe") == "<Key>a&#x1;&#x1f;&#xfffe;</Key>"


def test_an_error_has_no_namespace_and_its_fields_are_escaped() -> None:
    body = xml.error_document("NoSuchKey", "no <such>", {"Key": "a&b"}, '/b/"k"', "ABC")
    root = etree.fromstring(body)
    assert [(each.tag, each.text) for each in root] == [
        ("Code", "NoSuchKey"),
        ("Message", "no <such>"),
        ("Key", "a&b"),
        ("Resource", '/b/"k"'),
        ("RequestId", "ABC"),
    ]
    assert root.tag == "Error"
