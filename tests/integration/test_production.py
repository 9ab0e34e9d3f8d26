"""Productions from a real server: whole, checked by a stranger, and every way of lying in one is named."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from tests.doubles.forgeries import FORGERIES, reseal
from tests.integration.served import PATIENCE, STRONGROOM, Server

pytestmark = pytest.mark.timeout(240)  # commands start slowly on a busy machine

STREAM = "site-a.node-1"
LOG = f"data/logs/{STREAM}"
EVIL = '2026/<script>alert(1)</script> "é'


@pytest.fixture(scope="module")
def filled(server: Server, s3: Any) -> Server:
    """Objects of every kind: small, large, multipart, removed, overwritten, hidden, evil names; and those of others."""
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=30)}
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    s3.create_bucket(Bucket="private")
    for body in (b"not theirs", b"not theirs either"):  # the second one replaces the first
        s3.put_object(Bucket="private", Key="2026/secret", Body=body)
    s3.put_object(Bucket="trades", Key="2026/empty", Body=b"")
    s3.put_object(Bucket="trades", Key="2026/a.json", Body=b"one", **lock)
    s3.put_object(Bucket="trades", Key="2026/a.json", Body=b"two")
    s3.put_object(Bucket="trades", Key="2026/large.bin", Body=os.urandom(2_500_000))
    s3.put_object(Bucket="trades", Key=EVIL, Body=b"evil")
    s3.put_object(Bucket="trades", Key="2025/old", Body=b"of another year")
    upload = s3.create_multipart_upload(Bucket="trades", Key="2026/parts")["UploadId"]
    named = {"Bucket": "trades", "Key": "2026/parts", "UploadId": upload}
    etags = [
        s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, b"a" * (5 << 20)), (3, b"b" * 99))
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in zip((1, 3), etags, strict=True)]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    gone = s3.put_object(Bucket="trades", Key="2026/gone", Body=b"bye")["VersionId"]
    s3.delete_object(Bucket="trades", Key="2026/gone", VersionId=gone)
    s3.delete_object(Bucket="trades", Key="2026/a.json")
    return server


def produce(server: Server, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return server.cli(
        "production", "create", "--bucket", "trades", "--reason", "request 7", "--dir", out, "--json", *options
    )


@pytest.fixture(scope="module")
def production(filled: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("production") / "out"
    assert produce(filled, out.with_name("another"), "--prefix", "2026/").returncode == 0  # is in what is asked for
    made = produce(filled, out, "--prefix", "2026/")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["versions"] == 7
    return out


def verified(root: Path, *options: str | Path) -> dict[str, Any]:
    """What the verifier inside the production says of it, in an environment that has nothing."""
    said = subprocess.run(
        [sys.executable, "-I", "-S", root / "strongroom-verify.pyz", root, "--json", *options],
        capture_output=True, text=True, check=False, timeout=PATIENCE, env={}, cwd="/",
    )  # fmt: skip
    found: dict[str, Any] = json.loads(said.stdout)
    assert said.returncode == {"good": 0, "bad": 1, "unchecked": 2}[found["result"]]
    return found


def test_a_stranger_finds_it_good(production: Path) -> None:
    found = verified(production)
    assert (found["result"], found["findings"]) == ("good", [])
    assert (found["counts"]["versions"], found["counts"]["natives"]) == (7, 6)
    assert [state["name"] for state in found["states"]] == ["complete"]
    assert any(note.startswith("by trust: ") for note in found["notes"])


def test_a_key_from_outside_vouches_for_it(filled: Server, production: Path, tmp_path: Path) -> None:
    (tmp_path / "vkey").write_text(filled.cli("log", "vkey", STREAM).stdout)
    assert verified(production, "--vkey", tmp_path / "vkey")["anchored"] is True
    assert verified(production, "--vkey", production / LOG / "vkey")["anchored"] is False  # it came with it
    saved = tmp_path / "checkpoint"
    shutil.copy(production / LOG / "checkpoint", saved)
    assert verified(production, "--checkpoint", saved)["anchored"] is True


def test_another_user_can_check_it(production: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    shutil.copytree(production, tmp_path / "copy")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    python = Path(os.path.realpath(sys.executable))
    if any(not parent.stat().st_mode & 0o001 for parent in python.parents):
        python = Path(shutil.which("python3", path="/usr/bin:/usr/local/bin") or "")
    reachable = python.exists() and subprocess.run(
        [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], user=65534, check=False
    ).returncode == 0  # fmt: skip
    if not reachable or any(not parent.stat().st_mode & 0o001 for parent in tmp_path.parents):
        place, python = Path("/var/tmp/strongroom-stranger"), python if reachable else Path("/usr/bin/python3")  # noqa: S108
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(tmp_path / "copy", place)
        place.chmod(0o755)
    else:
        place = tmp_path / "copy"
    try:
        said = subprocess.run(
            [python, "-I", place / "strongroom-verify.pyz", place],
            capture_output=True, text=True, check=False, user=65534, group=65534, extra_groups=[], env={}, cwd="/",
        )  # fmt: skip
    finally:
        if place != tmp_path / "copy":
            shutil.rmtree(place)
    assert said.returncode == 0, said.stdout + said.stderr


def test_sha256sum_knows_the_manifests(production: Path) -> None:
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", manifest], cwd=production, check=True)


def test_the_ledger_tells_of_it_with_its_digest(filled: Server, production: Path) -> None:
    about = json.loads((production / "data/production.json").read_text())
    said = filled.cli("records", "--op", "production.complete", "--oldest-first", "--ndjson", "--all").stdout
    (done,) = [each for each in map(json.loads, said.splitlines()) if each["production"]["id"] == about["id"]]
    assert done["production"]["digest"] == sha256((production / "tagmanifest-sha256.txt").read_bytes()).hexdigest()
    assert (done["production"]["natives"], done["production"]["failed"]) == (6, 0)
    assert done["actor"]["person"] == about["by"]["person"]
    assert done["ref"] == about["snapshot"]


def test_nothing_of_others_is_in_natives_and_tables(production: Path) -> None:
    bodies = {path.read_bytes() for path in (production / "data/natives").iterdir()}
    assert {b"one", b"two", b"evil", b""} <= bodies
    assert not any(b"not theirs" in body or b"another year" in body for body in bodies)
    rows = list(csv.DictReader(io.StringIO((production / "data/versions.csv").read_text())))
    assert [row["state"] for row in rows].count("removed") == 1
    steps = list(csv.DictReader(io.StringIO((production / "data/trail.csv").read_text())))
    of_a = [row["op"] for row in steps if row["n"] == rows[1]["n"]]
    assert of_a == ["object.put", "object.delete"]  # what hid it is in its trail


def test_the_page_needs_nothing_from_elsewhere_and_shows_names_as_text(production: Path) -> None:
    data = (production / "data/index.html").read_text()
    page: Any = html.fromstring(data)
    assert not page.xpath("//*[@src] | //link | //iframe | //img | //object | //@*[starts-with(name(), 'on')]")
    assert "default-src 'none'" in data
    links = page.xpath("//a/@href")
    assert len(links) == 6
    assert all((production / "data" / link).is_file() for link in links)
    assert EVIL in page.text_content()
    assert len(page.xpath("//script")) == 1


def test_the_page_for_paper_has_the_same_names_as_text(production: Path) -> None:
    said = subprocess.run(
        ["pdftotext", "-layout", production / "data/index.pdf", "-"], capture_output=True, check=True, encoding="utf-8"
    )
    for row in csv.DictReader(io.StringIO((production / "data/versions.csv").read_text())):
        assert re.search(rf"^{row['n']} +{re.escape(row['key'])} +{row['version_id']}", said.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", FORGERIES)
def test_every_forgery_is_named_also_by_who_makes_the_manifests_anew(
    production: Path, tmp_path: Path, name: str
) -> None:
    forge, why = FORGERIES[name]
    copy = tmp_path / "copy"
    shutil.copytree(production, copy)
    forge(copy)
    plain = verified(copy)
    assert plain["result"] == "bad"
    assert any("manifest" in each["why"] for each in plain["findings"])
    reseal(copy)
    found = verified(copy)
    assert found["result"] == "bad", found
    assert any(part in each["why"] for each in found["findings"] for part in why.split("|")), found["findings"]


@pytest.mark.parametrize("name", ["tagmanifest-sha256.txt", "manifest-sha256.txt", "data/production.json"])
def test_without_what_holds_it_together_it_is_bad(production: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(production, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    found = verified(tmp_path / "copy")
    assert found["result"] == "bad"
    assert found["first_bad"]["place"].endswith(name)


@pytest.mark.parametrize(
    "name",
    ["data/production.json", "data/versions.ndjson", f"{LOG}/records.ndjson", f"{LOG}/checkpoint",
     "manifest-sha256.txt"],
)  # fmt: skip
def test_any_cut_is_bad_and_never_a_traceback(production: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(production, tmp_path / "copy")
    path = tmp_path / "copy" / name
    whole = path.read_bytes()
    for keep in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:keep])
        if name != "manifest-sha256.txt":
            reseal(tmp_path / "copy")
        found = verified(tmp_path / "copy")
        assert found["result"] == "bad", (keep, found)
        assert "internal error" not in found["unchecked"]


def test_a_period_shows_its_edges(filled: Server, tmp_path: Path) -> None:
    said = filled.cli("records", "--op", "object.put", "--bucket", "trades", "--oldest-first", "--ndjson").stdout
    times = [json.loads(line)["time"] for line in said.splitlines()]
    for number, (options, count) in enumerate(
        [
            (("--from", times[1], "--to", times[3]), 2),
            (("--from", times[-1]), 1),
            (("--to", times[0]), 0),
            (("--from", "2020-01-01", "--to", "2020-02-01"), 0),
            (("--from", "2099-01-01"), 0),
        ]
    ):
        out = tmp_path / str(number)
        made = produce(filled, out, *options)
        assert json.loads(made.stdout)["versions"] == count, made
        found = verified(out)
        assert (found["result"], found["counts"]["versions"]) == ("good", count), found
    few = json.loads((tmp_path / "0/data/production.json").read_text())["streams"][0]
    assert few["records"] < few["size"]


def test_only_matching_leaves_others_out_and_says_what_that_costs(filled: Server, tmp_path: Path) -> None:
    made = produce(filled, tmp_path / "out", "--prefix", "2026/a", "--only-matching")
    assert made.returncode == 0, made.stderr
    assert b"secret" not in (tmp_path / "out" / LOG / "records.ndjson").read_bytes()
    found = verified(tmp_path / "out")
    assert found["result"] == "good"
    assert found["states"] == []
    assert any("nobody can check here" in note for note in found["notes"])


def test_a_production_goes_on_after_a_kill_and_comes_out_the_same(filled: Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ["production", "create", "--bucket", "trades", "--reason", "killed", "--dir", str(out)]
    command = [str(STRONGROOM), *asked, "--data", str(filled.data)]
    filled.stop()
    try:
        for delay in (0.9, 1.3, 1.7):  # somewhere in opening, in natives, in the pages: a kill may come anywhere
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as making:
                try:
                    making.wait(delay)
                except subprocess.TimeoutExpired:
                    making.send_signal(signal.SIGKILL)
            if (out / "tagmanifest-sha256.txt").exists() and not (out / ".unfinished.json").exists():
                break
        else:
            done = filled.cli(*asked)
            assert done.returncode == 0, done.stderr
    finally:
        filled.start()
    assert verified(out)["result"] == "good"
    again = filled.cli(*asked)
    assert again.returncode == 2
    assert "is not empty; give a new directory" in again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bucket", "trades", "--reason", " "), "reason: 1 to 500 printable characters"),
        (("--bucket", "trades", "--reason", "r", "--from", "soon"), "from: 'soon' is no time"),
        (("--bucket", "trades", "--reason", "r", "--from", "2026-02-01", "--to", "2026-01-01"), "`to` is not after"),
        (("--bucket", "", "--reason", "r"), "bucket: 1 to 1024 characters"),
    ],
)
def test_what_cannot_be_asked_makes_nothing(
    filled: Server, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    made = filled.cli("production", "create", "--dir", tmp_path / "out", *options)
    assert made.returncode == 2
    assert said in made.stderr
    assert not (tmp_path / "out").exists()


def test_a_directory_of_somebody_elses_is_left_alone(filled: Server, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    made = produce(filled, tmp_path)
    assert made.returncode == 2
    assert "is not empty" in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
