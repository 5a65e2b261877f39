//! Who somebody is: passwords of the relay's own accounts, and tokens that another program has signed.
//!
//! Nothing here knows a socket or a clock: the caller says what time it is.

mod backend;
pub mod jwt;
pub mod password;

use crate::config::{Jwt, JwtKey};
use jwt::Verifier;

/// What judges tokens, with its key read from the file that the configuration names.
///
/// # Errors
///
/// A text that names the file and says what to do.
pub fn verifier(jwt: &Jwt) -> Result<Verifier, String> {
    let path = match &jwt.key {
        JwtKey::Secret(path) | JwtKey::PublicKey(path) => path,
    };
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(&error))?;
    let verifier = match &jwt.key {
        JwtKey::Secret(_) => Verifier::hs256(without_line_end(&bytes)),
        JwtKey::PublicKey(_) => Verifier::ed25519(&bytes),
    };
    let mut verifier = verifier.map_err(|error| named(&error))?;
    if let Some(issuer) = &jwt.issuer {
        verifier = verifier.issuer(issuer);
    }
    if let Some(audience) = &jwt.audience {
        verifier = verifier.audience(audience);
    }
    Ok(verifier)
}

/// An editor ends a text with a line end, which is then no part of the secret. Bytes that are no text stay as they are.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(bytes).ok();
    text.map_or(bytes, |text| text.trim_end_matches(['\r', '\n']).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_after_a_secret_is_no_part_of_it() {
        let table: [(&[u8], &[u8]); 5] = [
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b" secret ", b" secret "),
            (b"\xFF\n", b"\xFF\n"),
            (b"", b""),
        ];
        for (bytes, secret) in table {
            assert_eq!(without_line_end(bytes), secret);
        }
    }
}
