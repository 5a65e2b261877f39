//! Tokens that another program has signed (JWT, RFC 7519): who somebody is, and until when.
//!
//! The configuration says which algorithm signs; the token has no say in it (RFC 8725, section 3.1). The clock is an
//! argument. Where several things are wrong, the first of this order is named: length, form, algorithm, signature, then
//! the claims; so what an unsigned token claims is never looked at.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::backend;

/// Bytes of the longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Bytes of the shortest secret: as many as the hash has (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;
/// By how much the clocks of who signs and who verifies may differ, at most.
pub const LEEWAY_S_MAX: u64 = 60;
const LEEWAY_S: u64 = 10;
const ED25519_BYTES: usize = 32;

/// What a token that was accepted says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is: `sub`. Not empty; whether it is allowed as a name is for the relay to say.
    pub name: String,
    /// When it ends: `exp`, in milliseconds since 1970, without the leeway.
    pub expires_ms: u64,
}

/// Judges tokens.
///
/// ```
/// use chat_relay::auth::jwt::{TokenProblem, Verifier};
///
/// let verifier = Verifier::hs256(&[7; 32])?.issuer("https://login.example.com");
/// assert_eq!(verifier.verify("junk", 1_700_000_000), Err(TokenProblem::Malformed));
/// # Ok::<(), chat_relay::auth::jwt::BadKey>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    algorithm: Algorithm,
    issuer: Option<String>,
    audience: Option<String>,
    leeway_s: u64,
}

impl Verifier {
    /// For tokens that are signed with a secret that both sides know.
    ///
    /// # Errors
    ///
    /// [`BadKey::SecretTooShort`] below [`SECRET_BYTES_MIN`].
    pub fn hs256(secret: &[u8]) -> Result<Self, BadKey> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(BadKey::SecretTooShort);
        }
        Ok(Self::new(DecodingKey::from_secret(secret), Algorithm::HS256))
    }

    /// For tokens that are signed with an Ed25519 key, of which this is the public half (PEM, `BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`BadKey::NotEd25519`] for everything else, and for the private half.
    pub fn ed25519(pem: &[u8]) -> Result<Self, BadKey> {
        let key = DecodingKey::from_ed_pem(pem).map_err(|_| BadKey::NotEd25519)?;
        if key.as_bytes().len() != ED25519_BYTES {
            return Err(BadKey::NotEd25519);
        }
        Ok(Self::new(key, Algorithm::EdDSA))
    }

    fn new(key: DecodingKey, algorithm: Algorithm) -> Self {
        backend::install();
        Self { key, algorithm, issuer: None, audience: None, leeway_s: LEEWAY_S }
    }

    /// Who must have signed: `iss`. Otherwise that is not looked at.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// For whom tokens must be: `aud`, or one of them where it is a list. Otherwise that is not looked at.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// By how many seconds the clocks may differ: 10 by default, and never more than [`LEEWAY_S_MAX`].
    #[must_use]
    pub fn leeway_s(mut self, seconds: u64) -> Self {
        self.leeway_s = seconds.min(LEEWAY_S_MAX);
        self
    }

    /// What a token says, if it is valid at this time, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// What is wrong with it. To the one who showed it, all but [`Expired`](TokenProblem::Expired) should look the
    /// same.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Claims, TokenProblem> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenProblem::TooLong);
        }
        let mut validation = Validation::new(self.algorithm);
        // All claims are checked below: the crate would ask the system's clock.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        validation.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Written>(token, &self.key, &validation);
        let decoded = decoded.map_err(|error| problem(token, error.kind()))?;
        understood(&decoded.header)?;
        self.judge(&decoded.claims, now_s)
    }

    fn judge(&self, claims: &Written, now_s: u64) -> Result<Claims, TokenProblem> {
        let expires_ms = milliseconds(&claims.exp)?.ok_or(TokenProblem::NoExpiry)?;
        let (now_ms, leeway_ms) = (now_s.saturating_mul(1000), self.leeway_s * 1000);
        // RFC 7519, section 4.1.4: the current date/time MUST be before the expiration date/time.
        if now_ms >= expires_ms.saturating_add(leeway_ms) {
            return Err(TokenProblem::Expired);
        }
        // RFC 7519, section 4.1.5: it MUST be after or equal to the not-before date/time.
        if milliseconds(&claims.nbf)?.is_some_and(|from| now_ms.saturating_add(leeway_ms) < from) {
            return Err(TokenProblem::NotYet);
        }
        if self.issuer.is_some() && claims.iss.as_str() != self.issuer.as_deref() {
            return Err(TokenProblem::WrongIssuer);
        }
        if let Some(wanted) = &self.audience {
            let is_meant = match &claims.aud {
                Value::String(one) => one == wanted,
                Value::Array(list) => list.iter().any(|it| it.as_str() == Some(wanted)),
                _ => false,
            };
            is_meant.then_some(()).ok_or(TokenProblem::WrongAudience)?;
        }
        match &claims.sub {
            Value::String(name) if !name.is_empty() => {
                Ok(Claims { name: name.clone(), expires_ms })
            }
            Value::Null | Value::String(_) => Err(TokenProblem::NoName),
            _ => Err(TokenProblem::Malformed),
        }
    }
}

