"""TLS files as they are found on disk: what is good of them, and what is wrong with the others, in words."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from audit import tls
from audit.config import AuditSection, S3Section, Settings
from audit.errors import ConfigInvalid
from audit.setting_files import MAX_FILE_BYTES
from audit.tls import expiring, load
from tests.doubles.certificates import Authority, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def port(cert: Path, key: Path, ca: Path | str = "") -> S3Section:
    return S3Section(tls_cert_file=str(cert), tls_key_file=str(key), tls_client_ca_file=str(ca))


def refusal(cert: Path, key: Path, ca: Path | str = "") -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load("s3", port(cert, key, ca))
    assert "PRIVATE" not in str(caught.value)
    return str(caught.value)


def test_good_files_say_whose_they_are_and_how_long(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    found = load("s3", port(cert, key, authority.ca))
    assert found is not None
    assert found.fingerprint == fingerprint(cert)
    assert len(found.clients) == 64
    assert HOUR < found.expires - dt.datetime.now(dt.UTC) <= DAY
    assert found.context.verify_mode is ssl.CERT_REQUIRED
    without = load("s3", port(cert, key))
    assert without is not None
    assert (without.clients, without.context.verify_mode) == ("", ssl.CERT_NONE)
    assert load("s3", S3Section()) is None


def test_the_forms_in_which_tools_write_files_are_read(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    written = ["openssl", "ec", "-in", str(key)]  # as `openssl ecparam -genkey` has it, parameters first
    older = subprocess.run(written, capture_output=True, check=True).stdout
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    for form in (
        parameters + older,
        b"Bag Attributes\n    friendlyName: Gr\xf6\xdfe\n" + key.read_bytes(),
        key.read_bytes().replace(b"\n", b"\r\n"),
        key.read_bytes().rstrip(),
        cert.read_bytes() + key.read_bytes(),
    ):
        key.write_bytes(form)
        assert load("s3", port(cert, key)) is not None
    assert load("s3", port(key, key)) is not None, "one file holds both"
    cert.write_bytes(b"Gr\xf6\xdfe\n" + cert.read_bytes())
    authority.ca.write_bytes(b"Gr\xf6\xdfe\n" + authority.ca.read_bytes())
    assert load("s3", port(cert, key, authority.ca)) is not None


def test_only_ciphers_with_forward_secrecy_and_authentication_are_spoken(tmp_path: Path) -> None:
    found = load("s3", port(*Authority(tmp_path).issue("server")))
    assert found is not None
    assert found.context.minimum_version is ssl.TLSVersion.TLSv1_2
    ciphers = found.context.get_ciphers()
    assert {cipher["protocol"] for cipher in ciphers} == {"TLSv1.2", "TLSv1.3"}
    assert all(cipher["aead"] for cipher in ciphers)
    older = [cipher["name"] for cipher in ciphers if cipher["protocol"] == "TLSv1.2"]
    assert all(name.startswith("ECDHE-") for name in older)


def test_a_chain_stands_from_the_servers_own_certificate_upwards(tmp_path: Path) -> None:
    root = Authority(tmp_path)
    between = Authority(tmp_path, "between", root)
    own, key = between.issue("server")
    pieces = {"own": own.read_text(), "between": between.ca.read_text(), "root": root.ca.read_text()}
    chain = tmp_path / "chain.pem"
    for order in (["own"], ["own", "between"], ["own", "between", "root"]):
        chain.write_text("".join(pieces[name] for name in order))
        assert load("s3", port(chain, key)) is not None
    for order, says in (
        (["between", "own"], "is the key, stands at place 2 and must come first"),
        (["root", "between", "own"], "is the key, stands at place 3 and must come first"),
        (["own", "root", "between"], "the certificate at place 2 (CN=test authority ca) did not issue"),
        (["own", "between", "own"], "the certificate at place 3 (CN=server) did not issue"),
        (["between", "root"], "is not the key of s3.tls_cert_file"),
    ):
        chain.write_text("".join(pieces[name] for name in order))
        assert says in refusal(chain, key)


def test_an_authority_of_the_same_name_is_not_the_issuer(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path, "same").issue("server")
    other = Authority(tmp_path, "same")
    cert.write_text(cert.read_text() + other.ca.read_text())
    assert "is no chain" in refusal(cert, key)


def test_a_certificate_out_of_its_time_is_refused_with_the_time(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    over, over_key = authority.issue("over", valid=(-2 * DAY, -HOUR))
    early, early_key = authority.issue("early", valid=(HOUR, DAY))
    assert f"CN=over expired at {dt.datetime.now(dt.UTC) - HOUR:%Y-%m-%dT}" in refusal(over, over_key)
    assert "CN=early is valid only from" in refusal(early, early_key)
    between = Authority(tmp_path, "between", authority, valid=(-2 * DAY, -HOUR))
    own, key = between.issue("server")
    own.write_text(own.read_text() + between.ca.read_text())
    assert "CN=test authority between expired at" in refusal(own, key)


def test_files_that_cannot_be_used_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    _, other = authority.issue("other")
    _, locked = authority.issue("locked", b"password")
    empty, large, pipe = (tmp_path / name for name in ("empty", "large", "pipe"))
    empty.touch(0o600)
    large.touch(0o600)
    os.truncate(large, MAX_FILE_BYTES + 1)
    os.mkfifo(pipe, 0o600)
    for cert_file, key_file, ca_file, says in (
        (tmp_path / "none", key, "", "s3.tls_cert_file = '%s/none' is missing"),
        (tmp_path, key, "", "s3.tls_cert_file = '%s' is a directory"),
        (cert, tmp_path, "", "s3.tls_key_file = '%s' is a directory"),
        (cert, tmp_path / "none", "", "s3.tls_key_file = '%s/none' is missing"),
        (pipe, key, "", "s3.tls_cert_file = '%s/pipe' is no regular file"),
        (large, key, "", "s3.tls_cert_file = '%s/large' is larger than"),
        (cert / "x", key, "", "s3.tls_cert_file = '%s/server.pem/x' cannot be read: Not a directory"),
        (cert, other, "", "s3.tls_key_file = '%s/other.key' is not the key of s3.tls_cert_file"),
        (cert, locked, "", "s3.tls_key_file = '%s/locked.key' is encrypted"),
        (cert, empty, "", "s3.tls_key_file = '%s/empty' holds no PEM private key"),
        (cert, cert, "", "s3.tls_key_file = '%s/server.pem'"),
        (empty, key, "", "s3.tls_cert_file = '%s/empty' holds no PEM certificates"),
        (key, key, "", "s3.tls_cert_file = '%s/server.key' holds no PEM certificates"),
        (cert, key, empty, "s3.tls_client_ca_file = '%s/empty' holds no PEM certificates"),
        (cert, key, tmp_path / "none", "s3.tls_client_ca_file = '%s/none' is missing"),
        (cert, key, cert, "CN=server is no authority"),
        (cert, key, Authority(tmp_path, "old", valid=(-2 * DAY, -HOUR)).ca, "all authorities in it have expired"),
    ):
        assert (says % tmp_path if "%s" in says else says) in refusal(cert_file, key_file, ca_file)


def test_a_key_too_weak_for_tls_is_refused(tmp_path: Path) -> None:
    cert, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    weak = ["-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", "-x509", *weak], capture_output=True, check=True)
    assert "cannot be used: " in refusal(cert, key)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o640, 0o602], ids=oct)
def test_a_key_that_others_can_use_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    cert, key = Authority(tmp_path).issue("server")
    key.chmod(mode)
    assert f"has mode {mode:04o}" in refusal(cert, key)
    assert "chmod 600" in refusal(cert, key)


@pytest.mark.parametrize(("mode", "good"), [(0o440, True), (0o640, True), (0o660, False), (0o444, False)])
def test_a_key_that_root_gave_the_servers_group_is_good(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    good: bool,  # noqa: FBT001 - a table's column
) -> None:
    cert, key = Authority(tmp_path).issue("server")
    key.chmod(mode)
    found = os.stat_result((key.stat().st_mode, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr("audit.setting_files.os.fstat", lambda _: found)
    monkeypatch.setattr("audit.setting_files.os.geteuid", lambda: 10001)
    if good:
        assert load("s3", port(cert, key)) is not None
    else:
        assert f"has mode {mode:04o}" in refusal(cert, key)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = Authority(tmp_path).issue("server")
    opening = os.open

    def denied(path: str, flags: int) -> int:
        if path == str(key):
            raise PermissionError(13, "Permission denied")
        return opening(path, flags)

    monkeypatch.setattr("audit.setting_files.os.open", denied)
    assert f"s3.tls_key_file = '{key}' cannot be read by this user" in refusal(cert, key)


def test_what_was_judged_is_what_is_used_though_the_file_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    judged, judging = fingerprint(cert), tls._judge_chain

    def then_replaced(*arguments: object) -> None:
        judging(*arguments)  # type: ignore[arg-type]
        authority.issue("server")

    monkeypatch.setattr(tls, "_judge_chain", then_replaced)
    found = load("s3", port(cert, key))
    assert found is not None
    assert found.fingerprint == judged != fingerprint(cert)


@pytest.mark.parametrize(("days", "told"), [(29, True), (31, False)])
def test_a_certificate_is_to_be_replaced_thirty_days_before_its_end(
    tmp_path: Path,
    days: int,
    told: bool,  # noqa: FBT001 - a table's column
) -> None:
    cert, key = Authority(tmp_path).issue("server", valid=(-HOUR, days * DAY))
    section = port(cert, key)
    assert bool(expiring("s3", section, load("s3", section))) is told
    settings = Settings(s3=section, audit=AuditSection(tls_cert_file=str(key), tls_key_file=str(key)))
    (problem,), advice = tls.examine(settings)
    assert problem.startswith("audit.tls_cert_file = ")
    assert len(advice) == told
    assert all(str(cert) in text and "SIGHUP" in text for text in advice)


def test_without_tls_nothing_expires() -> None:
    assert tls.examine(Settings()) == ([], [])
