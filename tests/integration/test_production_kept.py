"""A production's archive on a real server: the same bytes as the directory, once, and nobody can remove it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from audit.production.keep import BUCKET, PART_BYTES
from tests.doubles.whole_node import HERE, commit, open_node
from tests.integration.served import Server, command
from vault.policy import SYSTEM
from vault.record import Actor, ObjectRef, Tail

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


def produced(server: Server, out: Path, bucket: str = "trades") -> subprocess.CompletedProcess[str]:
    return server.cli("production", "create", "--bucket", bucket, "--reason", "r", "--dir", out, "--json")


def verdict(root: Path) -> Any:
    return json.loads(command("verify", root, "--json").stdout)


def client_of(server: Server, access_key: str = "", secret_key: str = "") -> Any:
    return boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1",
        aws_access_key_id=access_key or server.access_key, aws_secret_access_key=secret_key or server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def production(server: Server, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    s3.create_bucket(Bucket="trades")
    s3.put_object(Bucket="trades", Key="a/b", Body=b"one")
    s3.put_object(Bucket="trades", Key="é\u4e2d\u6587", Body=os.urandom(2_500_000))
    out = tmp_path_factory.mktemp("production") / "out"
    made = produced(server, out)
    assert made.returncode == 0, made.stderr
    return out


@pytest.fixture(scope="module")
def kept(server: Server, production: Path) -> Any:
    """The record that says what was kept of it."""
    said = server.cli("records", "--op", "production.complete", "--oldest-first", "--ndjson", "--all").stdout
    return json.loads(said.splitlines()[0])


def test_the_archive_is_the_production_and_verifies(
    server: Server, s3: Any, production: Path, kept: dict[str, Any], tmp_path: Path
) -> None:
    named = {"Bucket": kept["object"]["bucket"], "Key": kept["object"]["key"]}
    told = s3.head_object(**named, VersionId=kept["object"]["version_id"])
    assert server.cli("production", "fetch", kept["production"]["id"], tmp_path / "it.zip").returncode == 0
    data = (tmp_path / "it.zip").read_bytes()
    assert named["Bucket"] == "strongroom-productions"
    assert sha256(data).hexdigest() == kept["production"]["archive"] == told["Metadata"]["sha256"]
    assert told["ContentType"] == "application/zip"
    subprocess.run(["unzip", "-q", "it.zip"], cwd=tmp_path, check=True)
    (root,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert root.name == f"production-{kept['production']['id']}"
    assert verdict(root)["result"] == "good"
    subprocess.run(["diff", "-r", root, production], check=True)


def test_the_command_packs_the_same_and_encrypts_it(production: Path, kept: Any, tmp_path: Path) -> None:
    packed = command("production", "archive", production, tmp_path / "it.zip")
    assert packed.returncode == 0, packed.stderr
    assert sha256((tmp_path / "it.zip").read_bytes()).hexdigest() == kept["production"]["archive"]
    assert (tmp_path / "it.zip").stat().st_mode & 0o777 == 0o600
    made = subprocess.run(["age-keygen", "-o", tmp_path / "key"], check=True, capture_output=True, text=True)
    name = made.stderr.split()[-1]
    packed = command("production", "archive", production, tmp_path / "it.age", "--recipient", name)
    assert packed.returncode == 0, packed.stderr
    opened = subprocess.run(
        ["age", "--decrypt", "--identity", tmp_path / "key", tmp_path / "it.age"], check=True, capture_output=True
    )
    assert sha256(opened.stdout).hexdigest() == kept["production"]["archive"]


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "without one"])
def test_the_command_lists_shows_and_fetches(server: Server, kept: Any, tmp_path: Path, running: bool) -> None:  # noqa: FBT001 - a table's column
    one = kept["production"]["id"]
    if not running:
        assert server.stop() == 0
    try:
        listed = server.cli("production", "list").stdout.splitlines()
        assert [line.split("\t")[1:2] for line in listed if line.startswith(one)] == [["kept"]]
        shown = server.cli("production", "show", one)
        assert f"kept      {BUCKET}/{one}.zip" in shown.stdout
        said = json.loads(server.cli("production", "show", one, "--json").stdout)
        assert said in json.loads(server.cli("production", "list", "--json").stdout)
        fetched = server.cli("production", "fetch", one, tmp_path / "it.zip")
        assert fetched.returncode == 0, fetched.stderr
        assert sha256((tmp_path / "it.zip").read_bytes()).hexdigest() == said["kept"]["sha256"]
        for words, code in ((("show", "0" * 16), 2), (("show", "x"), 2), (("fetch", "0" * 16, tmp_path / "no"), 2)):
            assert server.cli("production", *words).returncode == code
        assert not (tmp_path / "no").exists()
        record = json.loads(server.cli("records", "--json", "--limit", "1", "--op", "production.read").stdout)
        assert record["records"][0]["record"]["outcome"] == "failure"
    finally:
        if not running:
            server.start()


def test_the_command_packs_nothing_else(production: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(production, copy)
    (copy / "data/index.html").write_text("another")
    for words, why in (
        ((copy, out), "was changed since it was written"),
        ((tmp_path, out), "holds no finished production"),
        ((production, copy / "data/index.html"), "is there already"),
        ((production, tmp_path / "none" / "out"), "cannot be written"),
        ((production, out, "--recipient", "age1x"), "is none; `age-keygen` makes them"),
    ):
        said = command("production", "archive", *words)
        assert said.returncode == 2
        assert why in said.stderr
        assert not out.exists()


def test_nobody_removes_the_archive_or_makes_its_lock_shorter(s3: Any, kept: dict[str, Any]) -> None:
    named = {"Bucket": kept["object"]["bucket"], "Key": kept["object"]["key"]}
    version = {**named, "VersionId": kept["object"]["version_id"]}
    lock = s3.get_object_retention(**version)["Retention"]
    assert lock["Mode"] == "COMPLIANCE"
    assert (lock["RetainUntilDate"] - datetime.now(UTC)).days in {2190, 2191}
    earlier = {"Mode": "COMPLIANCE", "RetainUntilDate": lock["RetainUntilDate"] - timedelta(days=1)}
    for call, arguments in (
        ("delete_object", {**version, "BypassGovernanceRetention": True}),
        ("put_object_retention", {**version, "Retention": earlier, "BypassGovernanceRetention": True}),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(s3, call)(**arguments)
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_whoever_may_read_objects_does_not_read_records_that_way_nor_fill_the_bucket(
    server: Server, s3: Any, kept: dict[str, Any]
) -> None:
    named = {"Bucket": BUCKET, "Key": kept["object"]["key"]}
    made = json.loads(server.cli("principal", "add", "reads", "--role", "reader", "--role", "writer", "--json").stdout)
    other = client_of(server, made["access_key"], made["secret_key"])
    for client in (s3, other):  # root, and one who may read and write everywhere
        for call, arguments in (
            ("get_object", named),
            ("put_object", {**named, "Body": b"another"}),
            ("create_multipart_upload", named),
        ):
            with pytest.raises(ClientError) as refused:
                getattr(client, call)(**arguments)
            assert refused.value.response["Error"]["Code"] == "AccessDenied"
    with pytest.raises(ClientError) as refused:
        s3.create_bucket(Bucket="strongroom-anything")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    other.close()


def test_a_long_archive_is_kept_in_parts(server: Server, s3: Any, tmp_path: Path) -> None:
    s3.create_bucket(Bucket="long")
    s3.put_object(Bucket="long", Key="long", Body=os.urandom(PART_BYTES + 1_000_000))
    made = server.cli("production", "create", "--bucket", "long", "--reason", "r", "--dir", tmp_path / "out", "--json")
    assert made.returncode == 0, made.stderr
    kept = json.loads(made.stdout)["kept"]
    named = {"Bucket": kept["bucket"], "Key": kept["key"]}
    assert s3.head_object(**named)["ETag"].endswith('-2"')
    assert server.cli("production", "fetch", kept["key"].removesuffix(".zip"), tmp_path / "it.zip").returncode == 0
    assert sha256((tmp_path / "it.zip").read_bytes()).hexdigest() == kept["sha256"]
    assert s3.get_object_retention(**named)["Retention"]["Mode"] == "COMPLIANCE"
    assert not s3.list_multipart_uploads(Bucket=kept["bucket"]).get("Uploads")


def test_a_production_of_productions_makes_no_other_of_itself(server: Server, s3: Any, tmp_path: Path) -> None:
    before = s3.list_objects_v2(Bucket=BUCKET)["KeyCount"]
    out = tmp_path / "out"
    made = server.cli("production", "create", "--bucket", BUCKET, "--reason", "r", "--dir", out, "--json")
    assert json.loads(made.stdout)["natives"] == before
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == before + 1
    assert verdict(out)["result"] == "good"


def test_what_cannot_be_kept_is_not_complete_and_can_be_gone_on_with(tmp_path: Path) -> None:
    server = Server(tmp_path)
    client = client_of(server)
    client.create_bucket(Bucket="trades")
    client.put_object(Bucket="trades", Key="a", Body=b"a")
    assert server.stop() == 0
    with open_node(server.data) as node:  # of a version that left such names to anybody: without locks
        commit(node, [Tail(op="bucket.create", actor=Actor(SYSTEM), origin=HERE, object=ObjectRef(BUCKET))])
    server.start()
    made = produced(server, tmp_path / "out")
    assert made.returncode == 2
    assert "cannot be kept under lock: Bucket is missing Object Lock Configuration; mend that" in made.stderr
    assert server.cli("records", "--op", "production.complete", "--count").stdout.strip() == "0"
    assert verdict(tmp_path / "out")["findings"][0]["why"] == "no manifest names this file: it was added"
    client.delete_bucket(Bucket=BUCKET)
    made = produced(server, tmp_path / "out")
    assert made.returncode == 0, made.stderr
    assert verdict(tmp_path / "out")["result"] == "good"
    client.close()
    assert server.stop() == 0
