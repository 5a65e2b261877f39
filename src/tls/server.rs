//! What a server shows of itself, and asks of clients.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};

use super::error::TlsError;
use super::session::Session;

/// The only protocol that is spoken inside (RFC 7301): a WebSocket begins with HTTP/1.1.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// The TLS of a server: certificates with their keys, of which each client is shown the one for the name that it asked
/// for.
///
/// Clones share their certificates: [`reload`](Self::reload) on one is for all.
///
/// ```no_run
/// use tautline::tls::ServerTls;
///
/// let tls = ServerTls::from_files(&[("chain.pem", "key.pem")])?;
/// // Later, when they were renewed:
/// tls.reload()?;
/// # Ok::<(), tautline::tls::TlsError>(())
/// ```
#[derive(Clone)]
pub struct ServerTls {
    files: Arc<[(PathBuf, PathBuf)]>,
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Certificates with their chains, and their keys, from pairs of PEM files. A client that asks for no name, or for a
    /// name that no certificate is for while there is but one, is shown the first; another name is refused.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, has no certificate or no key, or a key is not that of its certificate; the error names
    /// the file.
    pub fn from_files<P: AsRef<Path>>(files: &[(P, P)]) -> Result<Self, TlsError> {
        let files: Arc<[_]> = files
            .iter()
            .map(|(chain, key)| (chain.as_ref().to_owned(), key.as_ref().to_owned()))
            .collect();
        Self::new(load(&files)?, files)
    }

    /// One certificate with its chain, and its key, as PEM.
    ///
    /// # Errors
    ///
    /// As [`from_files`](Self::from_files).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let (chain, key) =
            (CertificateDer::pem_slice_iter(chain), PrivateKeyDer::from_pem_slice(key));
        let here = Path::new("the certificate");
        let chain = chain.collect::<Result<_, _>>().map_err(|error| TlsError::file(here, error))?;
        let key = key.map_err(|error| TlsError::file(Path::new("the key"), error))?;
        Self::new(vec![certified(chain, key, here)?], Arc::default())
    }

    fn new(
        keys: Vec<Arc<CertifiedKey>>,
        files: Arc<[(PathBuf, PathBuf)]>,
    ) -> Result<Self, TlsError> {
        if keys.is_empty() {
            return Err(TlsError::file(Path::new("the certificates"), "there are none"));
        }
        let certificates = Arc::new(Certificates(RwLock::new(keys)));
        let config = builder()?.with_no_client_auth();
        let config = finish(config.with_cert_resolver(Arc::clone(&certificates) as _))?;
        Ok(Self { files, certificates, config })
    }

    /// Requires of each client a certificate that was issued by one of these, a PEM file: mutual TLS. Whom it names is
    /// told by [`HttpRequest::client_certificate`](crate::handshake::HttpRequest::client_certificate).
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has no certificate.
    pub fn require_clients_of(self, issuers: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = issuers.as_ref();
        let roots = Arc::new(roots_from_file(path)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier.map_err(|error| TlsError::file(path, error))?;
        let config = builder()?.with_client_cert_verifier(verifier);
        let config = finish(config.with_cert_resolver(Arc::clone(&self.certificates) as _))?;
        Ok(Self { config, ..self })
    }

    /// Reads the files again. Connections that are open stay as they are; new ones are shown the new certificates.
    ///
    /// # Errors
    ///
    /// As [`from_files`](Self::from_files); the certificates are then the old ones.
    pub fn reload(&self) -> Result<(), TlsError> {
        if self.files.is_empty() {
            return Ok(());
        }
        let keys = load(&self.files)?;
        *self.certificates.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = keys;
        Ok(())
    }

    pub(crate) fn session(&self) -> Result<Session, TlsError> {
        Session::server(Arc::clone(&self.config))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The certificates, of which the first one stands for names that were not asked for.
#[derive(Debug)]
struct Certificates(RwLock<Vec<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let first = keys.first().cloned();
        let Some(name) = hello.server_name().and_then(|it| ServerName::try_from(it).ok()) else {
            return first;
        };
        let fits = |key: &&Arc<CertifiedKey>| {
            let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
            certificate.is_ok_and(|it| verify_server_name(&it, &name).is_ok())
        };
        // With one certificate, the client is to judge: it may know better which names are its own.
        keys.iter().find(fits).cloned().or(first.filter(|_| keys.len() == 1))
    }
}

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    Ok(ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn finish(mut config: ServerConfig) -> Result<Arc<ServerConfig>, TlsError> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Sessions are resumed from what the client keeps, so that the server keeps nothing for them.
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn load(files: &[(PathBuf, PathBuf)]) -> Result<Vec<Arc<CertifiedKey>>, TlsError> {
    files
        .iter()
        .map(|(chain, key)| certified(chain_from_file(chain)?, key_from_file(key)?, key))
        .collect()
}

/// A certificate with its key. `path` is told to whoever has mixed them up.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<Arc<CertifiedKey>, TlsError> {
    if chain.is_empty() {
        return Err(TlsError::file(path, "there is no certificate in it"));
    }
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::file(path, "this key is not that of the certificate")
        }
        error => TlsError::file(path, error),
    })?;
    Ok(Arc::new(key))
}

pub(super) fn chain_from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match chain {
        Ok(chain) if chain.is_empty() => Err(TlsError::file(path, "there is no certificate in it")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(TlsError::file(path, pem_problem(error, "certificate"))),
    }
}

pub(super) fn key_from_file(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| TlsError::file(path, pem_problem(error, "private key")))
}

pub(super) fn roots_from_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain_from_file(path)? {
        roots.add(certificate).map_err(|error| TlsError::file(path, error))?;
    }
    Ok(roots)
}

fn pem_problem(error: rustls::pki_types::pem::Error, what: &str) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => format!("there is no {what} in it"),
        error => format!("it is no PEM file: {error}"),
    }
}
