//! TLS for a run: one certificate for the whole process, and settings of its own for each run.
//!
//! The key is of a kind whose signatures all have one length, so that the sizes of what is sent do not vary from one
//! run of a seed to the next, as its bytes do.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tautline::tls::{ClientTls, ServerTls};

struct Made {
    chain: String,
    key: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.serial_number = Some(SerialNumber::from(1_000));
        let certificate = params.self_signed(&key).expect("a certificate");
        Made { chain: certificate.pem(), key: key.serialize_pem() }
    })
}

/// What servers show.
pub(crate) fn server() -> ServerTls {
    let Made { chain, key } = made();
    ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).expect("a certificate")
}

/// Whom clients trust.
pub(crate) fn client() -> ClientTls {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let name = format!("tautline-simulator-{}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, &made().chain).expect("a temporary folder");
        path
    });
    ClientTls::trusting(file).expect("a certificate")
}

/// A client that is no engine, and trusts the same.
pub(crate) fn raw_client() -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(made().chain.as_bytes());
    roots.add(certificate.expect("a certificate")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}
