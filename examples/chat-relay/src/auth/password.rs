//! Passwords: kept as argon2id hashes, and compared so that the time says nothing about who exists.
//!
//! A hash takes 19 MiB and some tens of milliseconds, on purpose. It belongs on a thread of its own, and the caller
//! says how many may be at work at once.

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Bytes of the shortest password.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Bytes of the longest password.
pub const PASSWORD_BYTES_MAX: usize = 256;

// What OWASP's Password Storage Cheat Sheet asks of argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A password of a length that is allowed. It is never printed.
#[derive(Clone)]
pub struct Password(Box<str>);

impl Password {
    /// The password, as it was typed.
    ///
    /// # Errors
    ///
    /// When it is shorter than [`PASSWORD_BYTES_MIN`] or longer than [`PASSWORD_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, PasswordProblem> {
        match text.len() {
            ..PASSWORD_BYTES_MIN => Err(PasswordProblem::TooShort),
            PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX => Ok(Self(text.into())),
            _ => Err(PasswordProblem::TooLong),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProblem {
    /// Fewer than [`PASSWORD_BYTES_MIN`] bytes.
    TooShort,
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    TooLong,
}

impl fmt::Display for PasswordProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "a password has at least {PASSWORD_BYTES_MIN} bytes"),
            Self::TooLong => write!(f, "a password has at most {PASSWORD_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for PasswordProblem {}

/// A hash could not be made: the system had no random bytes, or no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFailed;

impl fmt::Display for HashFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password could not be hashed")
    }
}

impl std::error::Error for HashFailed {}

/// What is kept of a password: a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$…`) with a salt of its own.
///
/// # Errors
///
/// When the system has no random bytes or no memory.
///
/// ```
/// use chat_relay::auth::password::{self, Password};
///
/// let password = Password::parse("correct horse")?;
/// let kept = password::hash(&password)?;
/// assert!(password::verify(&password, &kept));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn hash(password: &Password) -> Result<String, HashFailed> {
    let hash: Result<argon2::PasswordHash, _> = hasher()?.hash_password(password.0.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|_| HashFailed)
}

/// Whether this is the password that `hash` was made of. A text that is no hash fits none.
pub fn verify(password: &Password, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    hasher().is_ok_and(|it| it.verify_password(password.0.as_bytes(), &hash).is_ok())
}

/// [`verify`], where the name may be nobody's: without a hash, the answer is no, and takes the same time.
pub fn verify_person(password: &Password, hash: Option<&str>) -> bool {
    match hash {
        Some(hash) => verify(password, hash),
        None => {
            verify(password, &DUMMY);
            false
        }
    }
}

/// Makes what an unknown name is compared with, which would otherwise be made for the first of them, and take longer.
pub fn warm_up() {
    LazyLock::force(&DUMMY);
}

/// The hash of a password that nobody has: a new one in every process.
static DUMMY: LazyLock<String> = LazyLock::new(|| {
    let nobody = Password(format!("{:032x}", rand::random::<u128>()).into());
    hash(&nobody).unwrap_or_default()
});

fn hasher() -> Result<Argon2<'static>, HashFailed> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| HashFailed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_password_has_a_length_that_is_allowed() {
        let table = [
            (0, Some(PasswordProblem::TooShort)),
            (7, Some(PasswordProblem::TooShort)),
            (8, None),
            (256, None),
            (257, Some(PasswordProblem::TooLong)),
        ];
        for (bytes, problem) in table {
            assert_eq!(Password::parse(&"x".repeat(bytes)).err(), problem, "{bytes}");
        }
        assert!(Password::parse("käsebrö").is_ok(), "bytes count");
    }

    #[test]
    fn a_password_is_never_printed() {
        let password = Password::parse("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "Password(..)");
    }

    #[test]
    fn a_hash_fits_its_password_only_and_has_a_salt_of_its_own() {
        let parse = |text: &str| Password::parse(text).unwrap();
        let kept = hash(&parse("correct horse")).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash(&parse("correct horse")).unwrap());
        for (text, fits) in
            [("correct horse", true), ("Correct horse", false), ("correct horse ", false)]
        {
            assert_eq!(verify(&parse(text), &kept), fits, "{text}");
            assert_eq!(verify_person(&parse(text), Some(&kept)), fits, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_hash_fits_no_password() {
        let password = Password::parse("correct horse").unwrap();
        let table = [
            "",
            "correct horse",
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=19456,t=2,p=1$$",
            "$argon2id$v=19$m=0,t=0,p=0$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$2b$12$abcdefghijklmnopqrstuuMB9DFmQ6mrXyQpZB3w6L8VRQX3dXxlq",
        ];
        for text in table {
            assert!(!verify(&password, text), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_costs_what_a_known_one_does() {
        let password = Password::parse("correct horse").unwrap();
        let kept = hash(&password).unwrap();
        warm_up();
        // What is computed depends on no more than this.
        let parameters =
            |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(&kept), ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
        assert_eq!(parameters(&DUMMY), parameters(&kept));
        assert_eq!(DUMMY.len(), kept.len());
        assert!(!verify_person(&password, None) && verify_person(&password, Some(&kept)));
    }
}
