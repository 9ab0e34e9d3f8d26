"""``/metrics`` of a real server, and what watches it: alerts, dashboard, and Prometheus' own tools."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
import yaml
from botocore.config import Config
from prometheus_client.parser import text_string_to_metric_families

from audit.config import Settings
from tests.doubles.certificates import Authority
from tests.integration.s3.calls import refused, send, until
from tests.integration.served import Server
from tests.readme import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

WATCHING = ROOT / "compose" / "prometheus"
ALERTS = yaml.safe_load((WATCHING / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((WATCHING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
NAMED = re.compile(r"\b(?:strongroom|process)_[a-z0-9_]+\b(?!\")")
#: What no metric may tell.
NAMES = ("trades", "ticket-1", "no-such-bucket", "root", "127.0.0.1")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Asks a server that has served, refused and turned away, with TLS at its audit port."""
    root = tmp_path_factory.mktemp("metrics")
    authority = Authority(root)
    cert, key = authority.issue("vault")
    served = Server(
        root,
        {
            "STRONGROOM_KAFKA__BOOTSTRAP": "127.0.0.1:1",
            "STRONGROOM_AUDIT__TLS_CERT_FILE": str(cert),
            "STRONGROOM_AUDIT__TLS_KEY_FILE": str(key),
        },
    )
    s3 = boto3.client(
        "s3",
        endpoint_url=served.endpoint,
        aws_access_key_id=served.access_key,
        aws_secret_access_key=served.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    s3.create_bucket(Bucket="trades")
    for number in range(5):
        s3.put_object(Bucket="trades", Key=f"ticket-{number}", Body=b"x" * 1000)
    assert s3.get_object(Bucket="trades", Key="ticket-1")["Body"].read() == b"x" * 1000
    assert refused(s3.get_object, Bucket="no-such-bucket", Key="k").status == 404
    assert send(served, "GET", "/trades/ticket-1", {}).status == 403
    s3.close()
    with httpx.Client(verify=ssl.create_default_context(cafile=authority.ca)) as audit:
        assert audit.get(f"{served.audit_endpoint}/nothing").status_code == 404

        def ask() -> str:
            answer = audit.get(f"{served.audit_endpoint}/metrics")
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            return answer.text

        yield ask
    assert served.stop() == 0, served.errors


def families(text: str) -> dict[str, Metric]:
    found = list(text_string_to_metric_families(text))
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    """The sample with these labels beside ``stream``."""
    (sample,) = (
        sample.value
        for sample in found[name.removesuffix("_total").removesuffix("_count").removesuffix("_sum")].samples
        if sample.name == name and {k: v for k, v in sample.labels.items() if k != "stream"} == labels
    )
    return float(sample)


def test_requests_are_counted_by_operation_and_status(scrape: Callable[[], str]) -> None:
    found = families(scrape())
    assert value(found, "strongroom_s3_requests_total", op="object.put", status="2xx") == 5
    assert value(found, "strongroom_s3_requests_total", op="object.get", status="2xx") == 1
    assert value(found, "strongroom_s3_requests_total", op="object.get", status="4xx") == 1
    assert value(found, "strongroom_s3_requests_total", op="request.refused", status="4xx") == 1
    assert value(found, "strongroom_s3_request_duration_seconds_count", op="object.put") == 5
    assert value(found, "strongroom_s3_received_bytes_total", op="object.put") >= 5000
    assert value(found, "strongroom_s3_sent_bytes_total", op="object.get") >= 1000
    assert value(found, "strongroom_unauthenticated_requests_total", reason="anonymous") == 1
    assert value(found, "strongroom_records_refused_total", outcome="failure", reason="no_such_bucket") == 1
    assert value(found, "strongroom_audit_requests_total", status="4xx") == 1
    assert value(found, "strongroom_connections", port="audit") == 1


def test_the_ledgers_figures_agree_with_each_other(scrape: Callable[[], str]) -> None:
    until(lambda: value(families(scrape()), "strongroom_unauthenticated_windows") == 1)
    found = families(scrape())
    assert value(found, "strongroom_ready") == 1
    assert value(found, "strongroom_incarnation") == 2
    written = value(found, "strongroom_commit_group_records_sum")
    groups = value(found, "strongroom_commit_group_records_count")
    assert 0 < groups == value(found, "strongroom_commit_write_seconds_count") <= written
    assert written <= value(found, "strongroom_records_durable_total")
    assert value(found, "strongroom_commit_bytes_total") >= 5000
    assert value(found, "strongroom_commit_turned_away_total", reason="no_space") == 0
    assert value(found, "strongroom_disk_reserve_bytes") == Settings().disk.reserve_mib << 20
    assert value(found, "strongroom_disk_refusing", what="writes") == 0
    assert value(found, "strongroom_task_failing", task="sealer") == 0
    expiry = value(found, "strongroom_tls_certificate_expiry_timestamp_seconds", port="audit")
    assert 0 < expiry - time.time() < 2 * 86_400


def test_all_records_come_under_a_checkpoint_and_the_index_is_synced(scrape: Callable[[], str]) -> None:
    def sealed() -> bool:
        found = families(scrape())
        return value(found, "strongroom_records_sealed_total") == value(found, "strongroom_records_durable_total")

    until(sealed)
    until(lambda: value(families(scrape()), "strongroom_index_unsynced_rows") == 0)
    found = families(scrape())
    assert value(found, "strongroom_checkpoint_age_seconds") < 60
    assert value(found, "strongroom_index_sync_age_seconds") < 60


def test_names_have_units_and_labels_have_no_names(scrape: Callable[[], str]) -> None:
    text = scrape()
    for family in families(text).values():
        assert family.documentation.endswith("."), family.name
        for sample in family.samples:
            assert sample.name.startswith("process_") or sample.labels["stream"] == "site-a.node-1"
            assert not {"job", "instance"} & sample.labels.keys()  # Prometheus' own
    assert not any(name in text for name in NAMES)


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)
    yield from ((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"])


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(scrape: Callable[[], str]) -> None:
    found = families(scrape())
    told = {sample.name for family in found.values() for sample in family.samples}
    asked = {name for _, expression in expressions() for name in NAMED.findall(expression)}
    assert asked - told == set()
    every = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in asked}
    shown = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in told}
    unwatched = {"strongroom_info", "strongroom_audit_requests_total", "strongroom_settle_debt_records"}
    assert shown - every == unwatched | {"process_start_time_seconds"}


