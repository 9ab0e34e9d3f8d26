from __future__ import annotations

from tests.doubles.s3_service import RECORD
from tests.unit.s3.wire import Wire, md5, texts
from vault.record import LockRef
from vault.service.results import Done, LockResult


def test_retention_is_read_and_put() -> None:
    wire = Wire()
    lock = LockRef("COMPLIANCE", "2140-01-01T00:00:00.000000000Z")
    answer = wire.ask("GET", "/bucket/key?retention&versionId=v", locks__get_retention=LockResult(lock, RECORD))
    assert texts(answer) == {"Mode": "COMPLIANCE", "RetainUntilDate": "2140-01-01T00:00:00.000Z"}
    headers = md5(answer.body) | {"x-amz-bypass-governance-retention": "true"}
    put = wire.ask("PUT", "/bucket/key?retention&versionId=v", headers, answer.body, locks__put_retention=Done(RECORD))
    assert put.status == 200
    assert wire.service.calls[-1].args == ("bucket", "key", "v")
    assert wire.service.calls[-1].kwargs == {"lock": lock, "bypass": True}


def test_legal_hold_is_read_and_put() -> None:
    wire = Wire()
    for on in (True, False):
        answer = wire.ask("GET", "/bucket/key?legal-hold", locks__get_hold=LockResult(LockRef(hold=on), RECORD))
        assert texts(answer) == {"Status": "ON" if on else "OFF"}
        put = wire.ask("PUT", "/bucket/key?legal-hold", md5(answer.body), answer.body, locks__put_hold=Done(RECORD))
        assert put.status == 200
        assert wire.service.calls[-1].args == ("bucket", "key", "")
        assert wire.service.calls[-1].kwargs == {"on": on}