/// Without the key.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("algorithm", &self.algorithm)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("leeway_s", &self.leeway_s)
            .finish_non_exhaustive()
    }
}

/// Why a key cannot be used; its text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// Fewer than [`SECRET_BYTES_MIN`] bytes.
    SecretTooShort,
    /// No PEM of an Ed25519 public key.
    NotEd25519,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretTooShort => write!(
                f,
                "the secret has fewer than {SECRET_BYTES_MIN} bytes; make one with openssl rand -base64 48"
            ),
            Self::NotEd25519 => f.write_str(
                "this is no Ed25519 public key in PEM; openssl pkey -in private.pem -pubout writes one",
            ),
        }
    }
}

impl std::error::Error for BadKey {}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenProblem {
    /// More than [`TOKEN_BYTES_MAX`] bytes.
    TooLong,
    /// No JWT, or a claim of the wrong type, or a header that demands what is not understood.
    Malformed,
    /// Not signed in the way that the configuration says; `none` is among these.
    WrongAlgorithm,
    /// The signature is not by the key.
    BadSignature,
    /// It does not say until when it is valid.
    NoExpiry,
    /// It was valid.
    Expired,
    /// It will be valid.
    NotYet,
    /// Not by the issuer that the configuration names.
    WrongIssuer,
    /// Not for the audience that the configuration names.
    WrongAudience,
    /// It does not say whose it is.
    NoName,
}

impl fmt::Display for TokenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is none, or one that is not understood",
            Self::WrongAlgorithm => "the token is signed with another algorithm",
            Self::BadSignature => "the token's signature is wrong",
            Self::NoExpiry => "the token does not say when it ends (exp)",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::WrongIssuer => "the token is by another issuer",
            Self::WrongAudience => "the token is for another audience",
            Self::NoName => "the token names nobody (sub)",
        })
    }
}

impl std::error::Error for TokenProblem {}

/// The claims as they stand. A claim that is twice there is refused; one that is `null` counts as missing.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
}

fn problem(token: &str, kind: &ErrorKind) -> TokenProblem {
    match kind {
        ErrorKind::InvalidAlgorithm => TokenProblem::WrongAlgorithm,
        ErrorKind::InvalidSignature => TokenProblem::BadSignature,
        // The crate does not know `none`, and takes it for a header that is no header.
        _ if names_unknown_algorithm(token) => TokenProblem::WrongAlgorithm,
        _ => TokenProblem::Malformed,
    }
}

/// Whether only the algorithm is why a header could not be read.
fn names_unknown_algorithm(token: &str) -> bool {
    use base64::Engine as _;
    #[derive(Deserialize)]
    struct Named {
        alg: String,
    }
    let header = token.split('.').next().unwrap_or_default();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header);
    let named = header.ok().and_then(|it| serde_json::from_slice::<Named>(&it).ok());
    named.is_some_and(|it| it.alg.parse::<Algorithm>().is_err()) && token.split('.').count() == 3
}

/// A header may demand that extensions are understood (RFC 7515, section 4.1.11); none is.
fn understood(header: &Header) -> Result<(), TokenProblem> {
    header.crit.is_none().then_some(()).ok_or(TokenProblem::Malformed)
}

/// A NumericDate: seconds since 1970, which may have a fraction.
fn milliseconds(date: &Value) -> Result<Option<u64>, TokenProblem> {
    match date {
        Value::Null => Ok(None),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds.saturating_mul(1000))),
            // Casts saturate: what is before 1970 is 0.
            (None, Some(seconds)) => Ok(Some((seconds * 1000.0) as u64)),
            (None, None) => Err(TokenProblem::Malformed),
        },
        _ => Err(TokenProblem::Malformed),
    }
}

#[cfg(test)]
mod tests;
