"""XML of the S3 wire form: a strict reader for requests, a writer for answers, the error document.

The reader takes what S3's schema allows and nothing else: no DTD (so no entities, however deep), no attributes, no
unknown element, none twice unless it may repeat. S3's namespace or none. Clients differ in the order of elements, so
order is free.

The writer emits characters that XML 1.0 forbids as numeric references, as AWS does: a key may hold them, and a client
that lists such keys asks for ``encoding-type=url`` (AWS, ListObjectsV2, *EncodingType*).

Not handled here: what the documents mean (``vault.s3.documents``) and how large they may be (``vault.s3.body``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lxml import etree

from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
CONTENT_TYPE: Final = "application/xml"

_PREFIX: Final = "{" + NAMESPACE + "}"
_HEADER: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
# The encoding is fixed, whatever the document declares: the search for a DTD below must see what the parser sees.
_parser: Final = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)
# What must not stand as it is in text: markup, non-characters, controls (a carriage return would become a line feed).
_UNSAFE: Final = re.compile('[&<>"\x00-\x1f\x7f-\x9f\ufffe\uffff]')
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def parse(data: bytes, root: str) -> etree._Element:
    """Read a request document.

    Args:
        data: The whole body, already bounded.
        root: The name its root must have.

    Returns:
        The root element.

    Raises:
        S3Error: MalformedXML.
    """
    if b"<!DOCTYPE" in data:
        raise S3Error("MalformedXML")
    try:
        element = etree.fromstring(data, _parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise S3Error("MalformedXML") from error
    if _name(element) != root:
        raise S3Error("MalformedXML")
    return element


def children(element: etree._Element, names: frozenset[str], repeated: str = "") -> dict[str, list[etree._Element]]:
    """What an element holds, by name.

    Args:
        element: An element that may hold elements only.
        names: Those it may hold, each once.
        repeated: The one of them that may stand more than once.

    Returns:
        The elements found, in document order.

    Raises:
        S3Error: MalformedXML for any other element, attribute or text.
    """
    found: dict[str, list[etree._Element]] = {}
    if element.attrib or _is_text(element.text):
        raise S3Error("MalformedXML")
    for child in element:
        name = _name(child)
        if name not in names or _is_text(child.tail) or (name in found and name != repeated):
            raise S3Error("MalformedXML")
        found.setdefault(name, []).append(child)
    return found


def text(element: etree._Element) -> str:
    """The text of an element that holds nothing else.

    Raises:
        S3Error: MalformedXML.
    """
    if element.attrib or len(element):
        raise S3Error("MalformedXML")
    return element.text or ""


def texts(element: etree._Element, names: frozenset[str]) -> dict[str, str]:
    """The texts of an element's children, each at most once.

    Raises:
        S3Error: MalformedXML.
    """
    return {name: text(found[0]) for name, found in children(element, names).items()}


def _name(element: etree._Element) -> str:
    name = element.tag
    if not isinstance(name, str):  # an entity reference, which a document without a DTD cannot define
        raise S3Error("MalformedXML")
    return name.removeprefix(_PREFIX)


def _is_text(found: str | None) -> bool:
    return found is not None and bool(found.strip())


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or f"&#x{ord(character):x};"


def escape(value: str) -> str:
    """Write text so that it is read back as it was."""
    return _UNSAFE.sub(_reference, value)


def tag(name: str, value: str | int) -> str:
    """One element with text in it."""
    return f"<{name}>{value if isinstance(value, int) else _UNSAFE.sub(_reference, value)}</{name}>"


def flag(name: str, value: bool) -> str:  # noqa: FBT001 - the value is the content, not a mode
    """One element with ``true`` or ``false`` in it."""
    return f"<{name}>{'true' if value else 'false'}</{name}>"


def document(root: str, *content: str) -> bytes:
    """A whole answer in S3's namespace."""
    return f'{_HEADER}<{root} xmlns="{NAMESPACE}">{"".join(content)}</{root}>'.encode()


def error_document(code: str, message: str, fields: Mapping[str, str], resource: str, request_id: str) -> bytes:
    """S3's error body, which has no namespace.

    Args:
        code: S3's error code.
        message: For people.
        fields: Further elements (``BucketName``, ``ArgumentName`` …).
        resource: The path as it was sent.
        request_id: As in ``x-amz-request-id``.
    """
    inner = "".join(tag(name, value) for name, value in fields.items())
    return (
        f"{_HEADER}<Error>{tag('Code', code)}{tag('Message', message)}{inner}"
        f"{tag('Resource', resource)}{tag('RequestId', request_id)}</Error>"
    ).encode()
