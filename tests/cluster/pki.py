"""Certificates of a test cluster, made anew for every one."""

import datetime
import ipaddress
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

VALID_FOR = datetime.timedelta(days=30)


def make_pki(directory: Path, addresses: Sequence[str]) -> None:
    """ca.crt, server.{crt,key} for the addresses, kubelet-client.{crt,key} for the API server as
    a client of kubelets, and service-accounts.key."""
    ca_key = _key()
    ca = _certificate("test-ca", ca_key, ca_key, authority=True)
    (directory / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    _write_key(directory / "service-accounts.key", _key())
    hosts = {"server": list(addresses), "kubelet-client": []}
    for name, names in hosts.items():
        key = _key()
        signed = _certificate(name, key, ca_key, addresses=names)
        (directory / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        _write_key(directory / f"{name}.key", key)


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def _certificate(
    subject: str,
    key: rsa.RSAPrivateKey,
    issuer_key: rsa.RSAPrivateKey,
    *,
    addresses: Sequence[str] = (),
    authority: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.fromtimestamp(time.time(), tz=datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("test-ca"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
