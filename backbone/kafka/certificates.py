"""Certificates of our own: until when they are valid, and a TLS context that takes renewed ones without a restart."""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, Purpose, SSLContext, SSLError
from typing import Any, Final

from backbone.errors import UnreachableError

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
VERSION, UTC_TIME, GENERALISED_TIME = 0xA0, 0x17, 0x18
"""Tags of X.509's encoding (DER)."""


class RenewingContext(SSLContext):
    """A verifying context for clients that reads its certificate and key again at every connection.

    Clients keep their context for as long as they live; they must not need a restart for a renewed certificate.
    """

    certificate_file: Path | None = None
    key_file: Path | None = None
    _looked_like: tuple[tuple[int, int], ...] = ()

    def renew(self) -> None:
        """Load certificate and key if their files have changed; raises OSError and SSLError."""
        if self.certificate_file is None:
            return
        found = [path.stat() for path in (self.certificate_file, self.key_file) if path is not None]
        looks_like = tuple((one.st_mtime_ns, one.st_ino) for one in found)
        if looks_like != self._looked_like:
            self.load_cert_chain(self.certificate_file, self.key_file)
            self._looked_like = looks_like

    def wrap_bio(self, *arguments: Any, **named: Any) -> Any:
        """Begin a connection, as asyncio does; files that cannot be read leave the certificate as it was."""
        with suppress(OSError, SSLError):  # they are being replaced; whoever makes a new client says so if it lasts
            self.renew()
        return super().wrap_bio(*arguments, **named)


def client_context(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> RenewingContext:
    """Return a context that verifies brokers and shows our certificate, if there is one.

    Raises UnreachableError ``broker.certificate-unusable`` for files that are missing or wrong, and
    ``broker.certificate-expired``.
    """
    context = RenewingContext(PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is None:
            context.load_default_certs(Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(ca_file)
        context.certificate_file, context.key_file = certificate_file, key_file
        context.renew()
    except (OSError, SSLError) as error:
        raise _unusable(error) from error
    if certificate_file is not None:
        ensure_valid(certificate_file)
    return context


def ensure_valid(certificate_file: Path) -> None:
    """Raise the same errors for a certificate alone: cheap enough to be asked whenever brokers do not answer."""
    try:
        ends = valid_until(certificate_file.read_bytes())
    except (OSError, ValueError, IndexError) as error:
        raise _unusable(error) from error
    if ends <= datetime.now(UTC):
        message = f"our certificate {certificate_file.name} was valid until {ends:%Y-%m-%dT%H:%M:%SZ}"
        guidance = "put a renewed one in its place; no restart is needed"
        raise UnreachableError(message, code="broker.certificate-expired", guidance=guidance)


def _unusable(error: Exception) -> UnreachableError:
    message = f"the CA, the certificate or the key of the connection to Kafka cannot be used ({type(error).__name__})"
    guidance = "look at kafka.ca_file, certificate_file and key_file: PEM, readable, and made for each other"
    return UnreachableError(message, code="broker.certificate-unusable", guidance=guidance)


def valid_until(pem: bytes) -> datetime:
    """Return until when the first certificate of a PEM file is valid. Raises ValueError or IndexError."""
    found = _PEM.search(pem)
    if found is None:
        message = "the file holds no certificate"
        raise ValueError(message)
    try:
        certificate = base64.b64decode(found[1])
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    _, whole = next(_elements(certificate))
    _, signed = next(_elements(whole))
    # version (which may be left out), serial number, algorithm, issuer, and then the validity
    parts = [content for tag, content in _elements(signed) if tag != VERSION]
    _, (tag, ends) = _elements(parts[3])
    if tag not in {UTC_TIME, GENERALISED_TIME}:
        message = "the certificate's validity ends with no time"
        raise ValueError(message)
    text = ends.decode("ascii")
    if tag == UTC_TIME:  # two digits of the year, of 1950 to 2049
        text = f"{'19' if text >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element of DER, one behind the other."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        yield tag, data[at : at + length]
        at += length
