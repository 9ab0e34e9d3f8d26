"""``strongroom serve`` as its operator meets it."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.served import PATIENCE, Server, command

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_that_is_no_vault_is_not_served(tmp_path: Path) -> None:
    refused = command("serve", "--data", tmp_path)
    assert refused.returncode == 2
    assert f"strongroom init --data {tmp_path}" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["--s3", "--audit"])
def test_plaintext_beyond_loopback_is_not_served(server: Server, port: str) -> None:
    refused = server.cli("serve", port, "0.0.0.0:0")
    assert refused.returncode == 2
    assert "plaintext is refused" in refused.stderr


def test_a_port_in_use_is_named(server: Server) -> None:
    taken = server.endpoint.rpartition("/")[2]
    refused = server.cli("serve", "--s3", taken, "--audit", "127.0.0.1:0")
    assert refused.returncode == 2
    assert f"s3.listen: '{taken}' cannot be bound" in refused.stderr


def test_a_second_server_on_the_same_directory_is_refused(server: Server) -> None:
    refused = server.cli("serve", "--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0")
    assert refused.returncode == 2
    assert "is open in another process" in refused.stderr


def test_the_audit_port_tells_health_and_log(server: Server) -> None:
    with httpx.Client(base_url=server.audit_endpoint) as audit:
        assert audit.get("/healthz").status_code == 200
        ready = audit.get("/readyz")
        assert ready.status_code == 200
        assert any(warning.startswith("anchor=local") for warning in ready.json()["warnings"])
        assert "\nstrongroom_ready{" in audit.get("/metrics").text
        (stream,) = audit.get("/v1/log").json()["streams"]
        note = audit.get(f"/v1/log/{stream['name']}/checkpoint")
        assert note.headers["content-type"] == "text/plain; charset=utf-8"
        origin, size, _ = note.text.split("\n", 2)
        assert origin == stream["origin"]
        assert len(audit.get(f"/v1/log/{stream['name']}/tile/0/000.p/{size}").content) == 32 * int(size)
        assert audit.get(f"/v1/log/{stream['name']}/tile/entries/000.p/{size}").status_code == 401


def test_what_is_stored_is_recorded_under_the_reference_of_the_answer(server: Server, s3: Any) -> None:
    s3.create_bucket(Bucket="trades")
    answer = s3.put_object(Bucket="trades", Key="ticket", Body=b"buy")
    stream, seq, leaf = answer["ResponseMetadata"]["HTTPHeaders"]["x-strongroom-record"].split("/")
    assert s3.get_object(Bucket="trades", Key="ticket")["Body"].read() == b"buy"
    assert stream == "site-a.node-1"
    assert int(seq) > 0
    assert len(leaf) == 64


def test_answers_do_not_name_the_server_software(server: Server) -> None:
    for endpoint in (server.endpoint, server.audit_endpoint):
        assert "server" not in httpx.get(endpoint).headers


def test_a_signal_stops_it_in_order_and_the_next_start_goes_on(server: Server, s3: Any) -> None:
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"v")
    before = httpx.get(f"{server.audit_endpoint}/readyz").json()
    assert server.stop() == 0
    _, sealed, _ = server.cli("log", "list").stdout.split("\t")
    assert int(sealed) > before["durable"]  # everything, the stop's own record included
    assert not (server.data / "views" / "socket").exists()
    server.start({"STRONGROOM_ROOT_ACCESS_KEY": "X", "STRONGROOM_ROOT_SECRET_KEY": "not-to-be-shown"})
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"v"
    assert httpx.get(f"{server.audit_endpoint}/readyz").json()["incarnation"] == before["incarnation"] + 1
    assert "STRONGROOM_ROOT_ACCESS_KEY is ignored" in server.errors
    assert "not-to-be-shown" not in server.errors


def test_its_log_tells_of_starts_and_stops_in_order_and_otherwise(tmp_path: Path) -> None:
    served = Server(tmp_path)
    assert "site-a.node-1: " in served.errors
    assert "records recovered, incarnation 2" in served.errors
    assert served.stop() == 0
    assert len(re.findall(r"INFO audit\.node: stopped: (\d+) records, \1 of them sealed\n", served.errors)) == 1
    served.start()
    assert "did not stop in order" not in served.errors
    served.kill()
    served.start()
    assert served.errors.count("WARNING audit.start: the last writer did not stop in order") == 1
    assert "incarnation 4" in served.errors
    assert served.stop() == 0


def test_it_recovers_from_being_killed(server: Server, s3: Any) -> None:
    s3.create_bucket(Bucket="durable")
    s3.put_object(Bucket="durable", Key="k", Body=b"v")
    server.kill()
    cut_short = server.data / "streams" / "site-a.node-1" / "checkpoint.0123456789abcdef.tmp"
    cut_short.write_bytes(b"strongroom/")
    server.start()
    assert s3.get_object(Bucket="durable", Key="k")["Body"].read() == b"v"
    assert not cut_short.exists()


def test_an_idle_connection_does_not_keep_it_from_stopping(server: Server) -> None:
    place = urlsplit(server.endpoint)
    with socket.create_connection((str(place.hostname), int(place.port or 0))) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\n")
        assert server.stop() == 0
    server.start()


def test_more_idle_connections_than_allowed_do_not_stop_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    served = Server(tmp_path, {"STRONGROOM_LIMITS__CONNECTIONS": "100"})
    place = urlsplit(served.endpoint)
    with ExitStack() as opened:
        for _ in range(1150):
            opened.enter_context(socket.create_connection((str(place.hostname), int(place.port or 0))))
        assert served.running
        assert httpx.get(served.endpoint).status_code == 503  # and it is answered, not left hanging
        assert httpx.get(f"{served.audit_endpoint}/readyz").status_code == 200
    end = time.monotonic() + PATIENCE
    while httpx.get(served.endpoint).status_code != 403:
        assert time.monotonic() < end, "it does not answer again"
        time.sleep(0.05)
    assert served.stop() == 0, served.errors
    assert "Traceback" not in served.errors


def test_an_interrupt_stops_it_too(tmp_path: Path) -> None:
    served = Server(tmp_path)
    os.kill(served.pid, signal.SIGINT)
    assert served.wait() == 0, served.errors


def test_a_disk_that_is_too_full_leaves_it_alive_and_not_ready(tmp_path: Path) -> None:
    served = Server(tmp_path)
    assert served.stop() == 0
    served.start({"STRONGROOM_DISK__RESERVE_MIB": str(1 << 29)})
    ready = httpx.get(f"{served.audit_endpoint}/readyz")
    assert ready.status_code == 503
    assert "disk.reserve_mib" in ready.json()["detail"]
    assert httpx.get(f"{served.audit_endpoint}/healthz").status_code == 200
    assert served.stop() == 0


def test_a_write_to_the_ledger_that_fails_ends_it_and_the_next_start_recovers(tmp_path: Path) -> None:
    served = Server(tmp_path)
    resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # no byte past the header
    with suppress(httpx.HTTPError):  # it may be cut off or answered, but not as if it had been recorded
        assert httpx.get(served.endpoint).status_code in {500, 503}
    assert served.wait() == 3, served.errors
    served.start()
    assert served.stop() == 0
