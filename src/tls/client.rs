//! Whom a client trusts, and what it shows of itself.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::error::TlsError;
use super::server::{ALPN, chain_from_file, key_from_file, provider, roots_from_file};
use super::session::Session;

/// The TLS of a client: the certificates that it trusts.
///
/// ```no_run
/// use tautline::tls::ClientTls;
///
/// let tls = ClientTls::platform()?; // as browsers on this machine
/// let own = ClientTls::trusting("our-root.pem")?; // and nobody else
/// # Ok::<(), tautline::tls::TlsError>(())
/// ```
#[derive(Clone)]
pub struct ClientTls {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts whom the operating system trusts.
    ///
    /// # Errors
    ///
    /// When the operating system has no certificates.
    pub fn platform() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some that a machine has are of kinds that nobody uses any more.
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(TlsError::NoRoots(match reasons.is_empty() {
                true => "there are none".into(),
                false => reasons.join("; "),
            }));
        }
        Self::new(roots)
    }

    /// Trusts the certificates in a PEM file, and those that were issued by them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has no certificate.
    pub fn trusting(roots: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::new(roots_from_file(roots.as_ref())?)
    }

    fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let roots = Arc::new(roots);
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions()?;
        let config = builder.with_root_certificates(Arc::clone(&roots)).with_no_client_auth();
        Ok(Self { roots, config: finish(config) })
    }

    /// Shows a certificate with its chain, and a key, from PEM files, to servers that ask for one: mutual TLS.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the key is not that of the certificate; the error names the file.
    pub fn with_certificate(
        self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (chain, path) = (chain_from_file(chain.as_ref())?, key.as_ref());
        let key = key_from_file(path)?;
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(Arc::clone(&self.roots));
        let config = builder.with_client_auth_cert(chain, key);
        let config = config.map_err(|error| TlsError::file(path, error))?;
        Ok(Self { config: finish(config), ..self })
    }

    /// # Errors
    ///
    /// When the host is no name.
    pub(crate) fn session(&self, host: &str) -> Result<Session, TlsError> {
        // An IPv6 address stands in brackets in a URL.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# Clients MUST use the Server Name Indication extension in the TLS
        //# handshake [RFC6066].
        let name = ServerName::try_from(name.to_owned());
        let name = name.map_err(|_| TlsError::Name(host.into()))?;
        Session::client(Arc::clone(&self.config), name)
    }
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}
