"""The one configuration: a TOML file, the environment, and the options of a command.

    option > STRONGROOM_A__B in the environment > ``a.b`` in the file > default

Names carry their units. All of it is judged before anything starts: an unknown name is an error that names the
known one it resembles, so that a misspelt setting never silently leaves its default in force.

Not handled here: what belongs to a vault for good (``vault.json``: site, node, profile), secrets, which have files
of their own, reading the TLS files (``audit.tls``), and which settings can change at run time (``audit.reload``).
"""

from __future__ import annotations

import re
import tomllib
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Annotated, Any, Final, get_origin

import msgspec
from msgspec import Meta

from audit.address import Address
from audit.errors import ConfigInvalid
from audit.log_lines import LogSection
from audit.relaying.settings import KafkaSection, RelaySection
from audit.tracing import TraceSection
from vault.retention import MIN_RECORD_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: A configuration file, in bytes.
MAX_FILE_BYTES: Final = 256 * 1024
#: What begins the names of settings in the environment; two underscores stand for the dot.
PREFIX: Final = "STRONGROOM_"
_DOT: Final = "__"

#: From which likeness on (0 to 1) a name is taken for a known one misspelt.
_NEAR: Final = 0.7
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class PortSection(msgspec.Struct, frozen=True, kw_only=True):
    """What both ports have.

    Attributes:
        listen: HOST:PORT. Beyond loopback only with TLS.
        tls_cert_file: PEM certificate chain; with it the port speaks TLS only.
        tls_key_file: PEM private key of that certificate, not encrypted.
        tls_client_ca_file: PEM certificates; with them every client must present a certificate that one of them signed.
    """

    listen: str
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_client_ca_file: str = ""

    @property
    def address(self) -> Address:
        """``listen``, read."""
        return Address.parse(self.listen)

    @property
    def tls(self) -> bool:
        """Whether the port speaks TLS."""
        return bool(self.tls_cert_file)


class S3Section(PortSection, frozen=True, kw_only=True):
    """The S3 port.

    Attributes:
        domain: Where set, ``BUCKET.domain`` names a bucket by the Host header, beside the path.
        region: What this vault calls its region; clients may sign for any.
    """

    listen: str = "127.0.0.1:9000"
    domain: str = ""
    region: Annotated[str, Meta(pattern="^[a-z0-9-]{1,64}\\Z")] = "us-east-1"


class AuditSection(PortSection, frozen=True, kw_only=True):
    """The audit port: health, metrics, ``/v1``.

    Attributes:
        requests_per_minute: Requests with a token that one principal may send; more are answered 429.
    """

    listen: str = "127.0.0.1:9001"
    requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 600


