//! What a server shows of itself, and asks of clients.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

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
pub struct ServerTls(Arc<Shared>);

struct Shared {
    certificates: Certificates,
    /// Who issues the certificates of clients, where one is required.
    issuers: Option<PathBuf>,
    current: RwLock<Arc<ServerConfig>>,
}

/// Where certificates and keys come from.
enum Certificates {
    /// Files with a chain, and with its key.
    Files(Vec<(PathBuf, PathBuf)>),
    Given(Arc<CertifiedKey>),
}

impl ServerTls {
    /// Certificates with their chains, and their keys, from pairs of PEM files. A client that asks for no name, or for
    /// a name that no certificate is for while there is but one, is shown the first; another name is refused.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, has no certificate or no key, or a key is not that of its certificate; the error
    /// names the file.
    pub fn from_files<P: AsRef<Path>>(files: &[(P, P)]) -> Result<Self, TlsError> {
        let files =
            files.iter().map(|(chain, key)| (chain.as_ref().to_owned(), key.as_ref().to_owned()));
        Self::new(Certificates::Files(files.collect()), None)
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
        Self::new(Certificates::Given(certified(chain, key, here)?), None)
    }

    fn new(certificates: Certificates, issuers: Option<PathBuf>) -> Result<Self, TlsError> {
        let current = RwLock::new(config(&certificates, issuers.as_deref())?);
        Ok(Self(Arc::new(Shared { certificates, issuers, current })))
    }

    /// Requires of each client a certificate that was issued by one of these, a PEM file: mutual TLS. Whom it names is
    /// told by [`HttpRequest::client_certificate`](crate::handshake::HttpRequest::client_certificate). Lists of what
    /// they have revoked may stand in the file too; where one does, each issuer needs one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has no certificate.
    pub fn require_clients_of(self, issuers: impl AsRef<Path>) -> Result<Self, TlsError> {
        let issuers = Some(issuers.as_ref().to_owned());
        let certificates = match &self.0.certificates {
            Certificates::Files(files) => Certificates::Files(files.clone()),
            Certificates::Given(key) => Certificates::Given(Arc::clone(key)),
        };
        Self::new(certificates, issuers)
    }

    /// Reads the files again. Connections that are open stay as they are; new ones are shown the new certificates, and
    /// clients that were trusted before have to be trusted anew.
    ///
    /// # Errors
    ///
    /// As [`from_files`](Self::from_files) and [`require_clients_of`](Self::require_clients_of); all then stays as it
    /// was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Shared { certificates, issuers, current } = &*self.0;
        let config = config(certificates, issuers.as_deref())?;
        *current.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = config;
        Ok(())
    }

    pub(crate) fn session(&self) -> Result<Session, TlsError> {
        let current = self.0.current.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Session::server(Arc::clone(&current))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("issuers", &self.0.issuers).finish_non_exhaustive()
    }
}

/// The certificates to choose from, of which the first one stands for names that were not asked for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Self(keys) = self;
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

fn config(
    certificates: &Certificates,
    issuers: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let keys = match certificates {
        Certificates::Files(files) => files
            .iter()
            .map(|(chain, key)| certified(chain_from_file(chain)?, key_from_file(key)?, key))
            .collect::<Result<Vec<_>, _>>()?,
        Certificates::Given(key) => vec![Arc::clone(key)],
    };
    if keys.is_empty() {
        return Err(TlsError::file(Path::new("the certificates"), "there are none"));
    }
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match issuers {
        Some(issuers) => builder.with_client_cert_verifier(verifier(issuers)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName(keys)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Sessions are resumed from what the client keeps, so that the server keeps nothing for them. The key is made anew
    // with each configuration: nobody comes back by a ticket who is not trusted any more.
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn verifier(issuers: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(roots_from_file(issuers)?);
    let revoked = CertificateRevocationListDer::pem_file_iter(issuers);
    let revoked = revoked.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let revoked = revoked.map_err(|error| TlsError::file(issuers, error))?;
    WebPkiClientVerifier::builder_with_provider(roots, provider())
        .with_crls(revoked)
        .build()
        .map_err(|error| TlsError::file(issuers, error))
}

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(ring::default_provider())
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
