"""Programs of others at ports that ask for a certificate: openssl, curl, boto3."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.doubles.certificates import Authority
from tests.integration.served import Server
from tests.strangers.conftest import PATIENCE, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Guarded(NamedTuple):
    """A vault whose ports both let in only clients of ``clients``."""

    server: Server
    clients: Authority
    ca: Path
    home: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = tmp_path_factory.mktemp("guarded")
    authority, clients = Authority(root), Authority(root, "clients")
    certificate, key = authority.issue("server")
    env = {}
    for port in ("S3", "AUDIT"):
        env[f"STRONGROOM_{port}__TLS_CERT_FILE"] = str(certificate)
        env[f"STRONGROOM_{port}__TLS_KEY_FILE"] = str(key)
        env[f"STRONGROOM_{port}__TLS_CLIENT_CA_FILE"] = str(clients.ca)
    server = Server(root, env)
    yield Guarded(server, clients, authority.ca, root)
    assert server.stop() == 0, server.errors


def run(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in arguments], input=stdin, capture_output=True, text=True, timeout=PATIENCE,
        check=False, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


@pytest.mark.parametrize("port", ["s3", "audit"])
def test_openssl_speaks_only_what_is_modern_and_only_with_a_certificate(guarded: Guarded, port: str) -> None:
    endpoint = guarded.server.endpoint if port == "s3" else guarded.server.audit_endpoint
    cert, key = guarded.clients.issue(f"openssl-{port}")
    request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    asking: list[str | Path] = [tool("openssl"), "s_client", "-connect", endpoint.partition("://")[2], "-ign_eof"]
    asking += ["-CAfile", guarded.ca, "-verify_return_error"]
    for version, cipher, good in (
        ("-tls1_3", "ALL", True),
        ("-tls1_2", "ALL", True),
        ("-tls1_2", "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("-tls1_2", "ECDHE-ECDSA-AES128-SHA256", False),
        ("-tls1_2", "ECDHE-ECDSA-AES128-SHA", False),
        ("-tls1_1", "ALL", False),
    ):
        shown: list[str | Path] = ["-cert", cert, "-key", key, version, "-cipher", f"{cipher}:@SECLEVEL=0"]
        answer = run(*asking, *shown, stdin=request)
        assert ("HTTP/1.1 " in answer.stdout) is good, answer.stdout + answer.stderr
    assert "HTTP/1.1 " not in run(*asking, stdin=request).stdout


@pytest.mark.parametrize("port", ["s3", "audit"])
def test_curl_is_let_in_with_a_certificate_of_the_right_authority_alone(guarded: Guarded, port: str) -> None:
    endpoint = guarded.server.endpoint if port == "s3" else guarded.server.audit_endpoint
    path, status = ("/", "403") if port == "s3" else ("/readyz", "200")  # 403: it is in, and has not signed
    asking: list[str | Path] = [
        tool("curl"),
        "--silent",
        "--show-error",
        "--cacert",
        guarded.ca,
        "--write-out",
        "%{http_code}",
    ]
    asking += ["--output", "/dev/null", f"{endpoint}{path}"]
    cert, key = guarded.clients.issue(f"curl-{port}")
    good = run(*asking, "--cert", cert, "--key", key)
    assert (good.returncode, good.stdout) == (0, status)
    (guarded.home / "elsewhere").mkdir(exist_ok=True)
    other, other_key = Authority(guarded.home / "elsewhere", "clients").issue("intruder")
    for refused in (run(*asking), run(*asking, "--cert", other, "--key", other_key)):
        assert refused.returncode != 0
        assert refused.stdout == "000"
    plain = run(tool("curl"), "--silent", f"http://{endpoint.partition('://')[2]}{path}")
    assert (plain.returncode != 0, plain.stdout) == (True, "")


def client(guarded: Guarded, secret: str, shown: tuple[Path, Path] | None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=guarded.server.endpoint,
        aws_access_key_id=guarded.server.access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        verify=str(guarded.ca),
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            client_cert=tuple(map(str, shown)) if shown else None,
        ),
    )


def test_boto3_needs_both_its_certificate_and_its_signature(guarded: Guarded) -> None:
    shown = guarded.clients.issue("boto3")
    both = client(guarded, guarded.server.secret_key, shown)
    both.create_bucket(Bucket="guarded")
    both.put_object(Bucket="guarded", Key="k", Body=b"v")
    assert both.get_object(Bucket="guarded", Key="k")["Body"].read() == b"v"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(guarded, "another-secret", shown).list_buckets()
    with pytest.raises(BotoCoreError):
        client(guarded, guarded.server.secret_key, None).list_buckets()
