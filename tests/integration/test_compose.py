"""The container's health check, against a real server; nothing here needs a container engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.doubles.certificates import Authority
from tests.integration.served import Server
from tests.readme import ROOT

if TYPE_CHECKING:
    from pathlib import Path

COMPOSE = (ROOT / "compose" / "compose.yaml").read_text()


def healthy(url: str) -> bool:
    """Run the health check's program, with the address of a server outside a container."""
    (line,) = re.findall(r"^ +test: (\[.*\])$", COMPOSE, re.MULTILINE)
    kind, _, *arguments = json.loads(line)
    assert kind == "CMD"
    program = [argument.replace("https://127.0.0.1:9001", url) for argument in arguments]
    assert program != arguments
    return subprocess.run([sys.executable, *program], capture_output=True, check=False).returncode == 0


def test_the_image_has_the_same_health_check_no_installer_and_no_root() -> None:
    text = (ROOT / "compose" / "Dockerfile").read_text()
    (line,) = re.findall(r"^ +test: \[\"CMD\", (.*)\]$", COMPOSE, re.MULTILINE)
    assert f"CMD [{line}]" in text
    final = text.rpartition("\nFROM ")[2]
    assert "pip uninstall --yes pip" in final
    assert "pip install" not in final
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001"]


def test_the_health_check_tells_ready_from_not(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("server")
    tls = {f"STRONGROOM_AUDIT__TLS_{name}_FILE": str(path) for name, path in (("CERT", cert), ("KEY", key))}
    served = Server(tmp_path, tls)
    assert healthy(served.audit_endpoint)
    assert served.stop() == 0
    assert not healthy(served.audit_endpoint)
    served.start({"STRONGROOM_DISK__RESERVE_MIB": str(1 << 29)})  # alive, and not ready: it takes no writes
    assert not healthy(served.audit_endpoint)
    served.stop()
