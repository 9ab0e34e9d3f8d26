"""SIGHUP as an operator meets it: what is new is in force and on record, what is wrong changes nothing."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import ssl
import subprocess
import time
from contextlib import closing
from hashlib import sha256
from http.client import HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.doubles.certificates import Authority, fingerprint
from tests.integration.served import PATIENCE, STRONGROOM, UNDISTURBED, Server, command, environment

if TYPE_CHECKING:
    from collections.abc import Iterator


RELOADED = "INFO audit.reload: reloaded: "


class Secured(Server):
    """A server with TLS on both ports, whose configuration is a file that can be changed."""

    def __init__(self, root: Path) -> None:
        self.authority = Authority(root)
        self.files = {name: self.authority.issue(name) for name in ("s3", "audit")}
        self.config = root / "strongroom.toml"
        self.configure()
        super().__init__(root, {"STRONGROOM_CONFIG": str(self.config), **UNDISTURBED})

    def configure(self, more: str = "", **sections: str) -> None:
        """Write the configuration: ``more``, and more of a section."""
        text = more
        for name, (cert, key) in self.files.items():
            text += f'\n[{name}]\ntls_cert_file = "{cert}"\ntls_key_file = "{key}"\n{sections.get(name, "")}\n'
        self.config.write_text(text)

    def hang_up(self, log: str) -> str:
        """Send SIGHUP, and wait for another line of the log that holds this; it is returned."""
        before = self.errors.count("\n")
        os.kill(self.pid, signal.SIGHUP)
        end = time.monotonic() + PATIENCE
        while True:
            lines = self.errors.splitlines()[before:]
            found = [line for line in lines if log in line]
            if found:
                assert lines == found, "one reload, one line"
                return found[0]
            assert time.monotonic() < end, self.errors
            time.sleep(0.02)

    def shown(self, name: str) -> str:
        """Fingerprint of the certificate that a port shows to a new connection."""
        place = (self.endpoint if name == "s3" else self.audit_endpoint).partition("://")[2]
        asked = subprocess.run(
            ["openssl", "s_client", "-connect", place], input="", capture_output=True, text=True, check=False
        ).stdout
        pem = asked[asked.index("-----BEGIN") :]
        read = ["openssl", "x509", "-noout", "-fingerprint", "-sha256"]
        told = subprocess.run(read, input=pem, capture_output=True, text=True, check=True).stdout
        return told.strip().partition("=")[2].replace(":", "").lower()

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.ca)

    def warnings(self) -> list[str]:
        ready = httpx.get(f"{self.audit_endpoint}/readyz", verify=self.trust).json()
        return [text for text in ready["warnings"] if "reload" in text]

    def records(self) -> list[dict[str, Any]]:
        """Every ``server.reload``, as an export shows it: one for each reload that the log tells of."""
        told, out, end = self.errors.count(RELOADED), self.data.with_name("export"), time.monotonic() + PATIENCE
        while True:
            shutil.rmtree(out, ignore_errors=True)
            assert self.cli("log", "export", "site-a.node-1", out).returncode == 0
            found = [json.loads(entry) for entry in entries(out)]
            reloads = [record for record in found if record["op"] == "server.reload"]
            if len(reloads) >= told:
                assert len(reloads) == told
                return reloads
            assert time.monotonic() < end
            time.sleep(0.1)


def entries(out: Path) -> Iterator[bytes]:
    """The records of an export."""
    for bundle in sorted(path for path in (out / "tile/entries").rglob("[0-9]*") if path.is_file()):
        data = bundle.read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            yield data[2 : 2 + length]
            data = data[2 + length :]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    served = Secured(tmp_path_factory.mktemp("secured"))
    yield served
    assert served.stop() == 0, served.errors
    verified = command("verify", served.data, "--json")
    assert (verified.returncode, json.loads(verified.stdout)["result"]) == (0, "good"), verified.stdout


def ask(kept: HTTPSConnection) -> tuple[int, str]:
    """Ask over a connection that is kept; the status, and the certificate that it was made under."""
    kept.request("GET", "/healthz")
    answer = kept.getresponse()
    answer.read()
    certificate = kept.sock.getpeercert(binary_form=True)
    assert isinstance(certificate, bytes)
    return answer.status, sha256(certificate).hexdigest()


def test_new_certificates_are_for_new_connections_and_on_record(server: Secured) -> None:
    before = {name: server.shown(name) for name in server.files}
    place = urlsplit(server.audit_endpoint)
    with closing(HTTPSConnection(str(place.hostname), place.port, context=server.trust)) as kept:
        assert ask(kept) == (200, before["audit"])
        renewed = {name: fingerprint(server.authority.issue(name)[0]) for name in server.files}
        told = server.hang_up(RELOADED)
        assert {name: server.shown(name) for name in server.files} == renewed != before
        assert ask(kept) == (200, before["audit"])
    assert all(one in told for one in renewed.values())
    record = server.records()[-1]
    assert {name: record["server"][name] for name in renewed} == {
        name: {"certificate": one} for name, one in renewed.items()
    }
    assert record["outcome"] == "success"
    assert record["actor"] == {"id": "system"}


@pytest.mark.parametrize("wrong", ["s3", "audit"])
def test_a_bad_new_file_of_one_port_changes_neither_and_says_so(server: Secured, wrong: str) -> None:
    before, recorded = {name: server.shown(name) for name in server.files}, len(server.records())
    for name in server.files:
        server.authority.issue(name)
    key = server.files[wrong][1]
    good, (_, other) = key.read_bytes(), server.authority.issue("other")
    key.write_bytes(other.read_bytes())
    told = server.hang_up("ERROR audit.reload: the last reload was refused")
    assert f"{wrong}.tls_key_file = '{key}' is not the key of" in told
    assert {name: server.shown(name) for name in server.files} == before
    assert len(server.records()) == recorded
    (warning,) = server.warnings()
    assert warning in told
    key.write_bytes(good)
    server.hang_up(RELOADED)
    assert server.warnings() == []


@pytest.mark.parametrize(
    ("more", "sections", "says"),
    [
        ("[disk]\nreserve_mib = 9", {}, "disk.reserve_mib can be changed by a restart only"),
        ("", {"s3": 'region = "eu-north-1"'}, "s3.region can be changed by a restart only"),
        ("[limits]\nidle_s = 0", {}, "limits.idle_s: Expected `int` >= 1"),
        ("[limits]\nconnections = 65536", {}, "limits.connections"),
        ("[limitz]\nidle_s = 1", {}, "there is no setting 'limitz.idle_s'"),
    ],
    ids=["disk", "region", "range", "descriptors", "unknown"],
)
def test_a_configuration_that_cannot_be_taken_whole_is_not_taken_in_part(
    server: Secured, more: str, sections: dict[str, str], says: str
) -> None:
    before = {name: server.shown(name) for name in server.files}
    for name in server.files:
        server.authority.issue(name)
    server.configure(more, **sections)
    assert says in server.hang_up("ERROR audit.reload: ")
    assert {name: server.shown(name) for name in server.files} == before
    server.configure()
    server.hang_up(RELOADED)


def test_tls_is_not_given_up_by_a_reload(server: Secured) -> None:
    files, server.files = server.files, {"s3": server.files["s3"]}
    server.configure()
    assert "TLS of audit is begun or ended by a restart only" in server.hang_up("ERROR audit.reload: ")
    server.files = files
    server.configure()
    server.hang_up(RELOADED)


def test_limits_are_for_new_connections(server: Secured) -> None:
    server.configure("[limits]\nidle_s = 1\n")
    server.hang_up(RELOADED)
    place = server.audit_endpoint.partition("://")[2]
    idle = subprocess.run(  # it ends by itself, because the server closes
        ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", place], stdin=subprocess.PIPE, timeout=PATIENCE,
        capture_output=True, check=False,
    )  # fmt: skip
    assert idle.stdout == b""
    server.configure()
    server.hang_up(RELOADED)


def test_a_client_authority_is_asked_for_from_then_on_and_sessions_do_not_outlive_the_change(
    server: Secured, tmp_path: Path
) -> None:
    url, place = f"{server.audit_endpoint}/healthz", server.audit_endpoint.partition("://")[2]
    session = str(tmp_path / "session")

    def resumed() -> bool:
        """Ask with TLS 1.2 (whose sessions are whole at once) and an old session, if there is one; was it resumed?"""
        old = ["-sess_in", session] if Path(session).exists() else []
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        asked = subprocess.run(
            ["openssl", "s_client", "-tls1_2", "-ign_eof", "-connect", place, "-sess_out", session, *old],
            input=request, capture_output=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        answered = b"HTTP/1.1 200" in asked.stdout
        return answered and b"\nReused, " in asked.stdout

    assert not resumed()
    assert resumed(), "without a change a session goes on"
    home = tmp_path / "clients"
    home.mkdir()
    clients = Authority(home)
    server.configure(audit=f'tls_client_ca_file = "{clients.ca}"')
    server.hang_up(RELOADED)
    assert not resumed()
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, verify=server.trust)
    shown = server.trust
    shown.load_cert_chain(*clients.issue("client"))
    assert httpx.get(url, verify=shown).status_code == 200
    assert len(server.records()[-1]["server"]["audit"]["clients"]) == 64
    server.configure()
    server.hang_up(RELOADED)
    assert httpx.get(url, verify=server.trust).status_code == 200


def test_doctor_says_once_what_expires_and_what_the_next_start_would_refuse(server: Secured) -> None:
    def told() -> list[str]:
        found = command("doctor", "--data", server.data, env={"STRONGROOM_CONFIG": str(server.config)})
        return [line for line in found.stdout.splitlines() if "tls_" in line]

    expiring = told()
    assert [line.partition(" = ")[0] for line in expiring] == [
        "advice: the certificate of s3.tls_cert_file",
        "advice: the certificate of audit.tls_cert_file",
    ]
    assert all("expires on " in line and "SIGHUP" in line for line in expiring)
    server.files["audit"][1].chmod(0o644)
    assert told()[0].partition(" = ")[0] == "problem: audit.tls_key_file"
    server.files["audit"][1].chmod(0o600)


def test_many_signals_at_once_end_in_the_newest_files(server: Secured) -> None:
    renewed = ""
    for _ in range(5):
        renewed = fingerprint(server.authority.issue("s3")[0])
        os.kill(server.pid, signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while server.shown("s3") != renewed:
        assert time.monotonic() < end, server.errors
        time.sleep(0.1)


@pytest.mark.parametrize("outlive", [False, True], ids=["alone", "nohup"])
def test_a_terminal_that_closes_stops_what_was_started_there_unless_it_was_to_outlive_it(
    tmp_path: Path,
    outlive: bool,  # noqa: FBT001 - a table's column
) -> None:
    data, errors = tmp_path / "data", tmp_path / "stderr"
    assert command("init", "--data", data).returncode == 0
    terminal, end = pty.openpty()
    nohup, free = ["nohup"] if outlive else [], ["--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0"]
    with errors.open("w") as log, subprocess.Popen(
        ["setsid", "--ctty", *nohup, STRONGROOM, "serve", "--data", data, *free],
        stdin=end, stdout=subprocess.PIPE, stderr=log, env=environment({}),
    ) as started:  # fmt: skip
        os.close(end)
        assert started.stdout is not None
        assert b"is ready" in started.stdout.readline()
        started.send_signal(signal.SIGHUP)  # with its terminal still there
        await_text(errors, RELOADED, 1)
        os.close(terminal)
        if outlive:
            started.send_signal(signal.SIGHUP)  # nohup passes on none, and somebody asks again
            await_text(errors, RELOADED, 2)
            started.terminate()
        assert started.wait(PATIENCE) == 0, errors.read_text()
    assert "INFO audit.node: stopped: " in errors.read_text()


def await_text(file: Path, text: str, times: int) -> None:
    end = time.monotonic() + PATIENCE
    while file.read_text().count(text) < times:
        assert time.monotonic() < end, file.read_text()
        time.sleep(0.02)