def test_labels_that_alerts_and_dashboard_choose_by_exist(scrape: Callable[[], str]) -> None:
    found = families(scrape())
    labels = {sample.name: sample.labels.keys() for family in found.values() for sample in family.samples}
    for title, expression in expressions():
        for name, chosen in re.findall(r"\b((?:strongroom|process)_[a-z0-9_]+)\{([^}]*)\}", expression):
            asked = set(re.findall(r"([a-z_]+)\s*=", chosen))
            assert asked <= {"instance", "job", *labels[name]}, title


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Strongroom")
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["annotations"].keys() == {"summary", "description"}
    assert len(rule["annotations"]["description"]) > 50


def test_every_panel_has_a_unit_a_source_and_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all("$instance" in target["expr"] for target in panel["targets"]), panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def promtool(*arguments: str, stdin: str = "") -> None:
    done = subprocess.run(
        ["promtool", *arguments], input=stdin, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@needs_promtool
def test_prometheus_finds_nothing_wrong_with_names_rules_and_configuration(scrape: Callable[[], str]) -> None:
    promtool("check", "metrics", stdin=scrape())
    promtool("check", "rules", "compose/prometheus/alerts.yml")
    promtool("check", "config", "--syntax-only", "compose/prometheus/prometheus.yml")


@needs_promtool
def test_every_alert_fires_on_what_it_is_for_and_none_on_a_vault_that_is_well() -> None:
    text = (ROOT / "tests" / "integration" / "alerts_fire.yml").read_text()
    assert set(re.findall(r'alertname="(\w+)"', text)) == {rule["alert"] for rule in RULES}
    promtool("test", "rules", "tests/integration/alerts_fire.yml")
