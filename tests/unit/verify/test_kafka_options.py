"""``verify --kafka``: arguments, files of settings, and libraries that are not there or do not take them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from audit.verify.command import main
from audit.verify.kafka_properties import load
from audit.verify.kafka_python import NAMES, KafkaPython
from audit.verify.librdkafka import Librdkafka
from audit.verify.report import Unchecked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "arguments",
    [
        ["DIR", "--kafka", "x:1"],
        ["--kafka", ""],
        ["--kafka", "x:1", "--share", "1/2"],
        ["--kafka", "x:1", "--rate", "1"],
        ["--kafka", "x:1", "--topics", "a/b"],
        ["--kafka", "x:1", "--reader", "another"],
        ["DIR", "--log", "DIR"],
        ["DIR", "--kafka-properties", "FILE"],
    ],
)
def test_options_that_do_not_go_together_are_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(("reader", "module"), [("librdkafka", "confluent_kafka"), ("kafka-python", "kafka")])
def test_without_its_library_it_says_what_to_install(
    reader: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["--kafka", "127.0.0.1:1", "--reader", reader, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["unchecked"].startswith("install strongroom to verify topics of Kafka")


def test_settings_are_lines_of_name_and_value(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("# ours\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b # c\nsasl.username=\n")
    found = {"security.protocol": "SASL_SSL", "sasl.password": "a=b # c", "sasl.username": ""}
    assert load(str(path)) == found


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        "=secret",
        "isolation.level=secret",
        "bootstrap.servers=secret",
        "plugin.library.paths=secret",
        "\udcff",
    ],
)
def test_files_that_are_no_settings_are_refused_without_saying_what_is_in_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "client.properties"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Unchecked) as refused:
        load(str(path))
    assert "secret" not in str(refused.value)
    with pytest.raises(Unchecked, match="no such file"):
        load(str(tmp_path / "another"))


def test_settings_that_a_library_does_not_have_are_refused() -> None:
    with pytest.raises(Unchecked, match="no\\.such\\.setting"):
        Librdkafka("127.0.0.1:1", {"no.such.setting": "secret"})
    with pytest.raises(Unchecked, match="kafka-python has no setting no\\.such\\.setting; it has client\\.id"):
        KafkaPython("127.0.0.1:1", {"no.such.setting": "secret"})


@pytest.mark.filterwarnings("ignore:read_text is deprecated:DeprecationWarning")
def test_the_settings_that_are_translated_are_kafka_pythons() -> None:
    kafka = pytest.importorskip("kafka")
    assert set(NAMES.values()) <= set(kafka.KafkaConsumer.DEFAULT_CONFIG)
