//! The certificate that the relay shows where it speaks TLS.

use rcgen::generate_simple_self_signed;
use sha2::{Digest, Sha256};
use tautline::tls::ServerTls;

use crate::config::Certificate;

/// What to show, and a line for the person at the keyboard, if there is one to be said.
///
/// # Errors
///
/// A text that names the file and says why it cannot be used.
pub fn load(certificate: &Certificate) -> Result<(ServerTls, Option<String>), String> {
    match certificate {
        Certificate::Files { chain, key } => {
            let tls = ServerTls::from_files(&[(chain, key)]).map_err(|error| error.to_string())?;
            Ok((tls, None))
        }
        Certificate::SelfSigned => self_signed().map_err(|error| error.to_string()),
    }
}

/// A certificate for this machine that is made now, and trusted by nobody.
fn self_signed() -> Result<(ServerTls, Option<String>), Box<dyn std::error::Error>> {
    let made = generate_simple_self_signed(["localhost", "127.0.0.1", "::1"].map(String::from))?;
    let fingerprint = Sha256::digest(made.cert.der());
    let fingerprint: Vec<_> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = ServerTls::from_pem(chain.as_bytes(), key.as_bytes())?;
    Ok((tls, Some(format!("self-signed certificate, SHA-256 {}", fingerprint.join(":")))))
}
