"""A data directory: its streams, bodies in packs and blobs, keys, and every file in it accounted for.

Not handled here: looking again where a server writes meanwhile (``live``), and whether keys open anything, which needs
the KEK (``keys`` looks at their form).
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from audit.verify.anchor import Claims, Outside, match_origins
from audit.verify.bodies import Body, check_blob, known_suite
from audit.verify.exported import summarise_inherited
from audit.verify.files import folders, read_file, walk
from audit.verify.inventory import Inventory
from audit.verify.keys import MAX_KEK_BYTES, MAX_KEYRING_BYTES, SECRET, SIGNING, generation, opens
from audit.verify.lineage import Lineage
from audit.verify.note import MAX_NOTE_BYTES, NoteError, VerifierKey, parse_vkey
from audit.verify.packs import Bodies, Pack, Wanted, check_pack, parse_name, read_pack
from audit.verify.pool import cores, in_order
from audit.verify.report import Bad, Finding, LogReport, Report, State
from audit.verify.share import WHOLE
from audit.verify.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.share import Share

_MAX_VAULT_BYTES: Final = 64 * 1024
#: What a vault can be made with.
_PROFILES: Final = frozenset(("standard", "gm"))
#: Fewer bodies are checked in this process: starting workers takes longer.
_WORTH_WORKERS: Final = 64


class Vault:
    """One look at a data directory."""

    def __init__(self, root: str, outside: Outside, report: Report, *, still: bool, share: Share = WHOLE) -> None:
        self._root, self._outside, self._report, self._still = root, outside, report, still
        self._share = share
        self._left: set[int] = set()  # positions of bodies whose turn it is not
        self._lineage = Lineage()
        self._bases: dict[str, int] = {}
        self._profile = ""

    def verify(self, progress: Callable[[int], None]) -> None:
        """Look at all of it.

        Checkpoints are read before the names of files, and those before the records: what a checkpoint or a name
        stands for was durable before it, so a server at work meanwhile does not look like damage.
        """
        vault, named = self._identity()
        notes = self._notes(vault)
        files = Inventory(self._root)
        self._report.findings += files.findings
        self._keyring(files, named)
        streams = self._streams(vault, named, notes, files, progress)
        stopped = named[-1] in streams and streams[named[-1]].stopped
        self._packs(streams)
        self._lineage.holdings.settle()
        self._blobs(files, stopped=stopped)
        self._secrets(files, streams, stopped=stopped)
        self._say(files)

    def _streams(
        self,
        vault: str,
        named: list[str],
        notes: dict[str, bytes],
        files: Inventory,
        progress: Callable[[int], None],
    ) -> dict[str, Stream]:
        """Read every stream, oldest first, and judge each in the light of the one that took it over."""
        for name in sorted(set(named) - files.streams.keys()):
            if name == named[-1] != named[0]:
                self._state("takeover unfinished", "vault.json", f"the next start opens stream {name}")
            else:
                self._bad("streams", f"there is no stream {name}, which vault.json names")
        for name in sorted(files.streams.keys() - set(named)):
            self._bad(f"streams/{name}", "vault.json names no such stream")
        origins = {name: _origin(vault, name) for name in named if name in files.streams}
        match_origins(self._outside, origins.values(), self._report)
        read: list[tuple[Stream, Claims, LogReport]] = []
        for name, origin in origins.items():
            log = LogReport(origin)
            self._report.logs.append(log)
            claims = Claims(origin, self._own_keys(name, origin, files), self._outside, self._report)
            if f"streams/{name}/checkpoint" in notes:
                claims.own_checkpoint(notes[f"streams/{name}/checkpoint"], f"streams/{name}/checkpoint")
            if name in notes:
                claims.local_anchor(notes[name], f"{self._root}.anchor/{_digest(origin)}")
            self._bases[name] = sum(stream.size for stream, _, _ in read)
            self._lineage.begin(f"streams/{name}", self._bases[name])
            stream = Stream(self._root, name, origin, files.streams[name], self._report, self._lineage, self._profile)
            stream.still = self._still
            stream.verify(claims, log, progress)
            read.append((stream, claims, log))
        for at, (stream, claims, log) in enumerate(read, 1):
            stream.judge(claims, log, read[at][0] if at < len(read) else None)
        for (stream, _, _), name in zip(read, origins, strict=True):
            findings, states = stream.pruned.judge(name, self._lineage.prunings)
            self._report.findings += findings
            self._report.states += states
        if read and read[0][0].takeover is not None:
            self._bad("vault.json", f"it does not name stream {read[0][0].takeover.stream}, which was taken over")
        self._lineage.locks.finish()
        self._report.findings += self._lineage.findings(self._lineage.locks.findings)
        summarise_inherited(self._report, self._lineage.locks)
        return dict(zip(origins, (stream for stream, _, _ in read), strict=True))

    def _bad(self, place: str, why: str, seq: int | None = None) -> None:
        self._report.findings.append(Finding(seq, place, why))

    def _state(self, name: str, place: str, detail: str) -> None:
        self._report.states.append(State(name, place, detail))

    def _read(self, place: str, limit: int) -> bytes | None:
        try:
            return read_file(f"{self._root}/{place}", limit, place)
        except Bad as bad:
            self._report.findings.append(bad.finding)
            return None

    def _identity(self) -> tuple[str, list[str]]:
        """The vault's id and the names of its streams, oldest first."""
        data = self._read("vault.json", _MAX_VAULT_BYTES)
        if data is None:
            raise Bad("vault.json", "missing: without the vault's id no log can be told from another's")
        try:
            value = json.loads(data)
            names = {name: value[name] for name in ("vault", "site", "node", "stream", "profile", "anchor")}
            earlier = list(value.get("earlier", ()))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Bad("vault.json", "it does not name the vault, its site and its node") from error
        if value.keys() - {*names, "format", "earlier"}:
            raise Bad("vault.json", "it holds fields that no vault has")
        if value.get("format") != 1 or not all(isinstance(name, str) for name in (*names.values(), *earlier)):
            raise Bad("vault.json", "not of format 1")
        if names["stream"] != f"{names['site']}.{names['node']}" or names["profile"] not in _PROFILES:
            raise Bad("vault.json", "its stream is not that of its site and node, or its profile is unknown")
        self._profile = names["profile"]
        if len({*earlier, names["stream"]}) <= len(earlier):
            raise Bad("vault.json", "it names a stream twice")
        return names["vault"], [*earlier, names["stream"]]

    def _notes(self, vault: str) -> dict[str, bytes]:
        """Checkpoints by path, and by stream what the local anchor holds."""
        notes = {}
        for name in folders(f"{self._root}/streams"):
            anchor = f"{self._root}.anchor/{_digest(_origin(vault, name))}"
            # The anchor takes a checkpoint before it is published (DESIGN §4), so it is read last.
            notes[f"streams/{name}/checkpoint"] = self._read(f"streams/{name}/checkpoint", MAX_NOTE_BYTES)
            notes[name] = read_file(anchor, MAX_NOTE_BYTES, anchor)
            if notes[name] is None and notes[f"streams/{name}/checkpoint"] is not None:
                self._report.notes.append(f"{anchor} is not there: unless the anchor is elsewhere, no server starts")
        return {place: data for place, data in notes.items() if data is not None}

    def _keyring(self, files: Inventory, streams: list[str]) -> None:
        copies = [self._read(f"keys/keyring-{copy}", MAX_KEYRING_BYTES) for copy in "ab"]
        self._report.notes.append("keys were not opened: whether they open anything, the next start finds out")
        first, second = (generation(data or b"") for data in copies)
        for copy, data, count in (("a", copies[0], first), ("b", copies[1], second)):
            if data is None:
                self._bad(f"keys/keyring-{copy}", "missing: one of the two copies of the keyring")
            elif count < 0:
                self._bad(f"keys/keyring-{copy}", "it does not begin like a keyring")
        if first >= 0 <= second and copies[0] != copies[1]:
            if first == second + 1:
                detail = "one change behind keys/keyring-a; the next start mends it"
                self._state("keyring change unfinished", "keys/keyring-b", detail)
            else:
                self._bad("keys/keyring-b", "the two copies of the keyring differ")
        kek = self._read("keys/kek", MAX_KEK_BYTES)  # which may be kept elsewhere
        following = self._read("keys/kek.next", MAX_KEK_BYTES)
        if following is not None:
            self._state("rotation unfinished", "keys/kek.next", "the next start completes it, or takes it back")
        named = any(opens(key, copies[0] or b"") for key in (kek, following) if key is not None)
        if kek is not None and first >= 0 and not named:
            self._bad("keys/kek", "it is not the key-encryption key that keys/keyring-a names")
        if "keys/unrecorded.json" in files.plain:
            self._state("unrecorded", "keys/unrecorded.json", "the next start records what was done to the keys")
        self._stream_keys(files, streams)

    def _stream_keys(self, files: Inventory, streams: list[str]) -> None:
        wanted = {f"keys/{name}.{kind}" for name in streams for kind in ("signing", "vkey")}
        for path in sorted(wanted - files.keys):
            self._bad(path, "the key is missing")
        for name in sorted(streams):
            path = f"keys/{name}.signing"
            if path in files.keys and not SIGNING.holds(self._read(path, SIGNING.most + 1) or b"", name):
                self._bad(path, "not this stream's sealed signing key, or damaged")
        for path in sorted(files.keys - wanted):
            self._bad(path, "a key of no stream here")

    def _own_keys(self, name: str, origin: str, files: Inventory) -> list[VerifierKey]:
        place = f"keys/{name}.vkey"
        if place not in files.keys:
            return []  # found by _keyring
        try:
            key = parse_vkey((self._read(place, MAX_NOTE_BYTES) or b"").decode())
        except (NoteError, UnicodeDecodeError) as error:
            self._bad(place, str(error))
            return []
        if key.name != origin:
            self._bad(place, f"it is the key of {key.name}")
            return []
        return [key]

    def _packs(self, streams: dict[str, Stream]) -> None:
        wanted: list[Wanted] = []
        # Listed only now, after the commit log was read: a body leaves it for a pack, never the other way.
        for path, (name, first) in self._listed_packs():
            try:
                if name not in streams:
                    raise Bad(path, "a pack of no stream here")
                bodies = read_pack(Pack(f"{self._root}/{path}", path, name, first))
            except Bad as bad:
                self._report.findings.append(bad.finding)
                continue
            holdings, base = self._lineage.holdings.holdings, self._bases[name]
            known = {seq: holdings[base + seq] for seq, _, _ in bodies.entries if base + seq in holdings}
            groups = {(json.loads(holding.bucket), holding.expires.decode()) for holding in known.values()}
            if groups - {(bodies.bucket, bodies.until)}:
                why = f"not all its bodies are of bucket {bodies.bucket} and expire in {bodies.until or 'no month'}"
                self._bad(path, why)
            left = frozenset(seq for seq, holding in known.items() if self._leaves(holding.body, base + seq))
            self._left.update(base + seq for seq in left)
            wanted.append(Wanted(bodies, {seq: holding.body for seq, holding in known.items()}, left))
        jobs = cores() if sum(len(some.bodies.entries) for some in wanted) > _WORTH_WORKERS else 1
        for some, (seen, findings) in zip(wanted, in_order(check_pack, wanted, jobs), strict=True):
            self._report.findings += findings
            base = self._bases[some.bodies.pack.stream]
            for body in seen:
                self._lineage.holdings.found_in_pack(self._lineage.moved_body(body, base), some.bodies.pack.place)
        self._twice([some.bodies for some in wanted])

    def _leaves(self, body: Body, position: int) -> bool:
        """Whether a body is left to another turn; what lists parts says which others must be there, so it never is."""
        return body.kind != "parts" and not self._share.holds(position)

    def _listed_packs(self) -> list[tuple[str, tuple[str, int]]]:
        names = ((name, parse_name(name)) for name, _ in walk(f"{self._root}/packs"))
        return sorted((f"packs/{name}", parsed) for name, parsed in names if parsed is not None)

    def _twice(self, packs: list[Bodies]) -> None:
        """Bodies that stand in two packs: a compaction cut short, or a pack that somebody copied."""
        owners: dict[tuple[str, int], Bodies] = {}
        shared: Counter[tuple[str, str]] = Counter()
        lengths = {bodies.pack.place: len(bodies.entries) for bodies in packs}
        for bodies in packs:
            for seq, _, _ in bodies.entries:
                before = owners.setdefault((bodies.pack.stream, seq), bodies)
                if before is not bodies:
                    shared[before.pack.place, bodies.pack.place] += 1
        for (one, other), count in sorted(shared.items()):
            if count == lengths[one] == lengths[other]:
                self._bad(other, f"it holds the same bodies as {one}")
            else:
                self._state("compaction unfinished", other, f"{count} bodies are in {one} too; the next start ends it")

    def _blobs(self, files: Inventory, *, stopped: bool) -> None:
        holdings = self._lineage.holdings
        blobs = [blob._replace(whole=self._share.holds(blob.seq)) for blob in holdings.blobs(self._root)]
        jobs = cores() if len(blobs) > _WORTH_WORKERS else 1
        for findings in in_order(check_blob, blobs, jobs):
            self._report.findings += self._lineage.findings(findings)
        self._left.update(blob.seq for blob in blobs if not blob.whole)
        self._report.counts["blobs checked"] = sum(blob.whole for blob in blobs)
        for path in sorted(holdings.erased_blobs() & files.blobs):
            self._bad(path, "a record says the blob is erased, and it is there")
        for path in sorted(files.blobs - holdings.names_of_blobs()):
            if stopped:
                self._bad(path, "no record names the blob")
            else:
                self._state("unswept", path, "no record names the blob; the next start sweeps it")

    def _secrets(self, files: Inventory, streams: dict[str, Stream], *, stopped: bool) -> None:
        principals: dict[str, bool] = {}
        for stream in streams.values():
            principals |= stream.principals
        for name in sorted(name for name, enabled in principals.items() if enabled and name not in files.secrets):
            self._bad(f"keys/secrets/{name}", "the principal's secret is missing")
        for name in sorted(files.secrets & principals.keys()):
            if not SECRET.holds(self._read(f"keys/secrets/{name}", SECRET.most + 1) or b"", name):
                self._bad(f"keys/secrets/{name}", "not this principal's sealed secret, or damaged")
        for name in sorted(files.secrets - principals.keys()):
            if stopped:
                self._bad(f"keys/secrets/{name}", "no record added such a principal")
            else:
                self._state("unswept", f"keys/secrets/{name}", "no record added such a principal")

    def _say(self, files: Inventory) -> None:
        counts, holdings, place = self._report.counts, self._lineage.holdings, "packs"
        self._report.findings += self._lineage.findings(holdings.findings)
        if holdings.erased:
            self._state("erasure", place, f"{holdings.erased} bodies are gone, as object.erased records say")
        if holdings.pending:
            self._state("erasure pending", place, f"{holdings.pending} bodies that nothing shows any more are gone")
        if holdings.lingering:
            detail = f"{len(holdings.lingering)} erased bodies stay in the commit log until it is recycled"
            self._state("erasure pending", "streams", detail)
        strange = sum(not known_suite(holding.body) for holding in holdings.holdings.values())
        if strange:
            self._state("unknown suite", "", f"{strange} bodies: only their length was checked")
        counts["bodies"] += len(holdings.holdings) - holdings.erased - holdings.pending
        if self._share != WHOLE:
            counts["bodies left out"] = len(self._left)
            turn = f"share {self._share.turn} of {self._share.turns}"
            self._report.notes.append(f"{turn}: of other bodies in packs and blobs only place and length were checked")
        for path in files.unswept:
            self._state("unswept", path, "a write that was cut short")
        counts["files"], counts["staged"] = files.count, files.staged


def _origin(vault: str, stream: str) -> str:
    return f"strongroom/{vault}/{stream}"


def _digest(origin: str) -> str:
    return sha256(origin.encode("utf-8", "surrogatepass")).hexdigest()
