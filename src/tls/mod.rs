//! TLS, in both roles: `wss://` (feature `tls`).
//!
//! [`ServerTls`] is what a server shows, [`ClientTls`] whom a client trusts. What goes over the wire is rustls', with
//! ring: TLS 1.2 and 1.3, names by SNI, `http/1.1` by ALPN, sessions that are resumed by tickets. Only this module
//! knows of it.

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
//# WebSocket implementations
//# MUST support TLS
mod client;
mod error;
mod server;
mod session;

pub use client::ClientTls;
pub use error::{CertificateProblem, TlsError};
pub use server::ServerTls;
pub(crate) use session::Session;
