from __future__ import annotations

import time
from typing import TYPE_CHECKING

from audit.config import AuditSection, S3Section, Settings
from audit.metrics.certificate import expiries
from tests.doubles.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY = 86_400


def test_ports_without_tls_have_no_certificate() -> None:
    assert expiries(Settings()) == {}


def test_a_chain_expires_with_the_first_of_its_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("vault")
    both = tmp_path / "chain.pem"
    both.write_bytes(cert.read_bytes() + authority.ca.read_bytes())
    for file in (cert, both):
        found = expiries(Settings(audit=AuditSection(tls_cert_file=str(file), tls_key_file=str(key))))
        assert found.keys() == {"audit"}
        assert abs(found["audit"] - time.time() - DAY) < DAY / 2


def test_a_certificate_that_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cert.pem").write_text("none")
    assert expiries(Settings(s3=S3Section(tls_cert_file=str(tmp_path / "cert.pem"), tls_key_file="k"))) == {}
    assert "s3.tls_cert_file" in caplog.text
