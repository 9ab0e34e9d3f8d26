"""An anchor on an S3 server that fails: what is said of a swap is what is known of it, and in time."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from email.utils import formatdate
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from audit.anchor import s3
from audit.anchor.url import open_anchor
from audit.config import AnchorSection
from audit.errors import AnchorConflict, AnchorUnavailable, AnchorUnknown, ConfigInvalid
from audit.note import MAX_NOTE_BYTES
from tests.doubles.s3_server import Does, FakeS3, Says, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from audit.anchor import Anchor

ORIGIN = "log.example/a"
HOUR = 3600


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ACCESS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-shown")
    monkeypatch.setattr(s3, "CALL_SECONDS", 4)
    with serving() as fake:
        yield fake


def connect(fake: FakeS3, section: AnchorSection | None = None) -> Anchor:
    return open_anchor(f"s3://anchors/x?endpoint={fake.endpoint}", section or AnchorSection())


@pytest.fixture
def anchor(fake: FakeS3) -> Anchor:
    """One that holds b"1" and has probed its server."""
    made = connect(fake)
    made.swap(ORIGIN, None, b"1")
    fake.requests.clear()
    return made


def stored(fake: FakeS3) -> bytes:
    (value,) = (body for path, body in fake.objects.items() if s3.PROBE not in path)
    return value


@pytest.mark.parametrize(
    "fault",
    [
        Says(409, "ConditionalRequestConflict"), Says(403, "AccessDenied"), Says(404, "NoSuchBucket"),
        Says(301, "PermanentRedirect"), Says(400, "AuthorizationHeaderMalformed"), Says(429, "TooManyRequests"),
        Says(412, "PreconditionFailed"),
    ],
    ids=lambda fault: fault.code,
)  # fmt: skip
def test_what_the_server_refused_changed_nothing_and_is_offered_again(
    fake: FakeS3, anchor: Anchor, fault: Says
) -> None:
    fake.puts.append(fault)
    with pytest.raises(AnchorUnavailable, match=fault.code):
        anchor.swap(ORIGIN, b"1", b"2")
    assert stored(fake) == b"1"
    anchor.swap(ORIGIN, b"1", b"2")
    assert stored(fake) == b"2"


@pytest.mark.parametrize(
    "fault", [*Does, Says(500, "InternalError"), Says(503, "SlowDown"), Says(408, "RequestTimeout"), Says(202, "")],
    ids=str,
)  # fmt: skip
def test_what_may_have_been_taken_is_unknown_in_time_and_the_same_again_settles_it(
    fake: FakeS3, anchor: Anchor, fault: Says | Does
) -> None:
    fake.puts.append(fault)
    began = time.monotonic()
    with pytest.raises(AnchorUnknown):
        anchor.swap(ORIGIN, b"1", b"2")
    assert time.monotonic() - began < 20  # a call's 4 s, on a busy machine
    assert anchor.read(ORIGIN) in {b"1", b"2"}
    with suppress(AnchorConflict):
        anchor.swap(ORIGIN, b"1", b"2")
    assert (anchor.read(ORIGIN), stored(fake)) == (b"2", b"2")


def test_a_swap_that_is_late_does_not_undo_what_came_after_it(fake: FakeS3, anchor: Anchor) -> None:
    fake.puts.append(Does.KEEPS_SILENT)
    with pytest.raises(AnchorUnknown):
        anchor.swap(ORIGIN, b"1", b"2")
    late = dict(fake.headers)
    anchor.swap(ORIGIN, b"1", b"2")
    anchor.swap(ORIGIN, b"2", b"3")
    (path,) = (path for path in fake.objects if s3.PROBE not in path)
    assert fake.put(path, b"2", late).status == 412
    assert stored(fake) == b"3"


@pytest.mark.parametrize(
    "fault",
    [
        *(does for does in Does if does is not Does.TAKES_LATE),
        Says(500, "InternalError"), Says(404, "NoSuchBucket"), Says(404, ""), Says(403, "AccessDenied"),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_not_taken_for_none(fake: FakeS3, anchor: Anchor, fault: Says | Does) -> None:
    fake.gets.append(fault)
    with pytest.raises(AnchorUnavailable):
        anchor.read(ORIGIN)
    assert anchor.read(ORIGIN) == b"1"


def test_a_swap_after_another_ones_own_needs_one_request_and_a_foreign_value_is_seen(
    fake: FakeS3, anchor: Anchor
) -> None:
    anchor.swap(ORIGIN, b"1", b"2")
    assert [method for method, _ in fake.requests] == ["PUT"]
    connect(fake).swap(ORIGIN, b"2", b"3")
    with pytest.raises(AnchorConflict) as caught:
        anchor.swap(ORIGIN, b"2", b"4")
    assert caught.value.current == b"3"
    fake.objects.clear()
    with pytest.raises(AnchorConflict) as caught:
        anchor.swap(ORIGIN, b"3", b"4")
    assert caught.value.current is None


def test_bytes_that_somebody_wrote_again_are_the_same_value(fake: FakeS3, anchor: Anchor) -> None:
    """Their ETag may be another one, as of what was put in parts; then the swap is offered again."""
    fake.puts.append(Says(412, "PreconditionFailed"))
    with pytest.raises(AnchorUnavailable):
        anchor.swap(ORIGIN, b"1", b"2")
    anchor.swap(ORIGIN, b"1", b"2")
    assert stored(fake) == b"2"


@pytest.mark.parametrize("ignored", ["if-match", "if-none-match"])
def test_a_server_that_ignores_a_condition_is_no_anchor_and_nothing_of_the_anchor_is_touched(
    fake: FakeS3, ignored: str
) -> None:
    fake.ignores.add(ignored)
    for _ in range(2):
        with pytest.raises(ConfigInvalid, match=f"does not honour {ignored.title()}"):
            connect(fake).read(ORIGIN)
        with pytest.raises(ConfigInvalid, match=f"does not honour {ignored.title()}"):
            connect(fake).swap(ORIGIN, None, b"1")
    assert {path for _, path in fake.requests} == {f"/anchors/x/{s3.PROBE}"}


def test_a_server_that_cannot_do_conditions_is_no_anchor(fake: FakeS3) -> None:
    fake.puts.append(Says(501, "NotImplemented"))
    with pytest.raises(ConfigInvalid, match="501 NotImplemented"):
        connect(fake).read(ORIGIN)


def test_a_probe_that_fails_is_made_again_and_one_that_succeeded_is_not(fake: FakeS3) -> None:
    anchor = connect(fake)
    for fault in (Says(500, "InternalError"), Does.CUTS, Says(403, "AccessDenied")):
        fake.puts.append(fault)
        with pytest.raises(AnchorUnavailable):
            anchor.read(ORIGIN)
    assert anchor.read(ORIGIN) is None
    fake.requests.clear()
    assert anchor.read(ORIGIN) is None
    assert [method for method, _ in fake.requests] == ["GET"]


def test_an_object_too_large_for_a_checkpoint_and_one_without_etag_are_refused(
    fake: FakeS3, anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (path for path in fake.objects if s3.PROBE not in path)
    fake.objects[path] = b"x" * (MAX_NOTE_BYTES + 1)
    with pytest.raises(AnchorUnavailable, match="larger than a checkpoint"):
        anchor.read(ORIGIN)
    fake.objects[path] = b"1"
    monkeypatch.setattr("tests.doubles.s3_server.etag", lambda _: "")
    with pytest.raises(AnchorUnavailable, match="no ETag"):
        anchor.read(ORIGIN)


@pytest.mark.parametrize(("seconds", "says"), [(-HOUR, "3600 s ahead of"), (HOUR, "3600 s behind")])
def test_a_clock_that_is_off_is_named_with_how_far(fake: FakeS3, anchor: Anchor, seconds: int, says: str) -> None:
    fake.date = formatdate(round(time.time() / 10) * 10 + seconds, usegmt=True)
    fake.gets.append(Says(403, "RequestTimeTooSkewed"))
    with pytest.raises(AnchorUnavailable) as caught:
        anchor.read(ORIGIN)
    assert says.partition(" ")[2] in str(caught.value)
    fake.date = "no date"
    fake.gets.append(Says(403, "RequestTimeTooSkewed"))
    with pytest.raises(AnchorUnavailable, match="do not agree"):
        anchor.read(ORIGIN)


def test_a_server_that_is_not_there_was_sent_nothing(fake: FakeS3) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        fake.endpoint = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        with pytest.raises(AnchorUnavailable, match="cannot be reached"):
            connect(fake).read(ORIGIN)


def test_a_port_that_takes_connections_and_says_nothing_is_given_up_in_time(fake: FakeS3) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("http", "https"):
            fake.endpoint = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(AnchorUnavailable, match="not in time"):
                connect(fake).read(ORIGIN)


def test_a_server_that_hangs_up_at_once_is_unavailable_whenever_that_is_noticed(fake: FakeS3) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hasty:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    hasty.accept()[0].close()

        Thread(target=hang_up, daemon=True).start()
        fake.endpoint = f"http://127.0.0.1:{hasty.getsockname()[1]}"
        anchor = connect(fake)
        for _ in range(200):
            with pytest.raises(AnchorUnavailable):
                anchor.read(ORIGIN)
        hasty.shutdown(socket.SHUT_RDWR)


def test_without_credentials_nothing_is_sent(fake: FakeS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AnchorUnavailable, match="no credentials"):
        connect(fake).read(ORIGIN)
    assert fake.requests == []


def test_credentials_come_from_the_file_that_is_named_before_the_environment(fake: FakeS3, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.touch(0o600)
    file.write_text("[default]\naws_access_key_id = FROMFILE\naws_secret_access_key = file-secret\n")
    connect(fake, AnchorSection(credentials_file=str(file))).swap(ORIGIN, None, b"1")
    assert "Credential=FROMFILE/" in fake.headers["authorization"]
    connect(fake).swap(ORIGIN, b"1", b"2")
    assert "Credential=ACCESS/" in fake.headers["authorization"]
    assert "if-match;" in fake.headers["authorization"]


@pytest.mark.parametrize("setting", ["credentials_file", "ca_file"])
def test_a_file_that_cannot_be_used_is_named(fake: FakeS3, tmp_path: Path, setting: str) -> None:
    fake.endpoint = "https://127.0.0.1:1"
    with pytest.raises(ConfigInvalid, match=rf"anchor\.{setting} = .*none' is missing"):
        connect(fake, AnchorSection(**{setting: str(tmp_path / "none")}))
    (tmp_path / "empty").touch(0o644)
    if setting == "credentials_file":
        with pytest.raises(ConfigInvalid, match="has mode 0644"):
            connect(fake, AnchorSection(credentials_file=str(tmp_path / "empty")))
    if setting == "ca_file":
        with pytest.raises(ConfigInvalid, match="holds no PEM certificates"):
            connect(fake, AnchorSection(ca_file=str(tmp_path / "empty")))
