"""What a forger would do to a production, manifests made anew included, and what the verifier has to say of each."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOG: Final = "data/logs/site-a.node-1"


def reseal(root: Path) -> None:
    """What a forger would do: make the manifests fit again."""
    payload = sorted(path for path in (root / "data").rglob("*") if path.is_file())
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in payload]
    (root / "manifest-sha256.txt").write_text("".join(lines))
    tags = sorted(path for path in root.iterdir() if path.is_file() and path.name != "tagmanifest-sha256.txt")
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in tags]
    (root / "tagmanifest-sha256.txt").write_text("".join(lines))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def drop_line(path: Path, holding: bytes) -> None:
    kept = [line for line in lines_of(path) if holding not in line]
    assert len(kept) == len(lines_of(path)) - 1
    path.write_bytes(b"".join(kept))


def native(root: Path) -> Path:
    (found,) = (root / "data/natives").glob("*-large.bin")
    return found


def change_native(root: Path) -> None:
    data = bytearray(native(root).read_bytes())
    data[1000] ^= 1
    native(root).write_bytes(data)


def drop_record(root: Path) -> None:
    drop_line(root / _LOG / "records.ndjson", b'"key":"2025/old"')


def change_record(root: Path) -> None:
    path = root / _LOG / "records.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"size":2500000', b'"size":2500001'))


def swap_hashes(root: Path) -> None:
    (path,) = (root / _LOG / "tile/0").rglob("[0-9]*[0-9]")
    data = path.read_bytes()
    path.write_bytes(data[32:64] + data[:32] + data[64:])


def add_native(root: Path) -> None:
    (root / "data/natives/000099-added").write_bytes(b"added")


def drop_version(root: Path) -> None:
    drop_line(root / "data/versions.ndjson", b'"key":"2026/large.bin"')
    native(root).unlink()


def change_document(root: Path) -> None:
    path = root / "data/versions.ndjson"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'\\"size\\":2500000', b'\\"size\\":2500001', 1))


def swap_natives(root: Path) -> None:
    one, two = sorted((root / "data/natives").glob("*-a.json"))
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)


def change_part(root: Path) -> None:
    (path,) = (root / "data/natives").glob("*-parts")
    path.write_bytes(path.read_bytes()[:-1] + b"c")


def claim_removed(root: Path) -> None:
    path = root / "data/versions.ndjson"
    lines = lines_of(path)
    for index, line in enumerate(lines):
        entry = json.loads(line)
        if entry["key"] == "2026/large.bin":
            kept = {key: value for key, value in entry.items() if key not in {"native", "sha256", "document"}}
            lines[index] = json.dumps({**kept, "state": "removed"}).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    native(root).unlink()


def narrow_question(root: Path) -> None:
    path = root / "data/production.json"
    path.write_text(path.read_text().replace('"prefix": "2026/"', '"prefix": "2026/a"'))


def narrow_range(root: Path) -> None:
    """Pretend that the period begins later, and leave out what was before."""
    path = root / "data/production.json"
    about = json.loads(path.read_text())
    records = lines_of(root / _LOG / "records.ndjson")
    cut = next(index for index, line in enumerate(records) if b'"key":"2025/old"' in line)
    about["streams"][0]["first"] = cut
    path.write_text(json.dumps(about))


def stop_short(root: Path) -> None:
    """Pretend that it was asked for when another production was, and leave out what came after."""
    path, records = root / "data/production.json", root / _LOG / "records.ndjson"
    about = json.loads(path.read_text())
    asked = [line for line in lines_of(records) if b'"op":"production.create"' in line]
    assert len(asked) == 2
    end = json.loads(asked[0])["seq"]
    about["streams"][0]["end"] = end
    path.write_text(json.dumps(about))
    kept = [line for line in lines_of(records) if json.loads(line)["seq"] <= end or line in asked]
    assert len(kept) < len(lines_of(records))
    records.write_bytes(b"".join(kept))


def name_a_stream_twice(root: Path) -> None:
    path = root / "data/production.json"
    about = json.loads(path.read_text())
    about["streams"].insert(0, about["streams"][0] | {"end": 999_999, "size": 999_999})
    path.write_text(json.dumps(about))


def number_with_a_point(root: Path) -> None:
    path = root / "data/production.json"
    path.write_text(path.read_text().replace('"first": 0', '"first": 0.0'))


def claim_removed_by_another(root: Path) -> None:
    """Excuse a native that is withheld by what was overwritten elsewhere."""
    lines = [json.loads(line) for line in lines_of(root / _LOG / "records.ndjson")]
    (other,) = (line for line in lines if line.get("version", {}).get("replaced"))
    path = root / "data/versions.ndjson"
    entries = [json.loads(line) for line in lines_of(path)]
    for entry in entries:
        if entry["key"] == "2026/large.bin":
            assert other["version"]["replaced"] == entry["ordinal"]
            for name in ("native", "sha256", "document"):
                del entry[name]
            entry["state"] = "removed"
            entry["trail"].append([other["stream"], other["seq"]])
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    native(root).unlink()


def replace_checkpoint(root: Path) -> None:
    path = root / _LOG / "checkpoint"
    lines = path.read_text().split("\n")
    lines[2] = "A" * 43 + "="
    path.write_text("\n".join(lines))


FORGERIES: Final[dict[str, tuple[Callable[[Path], None], str]]] = {
    "a native changed": (change_native, "is not what was stored|another digest"),
    "a record dropped": (drop_record, "is missing; records 0 to"),
    "a record changed": (change_record, "is not the one in the log"),
    "two hashes swapped": (swap_hashes, "is not the root of the records|is not the one in the log"),
    "a native added": (add_native, "no version that is listed has this native"),
    "a version left out": (drop_version, "is asked for and not listed|out of order"),
    "a content document changed": (change_document, "its content document is not the one"),
    "two natives swapped": (swap_natives, "is not what was stored|another digest"),
    "a part changed": (change_part, "is not what was stored|another digest"),
    "a version said to be removed": (claim_removed, "no record here removed it"),
    "a version said to be overwritten": (claim_removed_by_another, "is in its trail and names another key"),
    "the question narrowed": (narrow_question, "no record here says that this production was asked for"),
    "the range narrowed": (narrow_range, "where it begins is not shown"),
    "the range cut at another question": (stop_short, "where it ends is not shown"),
    "a stream named twice": (name_a_stream_twice, "not the description of a production"),
    "a number that is none": (number_with_a_point, "not the description of a production"),
    "the checkpoint replaced": (replace_checkpoint, "signature|not signed|root"),
}
