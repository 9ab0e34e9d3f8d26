"""What ``compose/*.yaml`` make of their services where they are used together, as ``docker compose -f … -f …`` does."""

from __future__ import annotations

from typing import Any

import yaml

from tests.readme import ROOT


def services(*names: str) -> dict[str, dict[str, Any]]:
    """The services of these files; of one that is in several, settings of the later file count."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        for service, said in yaml.safe_load((ROOT / "compose" / name).read_text())["services"].items():
            before = found.get(service, {})
            environment = before.get("environment", {}) | said.get("environment", {})
            found[service] = {**before, **said, "environment": environment}
    return found


def kafka_settings() -> dict[str, str]:
    """Kafka's own settings in ``kafka.yaml``, named as the image names them: ``KAFKA_A_B`` is ``a.b``."""
    environment = services("kafka.yaml")["kafka"]["environment"]
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_")
    }
