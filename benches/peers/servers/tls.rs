//! TLS of the servers on Tokio: tokio-rustls with what rustls does by default, by ring, as ours has it.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::Arguments;

/// What shakes hands, where TLS is asked for.
pub fn acceptor(arguments: &Arguments) -> io::Result<Option<TlsAcceptor>> {
    let (Some(cert), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.map_err(io::Error::other)?, key)
        .map_err(io::Error::other)?;
    Ok(Some(Arc::new(config).into()))
}
