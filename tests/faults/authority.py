"""A certificate authority for tests: certificates of brokers and clients that end when they are told to."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Issue certificates into a folder: ``ca.pem``, and for each name its certificate, its key, and both in one."""

    def __init__(self, folder: Path) -> None:
        """Make the authority's own certificate."""
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Invented Authority")
        certificate = self._signed(self._name, self._key, timedelta(days=1), authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, valid_for: timedelta) -> tuple[Path, Path]:
        """Write a certificate, in one step so that nobody reads half of it; return its file and that of its key.

        ``NAME.store.pem`` holds both, as Kafka wants them.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        printed = self._signed(_named(name), key, valid_for).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = {"store.pem": secret + printed, "key.pem": secret, "pem": printed}
        for suffix, content in files.items():
            new = self.folder / f"{name}.{suffix}.new"
            new.write_bytes(content)
            new.rename(self.folder / f"{name}.{suffix}")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key.pem"

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, valid_for: timedelta, *, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        begins = min(now, now + valid_for) - timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(now + valid_for)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
