from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.anchor.file import FileAnchor
from audit.anchor.place import local_warning, require_outside
from audit.anchor.url import open_anchor, s3_place
from audit.config import AnchorSection
from audit.errors import ConfigInvalid
from audit.identity import Layout


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///var/lib/anchor", "/var/lib/anchor"),
        ("file:///var/my%20anchor", "/var/my anchor"),
        ("/var/lib/anchor", "/var/lib/anchor"),
        ("vault.anchor", "vault.anchor"),
        ("/odd?name#here", "/odd?name#here"),
    ],
)
def test_a_file_url_and_a_path_are_a_directory(url: str, path: str) -> None:
    anchor = open_anchor(url, AnchorSection())
    assert isinstance(anchor, FileAnchor)
    assert anchor._directory == Path(path)


@pytest.mark.parametrize(
    "url",
    ["", "https://user:secret@host/", "file://", "file:///", "file://host/path", "file:///p?q", "file:///p#f",
     "http://[", "://x"],
)  # fmt: skip
def test_every_other_form_is_refused_with_those_that_work_and_without_secrets(url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"give file:///absolute/path, a path, or s3://") as caught:
        open_anchor(url, AnchorSection())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://anchors?region=eu-west-1", ("anchors", "", "eu-west-1", "s3.eu-west-1.amazonaws.com", 443, True)),
        ("s3://anchors/?region=eu-west-1", ("anchors", "", "eu-west-1", "s3.eu-west-1.amazonaws.com", 443, True)),
        ("s3://a.b/v/1/?endpoint=https://s3.example", ("a.b", "v/1/", "us-east-1", "s3.example", 443, True)),
        ("s3://abc/v?endpoint=https%3A%2F%2Fs3.example:9000/", ("abc", "v/", "us-east-1", "s3.example", 9000, True)),
        ("s3://abc/v?endpoint=http://127.0.0.1:9000", ("abc", "v/", "us-east-1", "127.0.0.1", 9000, False)),
        ("s3://abc/v?region=x-1&endpoint=https://[2001:db8::1]:1", ("abc", "v/", "x-1", "2001:db8::1", 1, True)),
        ("s3://abc/v?endpoint=http://localhost", ("abc", "v/", "us-east-1", "localhost", 80, False)),
    ],
)
def test_a_place_in_a_bucket_is_read(url: str, place: tuple[object, ...]) -> None:
    assert s3_place(url) == place


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://", "no bucket's name"),
        ("s3:///key?region=x", "no bucket's name"),
        ("s3://AB/key?region=x", "no bucket's name"),
        ("s3://bucket:80/key?region=x", "no bucket's name"),
        ("s3://key:secret@bucket/x?region=x", "credentials"),
        ("s3://bucket/key", "name the bucket's region"),
        ("s3://bucket/a//b?region=x", "prefix"),
        ("s3://bucket/../b?region=x", "prefix"),
        ("s3://bucket/a%2f?region=x", "prefix"),
        ("s3://bucket/a b?region=x", "prefix"),
        ("s3://bucket/key?region=x#f", "prefix"),
        ("s3://bucket/key?region", "cannot be read"),
        ("s3://bucket/key?region=", "region is made of"),
        ("s3://bucket/key?region=x&region=y", "each once"),
        ("s3://bucket/key?region=x&secret=secret", "nothing else"),
        ("s3://bucket/key?endpoint=", "endpoint is https://HOST"),
        ("s3://bucket/key?endpoint=s3.example", "endpoint is https://HOST"),
        ("s3://bucket/key?endpoint=ftp://s3.example", "endpoint is https://HOST"),
        ("s3://bucket/key?endpoint=https://k:secret@s3.example", "endpoint is https://HOST"),
        ("s3://bucket/key?endpoint=https://s3.example/path", "endpoint is https://HOST"),
        ("s3://bucket/key?endpoint=https://s3.example:99999", "no such port"),
        ("s3://bucket/key?endpoint=https://s3_x.example", "endpoint is https://HOST"),
        ("s3://bucket/key?endpoint=http://s3.example", "plaintext is refused"),
        ("s3://bucket/key?endpoint=http://[", "is not supported"),
    ],
)
def test_another_place_is_refused_with_what_is_wrong_and_without_secrets(url: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        open_anchor(url, AnchorSection())
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.text())
def test_any_text_after_s3_is_a_place_or_refused(text: str) -> None:
    try:
        place = s3_place(f"s3://{text}")
    except ConfigInvalid:
        return
    assert place is not None
    assert place.tls or place.host in {"localhost", "127.0.0.1", "::1"} or place.host.startswith("127.")


def test_an_anchor_on_s3_is_outside_the_data_directory_and_local_only_where_its_server_is(tmp_path: Path) -> None:
    away, here = "s3://bucket/x?region=eu-west-1", "s3://bucket/x?endpoint=http://127.0.0.1:9000"
    require_outside(away, tmp_path)
    assert local_warning(away, Layout(tmp_path)) == ""
    assert local_warning(here, Layout(tmp_path)).startswith("anchor=local: s3://bucket/x/ at 127.0.0.1:9000 is")
