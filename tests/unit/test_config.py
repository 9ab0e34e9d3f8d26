from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.address import Address
from audit.config import MAX_FILE_BYTES, Settings, load
from audit.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path


def refusal(file: Path | None = None, environ: dict[str, str] | None = None, **options: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(file, environ or {}, {name.replace("__", "."): value for name, value in options.items()})
    return str(caught.value)


def test_without_anything_the_documented_defaults_hold() -> None:
    settings = load(None, {})
    assert settings == Settings()
    assert settings.s3.listen == "127.0.0.1:9000"
    assert settings.audit.listen == "127.0.0.1:9001"
    assert settings.ledger.segment_mib == 32
    assert settings.checkpoint.interval_s == 1
    assert settings.clock.status_interval_s == 60


def test_options_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "strongroom.toml"
    file.write_text('[s3]\nlisten = "127.0.0.1:1"\n[audit]\nlisten = "127.0.0.1:2"\n[ledger]\nsegment_mib = 4\n')
    environ = {"STRONGROOM_AUDIT__LISTEN": "127.0.0.1:3", "STRONGROOM_S3__LISTEN": "127.0.0.1:4"}
    settings = load(file, environ, {"s3.listen": "127.0.0.1:5", "audit.listen": None})
    assert (settings.s3.listen, settings.audit.listen) == ("127.0.0.1:5", "127.0.0.1:3")
    assert settings.ledger.segment_mib == 4


def test_every_setting_can_be_set_in_the_file_and_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "strongroom.toml"
    for section, values in msgspec.to_builtins(Settings()).items():
        for key, value in values.items():
            file.write_text(f"[{section}]\n{key} = {msgspec.json.encode(value).decode()}\n")
            assert load(file, {}) == Settings()
            assert load(None, {f"STRONGROOM_{section}__{key}".upper(): str(value)}) == Settings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().s3.listen = "0.0.0.0:80"  # type: ignore[misc]


def test_variables_that_are_no_settings_are_let_be() -> None:
    assert load(None, {"STRONGROOM_DATA": "x", "STRONGROOM_KEK": "x", "OTHER__VARIABLE": "x"}) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[s3]\nlisten_on = 'x'", "'s3.listen_on'; the nearest is 's3.listen'"),
        ("[ledgr]\nsegment_mib = 1", "'ledgr.segment_mib'; the nearest is 'ledger.segment_mib'"),
        ("[mqtt]\nbroker = 'x'", "there is no setting 'mqtt.broker'; README lists all settings"),
        ("[kafka]\ntls_ca_file = 'x'", "kafka.tls_ca_file and kafka.tls_cert_file need kafka.tls = true"),
        ("[kafka]\ntls = true\ntls_cert_file = 'x'", "kafka.tls_cert_file and kafka.tls_key_file belong together"),
        ("[kafka]\nsasl_mechanism = 'PLAIN'", "kafka.sasl_mechanism needs kafka.sasl_username and"),
        ("[kafka]\nsasl_username = 'x'", "kafka.sasl_username and kafka.sasl_password_file need kafka.sasl_mechanism"),
        ("[kafka]\nsasl_mechanism = 'OAUTHBEARER'", "kafka.sasl_mechanism: Invalid enum value 'OAUTHBEARER'"),
        ("[kafka.librdkafka]\nacks = '1'", "kafka.librdkafka: acks is the relay's own"),
        ("[kafka.librdkafka]\n'linger.ms' = 5", "kafka.librdkafka[...]: Expected `str`, got `int`"),
        ("[relay]\ntopics = 'a b'", "relay.topics: Expected `str` matching regex"),
        ("verbose = 1", "'verbose' stands outside a table; README lists all settings"),
        ("segment_mib = 1", "'segment_mib' stands outside a table; the nearest is 'ledger.segment_mib'"),
        ("[s3.listen]\na = 1", "s3.listen: Expected `str`"),
        ("[s3", "is not TOML"),
        ("[s3]\nlisten = 'a'\nlisten = 'b'", "is not TOML"),
        ("[ledger]\nsegment_mib = 0", "ledger.segment_mib: Expected `int` >= 1"),
        ("[ledger]\nsegment_mib = '8'", "ledger.segment_mib: Expected `int`, got `str`"),
        ("[ledger]\nsegment_mib = true", "ledger.segment_mib: Expected `int`"),
        ("[checkpoint]\ninterval_s = nan", "checkpoint.interval_s"),
        ("[checkpoint]\ninterval_s = 60", "checkpoint.interval_s: Expected `float` <= 1"),
        ("[s3]\ntls_cert_file = 'c'", "s3.tls_cert_file and s3.tls_key_file belong together"),
        ("[audit]\ntls_client_ca_file = 'c'", "audit.tls_client_ca_file needs audit.tls_cert_file"),
        ("[s3]\ndomain = 'S3.Example.com'", "s3.domain: 'S3.Example.com' is no domain name"),
        ("[s3]\ndomain = '*.example.com'", "is no domain name"),
        ("[s3]\nlisten = '127.0.0.1:7'\n[audit]\nlisten = '127.0.0.1:7'", "are both '127.0.0.1:7'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_the_setting_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "strongroom.toml"
    file.write_text(text)
    assert says in refusal(file)


@pytest.mark.parametrize("address", ["0.0.0.0:9000", "192.0.2.1:9000", "[::]:9000", "example.com:9000", "127.1:9000"])
@pytest.mark.parametrize("port", ["s3", "audit"])
def test_plaintext_beyond_loopback_is_refused_on_both_ports(port: str, address: str) -> None:
    problem = refusal(None, {}, **{f"{port}__listen": address})
    assert "plaintext is refused" in problem
    assert f"{port}.tls_cert_file" in problem
    tls = {f"STRONGROOM_{port}__TLS_CERT_FILE".upper(): "c", f"STRONGROOM_{port}__TLS_KEY_FILE".upper(): "k"}
    assert load(None, tls, {f"{port}.listen": address}) is not None


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.9.9:9000", "[::1]:9000", "localhost:9000"])
def test_plaintext_on_loopback_is_allowed(address: str) -> None:
    assert load(None, {}, {"s3.listen": address}).s3.address.loopback


@pytest.mark.parametrize("text", ["", "9000", ":9000", "host:", "host:x", "host:65536", "host:-1", "::1:9000", "h:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert refusal(None, {}, s3__listen=text).startswith("s3.listen: ")


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("STRONGROOM_S3__LISTN", "'s3.listn'; the nearest is 's3.listen'"),
        ("STRONGROOM_S3__LISTEN__X", "'s3.listen__x'"),
        ("STRONGROOM_S3_LISTEN", "STRONGROOM_S3_LISTEN sets nothing: write STRONGROOM_S3__LISTEN"),
        ("STRONGROOM_LEDGER__SEGMENT_MIB", "STRONGROOM_LEDGER__SEGMENT_MIB: Expected `int`"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused_by_its_name(variable: str, says: str) -> None:
    problem = refusal(None, {variable: "not-to-be-repeated"})
    assert says in problem
    assert "not-to-be-repeated" not in problem


def test_a_missing_file_and_a_file_of_any_size_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "none.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert "is larger than" in refusal(tmp_path / "large.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "is not TOML" in refusal(tmp_path / "binary.toml")


def test_every_number_carries_its_unit_in_its_name() -> None:
    counts = {"limits.connections", "relay.replication_factor", "relay.max_lag_records"}
    numbers = {
        f"{section}.{key}"
        for section, values in msgspec.to_builtins(Settings()).items()
        for key, value in values.items()
        if not isinstance(value, str | bool | dict)
    }
    assert {
        name for name in numbers - counts if not re.search(r"_(s|seconds|mib|per_minute|hours|days)$", name)
    } == set()


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except ConfigInvalid:
        return
    assert 0 <= address.port < 65536
    assert address.host
