from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import AnchorUnavailable, LedgerCorrupt
from audit.log_lines import JsonLines, TextLines, exception_text, request_id
from vault.errors import S3Error

PROGRAM = """
import logging, sys, threading, warnings
from audit.log_lines import LogSection, write_lines
print(write_lines(LogSection({settings})))
{body}
"""

#: A callback that fails, and holds a name.
ASYNCIO = """
import asyncio
def callback(text):
    raise KeyError(text)
async def main():
    asyncio.get_running_loop().call_soon(callback, 'key-name')
    await asyncio.sleep(0.01)
asyncio.run(main())
"""


def line(message: str, *arguments: object, raised: BaseException | None = None, **members: object) -> logging.LogRecord:
    record = logging.LogRecord("audit.node", logging.WARNING, __file__, 1, message, arguments, None)
    record.created = 1_795_365_968.1234
    if raised is not None:
        record.exc_info = (type(raised), raised, raised.__traceback__)
    vars(record).update(members)
    return record


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_has_its_fields() -> None:
    record = line("%s: %d", "x", 3, request_id="A1", code="NoSuchKey", op="object.get", status=404, seconds=0.25)
    assert as_json(record) == {
        "time": "2026-11-22T16:46:08.123Z",
        "level": "warning",
        "logger": "audit.node",
        "message": "x: 3",
        "request_id": "A1",
        "code": "NoSuchKey",
        "op": "object.get",
        "status": 404,
        "seconds": 0.25,
    }
    assert TextLines().format(record) == (
        "2026-11-22T16:46:08.123Z WARNING audit.node: x: 3"
        " request_id=A1 code=NoSuchKey op=object.get status=404 seconds=0.25"
    )


def test_what_is_zero_is_told_and_what_is_not_known_is_not() -> None:
    assert as_json(line("x", sent_bytes=0, op=None)).keys() == {"time", "level", "logger", "message", "sent_bytes"}


def test_a_line_of_the_audit_port_has_the_id_of_the_request_that_caused_it() -> None:
    token = request_id.set("B2")
    try:
        assert as_json(line("x"))["request_id"] == "B2"
        assert as_json(line("x", request_id="A1"))["request_id"] == "A1"
    finally:
        request_id.reset(token)
    assert "request_id" not in as_json(line("x"))


@given(st.text(st.characters()))
def test_any_message_is_one_line(text: str) -> None:
    assert as_json(line("%s", text))["message"] == json.loads(json.dumps(text))
    shown = TextLines().format(line("%s", text))
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


@pytest.mark.parametrize(
    "error", [KeyError("key-name"), ValueError("key-name"), UnicodeDecodeError("a", b"k", 0, 1, "key-name")]
)
def test_words_of_what_is_not_ours_are_not_told(error: Exception) -> None:
    told = as_json(line("x", raised=raised(error)))["exception"]
    assert "key-name" not in told
    assert told.endswith(f"{type(error).__name__}\n")
    assert "test_log_lines.py" in told


@pytest.mark.parametrize(
    "error",
    [LedgerCorrupt("/srv/x", "gone"), AnchorUnavailable("away"), OSError(28, "No space", "/srv/x"), TypeError("words")],
)
def test_words_of_what_is_ours_or_the_systems_are_told(error: Exception) -> None:
    assert as_json(line("x", raised=raised(error)))["exception"].endswith(f"{type(error).__name__}: {error}\n")


def test_what_led_to_an_exception_comes_before_it_with_its_words_left_out() -> None:
    error = raised(LedgerCorrupt("/srv/x", "gone"), raised(KeyError("key-name")))
    first, second = exception_text((type(error), error, error.__traceback__)).split("caused:\n")
    assert first.endswith("KeyError\n")
    assert second.endswith("LedgerCorrupt: /srv/x: gone\n")


def test_the_words_of_a_refusal_are_its_clients() -> None:
    error = raised(S3Error("InvalidArgument", "key-name is not allowed"))
    assert exception_text((type(error), error, error.__traceback__)).endswith("S3Error: InvalidArgument\n")


def test_exceptions_that_lead_to_each_other_end() -> None:
    one, two = raised(ValueError()), raised(KeyError())
    one.__cause__, two.__cause__ = two, one
    assert exception_text((ValueError, one, None)).count("caused:") == 1


def run(body: str, settings: str = "format='auto'") -> tuple[str, list[str]]:
    program = PROGRAM.format(settings=settings, body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    return done.stdout.strip(), done.stderr.splitlines()


@pytest.mark.parametrize(
    ("body", "message", "exception"),
    [
        ("logging.getLogger('audit').info('hello')", "hello", ""),
        ("raise KeyError('key-name')", "unexpected error", "KeyError"),
        (ASYNCIO, "Exception in callback callback", "KeyError"),
        ("thread = threading.Thread(target=lambda: {}['key-name'], name='worker'); thread.start(); thread.join()",
         "unexpected error in thread worker", "KeyError"),
        ("uvicorn = logging.getLogger('uvicorn.error'); uvicorn.warning('Invalid'); uvicorn.error('bad\\nline')",
         "bad\nline", ""),
    ],
)  # fmt: skip
def test_everything_a_process_says_is_one_object_a_line(body: str, message: str, exception: str) -> None:
    shown, errors = run(body)
    assert shown == "True"
    (found,) = map(json.loads, errors)
    assert found["message"] == message
    assert exception in found.get("exception", "")
    assert "key-name" not in str(found)


def test_warnings_of_libraries_are_lines_too() -> None:
    _, errors = run("warnings.warn('old')")
    (found,) = map(json.loads, errors)
    assert (found["logger"], found["level"]) == ("py.warnings", "warning")


def test_level_format_and_access_are_as_set() -> None:
    body = (
        "logging.getLogger('audit').info('quiet'); logging.getLogger('audit').error('loud')\n"
        "logging.getLogger('vault.s3.access').warning('each')"
    )
    shown, errors = run(body, "format='text', level='error'")
    assert shown == "False"
    assert len(errors) == 1
    assert errors[0].endswith("ERROR audit: loud")
    _, errors = run(body.replace("warning", "info"), "format='text', access=True")
    assert [found.rpartition(": ")[2] for found in errors] == ["quiet", "loud", "each"]
