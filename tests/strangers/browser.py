"""One page in headless Chromium, driven by the DevTools protocol over a pipe, in a network that has nobody in it.

The pipe is two file descriptors, with a zero byte after each message (``--remote-debugging-pipe``): no port, so that
the browser can be started without any network interface, and whatever it asks for besides the page is seen here.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from base64 import b64decode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How long the browser may take for one thing on a busy machine, in seconds.
PATIENCE = 90
#: The descriptors that the browser reads and writes; the shell puts ours there.
_START = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'


class Page:
    """A page that was opened.

    Attributes:
        asked: The URL of every request that it made, the one for itself first.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.asked: list[str] = []
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._sent = 0
        self._session = ""
        self._loaded = False

    def open(self, url: str) -> None:
        """Open a URL and wait until it is loaded."""
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self._do(f"{domain}.enable")
        self._loaded = False
        self._do("Page.navigate", url=url)
        while not self._loaded:
            self._heard(self._next())

    def value(self, expression: str) -> Any:
        """What a JavaScript expression has for its value, as JSON."""
        found = self._do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of what a selector finds."""
        x, y = self.value(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return b64decode(self._do("Page.printToPDF", preferCSSPageSize=True)["data"])

    def _do(self, method: str, **params: Any) -> Any:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._sent:
            self._heard(answer)
        assert "result" in answer, answer
        return answer["result"]

    def _heard(self, event: Any) -> None:
        match event["method"]:
            case "Network.requestWillBeSent":
                self.asked.append(event["params"]["request"]["url"])
            case "Page.loadEventFired":
                self._loaded = True

    def _next(self) -> Any:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            left = end - time.monotonic()
            assert left > 0, "the browser says nothing"
            assert select.select([self._answers], [], [], left)[0], "the browser says nothing"
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def opened(url: str, home: Path) -> Iterator[Page]:
    """Open a page in a browser of its own, which has no network.

    Args:
        url: Of the page.
        home: An empty directory for what a browser keeps.
    """
    root = os.getuid() == 0
    network = ["unshare", "--net", *(() if root else ("--map-current-user",))]
    browser = ["chromium", "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={home / 'profile'}"]
    browser += ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", *(("--no-sandbox",) if root else ())]
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    with (home / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            ["bash", "-c", _START, "bash", str(theirs_in), str(theirs_out), *network, *browser],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"},
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Page(commands, answers)
        page.open(url)
        yield page
    finally:
        os.close(commands)  # the browser ends with its pipe
        os.close(answers)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
