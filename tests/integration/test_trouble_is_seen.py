"""What goes wrong with a vault shows in its metrics, and that it is over does too."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import boto3
import httpx
from botocore.config import Config

from tests.integration.s3.calls import refused, until
from tests.integration.served import Server
from tests.integration.test_metrics import families, value

if TYPE_CHECKING:
    from pathlib import Path


def test_an_anchor_that_is_away_and_a_disk_that_is_full(tmp_path: Path) -> None:
    served = Server(tmp_path)
    s3 = boto3.client(
        "s3",
        endpoint_url=served.endpoint,
        aws_access_key_id=served.access_key,
        aws_secret_access_key=served.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )

    def seen(name: str, **labels: str) -> float:
        return value(families(httpx.get(f"{served.audit_endpoint}/metrics").text), f"strongroom_{name}", **labels)

    anchor, away = tmp_path / "data.anchor", tmp_path / "away"
    anchor.rename(away)
    s3.create_bucket(Bucket="kept")
    until(lambda: seen("anchor_failures_total") >= 2)
    assert seen("task_failing", task="sealer") == 1
    assert seen("task_failures_total", task="sealer") >= 2
    assert seen("task_failing", task="eraser") == 0
    assert seen("checkpoint_age_seconds") > 1
    assert seen("ready") == 1
    shutil.copytree(away, anchor, dirs_exist_ok=True)
    until(lambda: seen("task_failing", task="sealer") == 0)
    until(lambda: seen("records_sealed_total") == seen("records_durable_total"))

    assert served.stop() == 0, served.errors
    served.start({"STRONGROOM_DISK__RESERVE_MIB": str(1 << 29)})
    assert refused(s3.create_bucket, Bucket="more").status == 503
    assert seen("ready") == 0
    assert [seen("disk_refusing", what=what) for what in ("reads", "writes", "denials")] == [1, 1, 1]
    assert seen("commit_turned_away_total", reason="no_space") == 1
    assert seen("s3_requests_total", op="bucket.create", status="5xx") == 1
    s3.close()
    assert served.stop() == 0, served.errors
