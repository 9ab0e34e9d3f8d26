"""When the certificates of the ports expire."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

if TYPE_CHECKING:
    from audit.config import Settings

_log: Final = logging.getLogger(__name__)


def expiries(settings: Settings) -> dict[str, float]:
    """When the first certificate of each port's chain expires, in s since the epoch; only of ports that speak TLS.

    To be asked whenever a port takes its files: what it goes on to show is what was in them then.
    """
    found = {}
    for name, port in (("s3", settings.s3), ("audit", settings.audit)):
        if port.tls:
            try:
                chain = x509.load_pem_x509_certificates(Path(port.tls_cert_file).read_bytes())
            except (OSError, ValueError) as error:  # TLS itself has taken it
                _log.warning("%s.tls_cert_file: no date of expiry can be read: %s", name, error)
            else:
                found[name] = min(item.not_valid_after_utc for item in chain).timestamp()
    return found