class LedgerSection(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger.

    Attributes:
        segment_mib: Length of new commit log segments, in MiB.
        keep_days: For how long records are kept that changed nothing, in days: 184 or more; 0 keeps them for good.
    """

    segment_mib: Annotated[int, Meta(ge=1, le=1024)] = 32
    keep_days: Annotated[int, Meta(ge=0, le=36500)] = 0


class DiskSection(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of the data directory.

    Attributes:
        reserve_mib: Free space, in MiB, below which reads are refused; writes below two thirds of it,
            denials below one third.
    """

    reserve_mib: Annotated[int, Meta(ge=0, le=1 << 30)] = 512


class IndexSection(msgspec.Struct, frozen=True, kw_only=True):
    """The object index.

    Attributes:
        sync_interval_s: How often it is synced, in seconds; a start replays at most that much.
    """

    sync_interval_s: Annotated[float, Meta(ge=0.01, le=3600)] = 5.0


class CheckpointSection(msgspec.Struct, frozen=True, kw_only=True):
    """Sealing.

    Attributes:
        interval_s: Most seconds between two checkpoints while records arrive.
    """

    interval_s: Annotated[float, Meta(ge=0.01, le=1)] = 1.0


class ClockSection(msgspec.Struct, frozen=True, kw_only=True):
    """The compliance clock.

    Attributes:
        status_interval_s: Seconds between two ``clock.status`` records, idle or not.
    """

    status_interval_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0


class AnchorSection(msgspec.Struct, frozen=True, kw_only=True):
    """Where the last checkpoints are remembered.

    Attributes:
        url: Replaces the anchor that ``init`` was given; empty: that one.
        credentials_file: Of an anchor on S3: a file of profiles, as AWS's tools have it; empty: where those look.
        ca_file: Of an anchor on S3: PEM certificates that sign its server's; empty: those that this host trusts.
    """

    url: str = ""
    credentials_file: str = ""
    ca_file: str = ""


class LimitsSection(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what clients can hold on to; each port has its own.

    Attributes:
        connections: Open connections of one port; one more is answered 503 and closed.
        idle_s: Seconds until a connection without a request is closed, and within which a request's head must
            have arrived.
        stop_s: Seconds that requests in flight get to finish when the server stops.
    """

    connections: Annotated[int, Meta(ge=1, le=65536)] = 1024
    idle_s: Annotated[int, Meta(ge=1, le=3600)] = 60
    stop_s: Annotated[int, Meta(ge=1, le=3600)] = 20


class ScrubSection(msgspec.Struct, frozen=True, kw_only=True):
    """The server's verification of its own vault.

    Attributes:
        interval_hours: From one to the next, in hours; 0 switches it off.
        cycle_days: Within how many days every body in packs and blobs is read, a share each time; all records are read
            each time.
        rate_mib_s: Most that it reads, in MiB a second.
    """

    interval_hours: Annotated[float, Meta(ge=0, le=8760)] = 24.0
    cycle_days: Annotated[int, Meta(ge=1, le=366)] = 30
    rate_mib_s: Annotated[int, Meta(ge=1, le=65536)] = 20


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set; see the sections."""

    s3: S3Section = S3Section()
    audit: AuditSection = AuditSection()
    ledger: LedgerSection = LedgerSection()
    disk: DiskSection = DiskSection()
    index: IndexSection = IndexSection()
    checkpoint: CheckpointSection = CheckpointSection()
    clock: ClockSection = ClockSection()
    anchor: AnchorSection = AnchorSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
    trace: TraceSection = TraceSection()
    scrub: ScrubSection = ScrubSection()
    kafka: KafkaSection = KafkaSection()
    relay: RelaySection = RelaySection()

    @property
    def ports(self) -> tuple[tuple[str, PortSection], ...]:
        """Both ports, with the names of their sections."""
        return ("s3", self.s3), ("audit", self.audit)


def _types() -> dict[str, Any]:
    return {
        f"{section.name}.{field.name}": field.type
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    }


#: Type of each setting by its dotted name.
_SETTINGS: Final = _types()
#: Names in the environment as one mistypes them, and as they are right.
_ONE_UNDERSCORE: Final = {
    dotted.upper().replace(".", "_"): dotted.upper().replace(".", _DOT, 1) for dotted in _SETTINGS
}


def load(file: Path | None, environ: Mapping[str, str], options: Mapping[str, str | None] | None = None) -> Settings:
    """Gather the configuration and judge it as a whole.

    Args:
        file: TOML file; None for none.
        environ: Usually ``os.environ``.
        options: Settings by dotted name as the command's options give them; None for those not given.

    Returns:
        Settings that may be used without another check.

    Raises:
        ConfigInvalid: Anything in it cannot be used; names the setting, never a secret.
    """
    found: dict[str, object] = {}
    if file is not None:
        found |= _flat(_read(file), str(file))
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name != variable and _DOT in name:
            dotted = _known(name.lower().replace(_DOT, ".", 1), variable)
            found[dotted] = _from_text(dotted, environ[variable], variable)
        elif name != variable and name in _ONE_UNDERSCORE:
            raise ConfigInvalid(f"{variable} sets nothing: write {PREFIX}{_ONE_UNDERSCORE[name]}")
    for dotted, text in (options or {}).items():
        if text is not None:
            found[dotted] = text
    nested: dict[str, dict[str, object]] = {}
    for dotted, value in found.items():
        section, _, key = dotted.partition(".")
        nested.setdefault(section, {})[key] = value
    try:
        settings = msgspec.convert(nested, Settings)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(_worded(error)) from error
    _check(settings)
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigInvalid(f"{file} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # a decoding error is a ValueError
        raise ConfigInvalid(f"{file} is not TOML: {error}") from error


def _flat(tables: dict[str, Any], place: str) -> dict[str, object]:
    flat: dict[str, object] = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigInvalid(f"{place}: {section!r} stands outside a table{_nearest(section)}")
        for key, value in table.items():
            flat[_known(f"{section}.{key}", place)] = value
    return flat


def _known(dotted: str, place: str) -> str:
    if dotted not in _SETTINGS:
        raise ConfigInvalid(f"{place}: there is no setting {dotted[:80]!r}{_nearest(dotted)}")
    return dotted


def _nearest(dotted: str) -> str:
    """What may have been meant, as the end of a message; where nothing is near, where all of them are listed."""
    likeness, name = max((SequenceMatcher(None, dotted[:80], known).ratio(), known) for known in _SETTINGS)
    return f"; the nearest is {name!r}" if likeness >= _NEAR else "; README lists all settings"


def _from_text(dotted: str, text: str, variable: str) -> object:
    """Read a value of the environment as the type its setting has; a table of names and texts is JSON there."""
    try:
        if get_origin(_SETTINGS[dotted]) is dict:
            return msgspec.json.decode(text, type=_SETTINGS[dotted])
        return msgspec.convert(text, _SETTINGS[dotted], strict=False)
    except msgspec.DecodeError as error:
        raise ConfigInvalid(f"{variable}: {_worded(error)}") from error


def _worded(error: msgspec.DecodeError) -> str:
    problem, _, path = str(error).partition(" - at `$.")
    return f"{path.rstrip('`')}: {problem}" if path else problem


def _check(settings: Settings) -> None:
    """What no single type can say."""
    for name, port in settings.ports:
        try:
            address = port.address
        except ConfigInvalid as error:
            raise ConfigInvalid(f"{name}.listen: {error}") from error
        if bool(port.tls_cert_file) != bool(port.tls_key_file):
            raise ConfigInvalid(f"{name}.tls_cert_file and {name}.tls_key_file belong together: set both or neither")
        if port.tls_client_ca_file and not port.tls:
            raise ConfigInvalid(f"{name}.tls_client_ca_file needs {name}.tls_cert_file")
        if not address.loopback and not port.tls:
            raise ConfigInvalid(
                f"{name}.listen = {port.listen!r} is reached from beyond this machine: plaintext is refused there; "
                f"set {name}.tls_cert_file and {name}.tls_key_file, or listen on 127.0.0.1"
            )
    if settings.s3.address == settings.audit.address and settings.s3.address.port:
        raise ConfigInvalid(f"s3.listen and audit.listen are both {settings.s3.listen!r}")
    if 0 < settings.ledger.keep_days < MIN_RECORD_DAYS:
        raise ConfigInvalid(f"ledger.keep_days: {MIN_RECORD_DAYS} or more, or 0 to keep all records for good")
    settings.kafka.check()
    domain = settings.s3.domain
    if domain and (len(domain) > 190 or not _DOMAIN.fullmatch(domain)):
        raise ConfigInvalid(f"s3.domain: {domain[:80]!r} is no domain name in lowercase")
