"""Who asks for productions over the audit port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.integration.served import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

ASKED = {"bucket": "trades", "reason": "request 7"}


class Officer:
    """Asks as the holder of one token."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        self.http, self.headers = http, {"authorization": f"Bearer {token}"}

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=self.headers | headers)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=self.headers | headers)

    def begin(self, **asked: Any) -> str:
        answer = self.post("/v1/productions", ASKED | asked)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/productions/{answer.json()['id']}"
        return str(answer.json()["id"])

    def standing(self, production: str) -> Any:
        answer = self.get(f"/v1/productions/{production}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, production: str, wanted: Callable[[Any], bool]) -> Any:
        """How it stands, once it stands as wanted."""
        end = time.monotonic() + PATIENCE
        while not wanted(found := self.standing(production)):
            assert time.monotonic() < end, found
            time.sleep(0.1)
        return found

    def done(self, production: str) -> Any:
        found = self.until(production, lambda one: one["state"] != "running")
        assert found["state"] == "kept", found
        return found


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].removeprefix("urn:strongroom:problem:")
