"""Certificates of an authority that nobody else knows, made by the openssl command: a root, an intermediate authority,
and a server."""

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import NamedTuple

CONFIG = "[req]\ndistinguished_name = subject\n[subject]\n"
AUTHORITY = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign", "subjectKeyIdentifier=hash"]
ISSUED = ["authorityKeyIdentifier=keyid"]
SERVER = ["basicConstraints=critical,CA:false", "extendedKeyUsage=serverAuth", "subjectKeyIdentifier=hash"]

CLIENT = ["basicConstraints=critical,CA:false", "extendedKeyUsage=clientAuth", "subjectKeyIdentifier=hash"]

# Both kinds of key that are in use.
RSA = ["-newkey", "rsa:2048"]
ELLIPTIC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


class Certificates(NamedTuple):
    """Files in the PEM format."""

    root: Path
    # The server's own certificate, then the intermediate one.
    chain: Path
    key: Path
    # What Chromium is told to trust: the SHA-256 of the server's public key, in base64.
    fingerprint: str


class ClientCertificate(NamedTuple):
    """Files in the PEM format."""

    root: Path
    certificate: Path
    key: Path


def make_client(folder):
    """A certificate for a client, of an authority of its own."""
    (folder / "config").write_text(CONFIG)
    root = issue(folder, f"clients of {folder.name}", RSA, AUTHORITY)
    certificate, key = issue(folder, "client", ELLIPTIC, [*CLIENT, *ISSUED], root)
    return ClientCertificate(root[0], certificate, key)


def make(folder, *names, authority="tautline"):
    """Certificates for a server of these names, such as `DNS:localhost`."""
    (folder / "config").write_text(CONFIG)
    root = issue(folder, f"{authority} root", RSA, AUTHORITY)
    middle = issue(folder, f"{authority} intermediate", ELLIPTIC, [*AUTHORITY, *ISSUED], root)
    own = [*SERVER, *ISSUED, f"subjectAltName={','.join(names)}"]
    server = issue(folder, f"{authority} server", ELLIPTIC, own, middle)
    chain = folder / "chain.pem"
    chain.write_text(server[0].read_text() + middle[0].read_text())
    public = openssl("pkey", "-in", server[1], "-pubout", "-outform", "DER")
    fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode()
    return Certificates(root[0], chain, server[1], fingerprint)


def issue(folder, name, kind, extensions, issuer=None):
    """The files of a certificate and its key. Without an issuer, it is signed with its own key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    signed_by = ["-CA", issuer[0], "-CAkey", issuer[1]] if issuer else []
    added = [it for extension in extensions for it in ["-addext", extension]]
    openssl(
        "req", "-x509", "-config", folder / "config", *kind, "-nodes", "-days", "2", "-subj", f"/CN={name}",
        *added, *signed_by, "-keyout", key, "-out", certificate,
    )
    return certificate, key


def openssl(*arguments):
    command = ["openssl", *arguments]
    return subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True).stdout
