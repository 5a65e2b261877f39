//! Tokens that are made here by hand, so that they can be wrong in every way.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes, or so";
const NOW: u64 = 1_700_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn hs256(secret: &[u8], header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes())))
}

fn ed25519(key: &Ed25519KeyPair, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    format!("{message}.{}", encode(key.sign(message.as_bytes())))
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// The public half, as openssl writes it.
fn pem(key: &Ed25519KeyPair) -> String {
    let mut der = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
    der.extend_from_slice(key.public_key().as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const EDDSA: &str = r#"{"alg":"EdDSA"}"#;

fn good() -> Value {
    json!({ "sub": "ann", "exp": NOW + 60 })
}

fn ann() -> Result<Claims, TokenProblem> {
    Ok(Claims { name: "ann".into(), expires_ms: (NOW + 60) * 1000 })
}

#[test]
fn a_token_that_is_signed_and_in_time_says_who_it_is() {
    let secret = Verifier::hs256(SECRET).unwrap();
    assert_eq!(secret.verify(&hs256(SECRET, HS256, &good().to_string()), NOW), ann());
    let key = pair(1);
    let public = Verifier::ed25519(pem(&key).as_bytes()).unwrap();
    assert_eq!(public.verify(&ed25519(&key, EDDSA, &good().to_string()), NOW), ann());
}

#[test]
fn the_example_of_the_rfc_was_valid_in_its_time() {
    // RFC 7515, appendix A.1, with the key of A.1.1; it has no `sub`.
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0\
                 dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let verifier = Verifier::hs256(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap().issuer("joe");
    assert_eq!(verifier.verify(token, 1_300_819_379), Err(TokenProblem::NoName));
    assert_eq!(verifier.verify(token, 1_300_819_390), Err(TokenProblem::Expired));
}

#[test]
fn the_algorithm_is_the_verifiers_choice_and_never_the_tokens() {
    let claims = good().to_string();
    let key = pair(1);
    let public_pem = pem(&key);
    let public = Verifier::ed25519(public_pem.as_bytes()).unwrap();
    let secret = Verifier::hs256(SECRET).unwrap();
    let unsigned =
        |alg: &str| format!("{}.{}.", encode(json!({ "alg": alg }).to_string()), encode(&claims));
    let hs = |alg: &str| hs256(SECRET, &json!({ "alg": alg }).to_string(), &claims);
    use TokenProblem::{BadSignature, WrongAlgorithm};
    let table = [
        // What everybody knows is no secret: RFC 8725, section 2.1.
        (&public, hs256(public_pem.as_bytes(), HS256, &claims), WrongAlgorithm),
        (&public, hs256(key.public_key().as_ref(), HS256, &claims), WrongAlgorithm),
        (&public, hs256(public_pem.as_bytes(), EDDSA, &claims), BadSignature),
        (&public, ed25519(&pair(2), EDDSA, &claims), BadSignature),
        (&public, unsigned("none"), WrongAlgorithm),
        (&public, unsigned("EdDSA"), BadSignature),
        (&secret, ed25519(&key, EDDSA, &claims), WrongAlgorithm),
        (&secret, hs256(b"another secret of more than 32 bytes", HS256, &claims), BadSignature),
        (&secret, unsigned("none"), WrongAlgorithm),
        (&secret, unsigned("None"), WrongAlgorithm),
        (&secret, unsigned("HS256"), BadSignature),
        (&secret, hs("HS384"), WrongAlgorithm),
        (&secret, hs("RS256"), WrongAlgorithm),
        (&secret, hs("hs256"), WrongAlgorithm),
        (&secret, hs("none"), WrongAlgorithm),
    ];
    for (index, (verifier, token, problem)) in table.into_iter().enumerate() {
        assert_eq!(verifier.verify(&token, NOW), Err(problem), "{index}: {token}");
    }
}

#[test]
fn a_token_that_was_changed_anywhere_is_refused() {
    let verifier = Verifier::hs256(SECRET).unwrap();
    let token = hs256(SECRET, HS256, &good().to_string());
    assert!(verifier.verify(&token, NOW).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verifier.verify(&changed, NOW).is_err(), "{at}");
        assert!(verifier.verify(&token[..at], NOW).is_err(), "{at}");
    }
    let other = hs256(SECRET, HS256, &json!({ "sub": "bob", "exp": NOW + 60 }).to_string());
    let (message, signature) =
        (other.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().1);
    let mixed = format!("{message}.{signature}");
    assert_eq!(verifier.verify(&mixed, NOW), Err(TokenProblem::BadSignature));
}

#[test]
fn junk_and_huge_tokens_are_refused_before_anything_is_believed() {
    let verifier = Verifier::hs256(SECRET).unwrap();
    let table =
        ["", ".", "..", "...", "a.b.c", "a.b.c.d", "\0", "ä.ö.ü", "e30.e30.e30", "Bearer x"];
    for token in table {
        assert_eq!(verifier.verify(token, NOW), Err(TokenProblem::Malformed), "{token:?}");
    }
    for claims in ["", "[]", "7", "{", r#"{"sub":"ann","sub":"bob","exp":9999999999}"#] {
        let token = hs256(SECRET, HS256, claims);
        assert_eq!(verifier.verify(&token, NOW), Err(TokenProblem::Malformed), "{claims:?}");
    }
    for header in ["{}", "[]", "", r#"{"alg":7}"#, r#"{"alg":"HS256","crit":["exp"],"exp":1}"#] {
        let token = hs256(SECRET, header, &good().to_string());
        assert_eq!(verifier.verify(&token, NOW), Err(TokenProblem::Malformed), "{header:?}");
    }
    let filled = |bytes: usize| {
        let claims = json!({ "sub": "ann", "exp": NOW + 60, "filling": "x".repeat(bytes) });
        hs256(SECRET, HS256, &claims.to_string())
    };
    assert!(filled(5_900).len() <= TOKEN_BYTES_MAX && filled(6_100).len() > TOKEN_BYTES_MAX);
    assert_eq!(verifier.verify(&filled(5_900), NOW), ann());
    assert_eq!(verifier.verify(&filled(6_100), NOW), Err(TokenProblem::TooLong));
    assert_eq!(verifier.verify(&"x".repeat(1 << 20), NOW), Err(TokenProblem::TooLong));
}

#[test]
fn claims_are_judged_by_the_time_that_is_given_and_the_leeway() {
    use TokenProblem::{Expired, Malformed, NoExpiry, NoName, NotYet};
    let table = [
        (0, json!({ "sub": "ann", "exp": NOW + 1 }), None),
        (0, json!({ "sub": "ann", "exp": NOW }), Some(Expired)),
        (0, json!({ "sub": "ann", "exp": NOW as f64 + 0.5 }), None),
        (10, json!({ "sub": "ann", "exp": NOW - 9 }), None),
        (10, json!({ "sub": "ann", "exp": NOW - 10 }), Some(Expired)),
        (60, json!({ "sub": "ann", "exp": NOW - 59 }), None),
        (9_999, json!({ "sub": "ann", "exp": NOW - 60 }), Some(Expired)),
        (0, json!({ "sub": "ann", "exp": -1 }), Some(Expired)),
        (0, json!({ "sub": "ann", "exp": u64::MAX }), None),
        (0, json!({ "sub": "ann", "exp": 1e300 }), None),
        (0, json!({ "sub": "ann", "exp": NOW + 60, "nbf": NOW }), None),
        (0, json!({ "sub": "ann", "exp": NOW + 60, "nbf": NOW + 1 }), Some(NotYet)),
        (5, json!({ "sub": "ann", "exp": NOW + 60, "nbf": NOW + 5 }), None),
        (5, json!({ "sub": "ann", "exp": NOW + 60, "nbf": NOW + 6 }), Some(NotYet)),
        // A wrong type is no missing claim: CVE-2026-25537.
        (0, json!({ "sub": "ann", "exp": NOW + 60, "nbf": "99999999999" }), Some(Malformed)),
        (0, json!({ "sub": "ann", "exp": "99999999999" }), Some(Malformed)),
        (0, json!({ "sub": "ann", "exp": [NOW + 60] }), Some(Malformed)),
        (0, json!({ "sub": "ann" }), Some(NoExpiry)),
        (0, json!({ "sub": "ann", "exp": null }), Some(NoExpiry)),
        (0, json!({ "exp": NOW + 60 }), Some(NoName)),
        (0, json!({ "sub": "", "exp": NOW + 60 }), Some(NoName)),
        (0, json!({ "sub": 7, "exp": NOW + 60 }), Some(Malformed)),
        (0, json!({}), Some(NoExpiry)),
    ];
    for (leeway_s, claims, problem) in table {
        let verifier = Verifier::hs256(SECRET).unwrap().leeway_s(leeway_s);
        let judged = verifier.verify(&hs256(SECRET, HS256, &claims.to_string()), NOW);
        assert_eq!(judged.err(), problem, "{leeway_s} {claims}");
    }
}

#[test]
fn issuer_and_audience_are_checked_where_they_are_configured() {
    use TokenProblem::{WrongAudience, WrongIssuer};
    let open = Verifier::hs256(SECRET).unwrap();
    let strict = open.clone().issuer("login").audience("chat");
    let table = [
        (json!({ "iss": "login", "aud": "chat" }), None),
        (json!({ "iss": "login", "aud": ["mail", "chat"] }), None),
        (json!({ "iss": "Login", "aud": "chat" }), Some(WrongIssuer)),
        (json!({ "iss": ["login"], "aud": "chat" }), Some(WrongIssuer)),
        (json!({ "aud": "chat" }), Some(WrongIssuer)),
        (json!({ "iss": "login" }), Some(WrongAudience)),
        (json!({ "iss": "login", "aud": "chats" }), Some(WrongAudience)),
        (json!({ "iss": "login", "aud": [] }), Some(WrongAudience)),
        (json!({ "iss": "login", "aud": [["chat"]] }), Some(WrongAudience)),
        (json!({ "iss": "login", "aud": { "chat": true } }), Some(WrongAudience)),
    ];
    for (mut claims, problem) in table {
        claims["sub"] = "ann".into();
        claims["exp"] = (NOW + 60).into();
        let token = hs256(SECRET, HS256, &claims.to_string());
        assert_eq!(strict.verify(&token, NOW).err(), problem, "{claims}");
        assert_eq!(open.verify(&token, NOW), ann(), "{claims}");
    }
}

#[test]
fn a_key_that_is_none_is_refused_with_what_to_do() {
    for bytes in [0, 1, 31] {
        assert_eq!(Verifier::hs256(&vec![7; bytes]).unwrap_err(), BadKey::SecretTooShort);
    }
    assert!(Verifier::hs256(&[7; 32]).is_ok());
    let rsa = "-----BEGIN PUBLIC KEY-----\nMCwwDQYJKoZIhvcNAQEBBQADGwAwGAIRAMB7\n-----END PUBLIC KEY-----\n";
    let cut = pem(&pair(1)).replace("MCow", "MCox");
    let private = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    for text in ["", "junk", rsa, &cut, &private] {
        assert_eq!(Verifier::ed25519(text.as_bytes()).unwrap_err(), BadKey::NotEd25519, "{text}");
    }
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().public_key_pem();
    assert!(Verifier::ed25519(made.as_bytes()).is_ok());
}

#[test]
fn a_verifier_does_not_print_its_key() {
    let printed = format!("{:?}", Verifier::hs256(SECRET).unwrap());
    assert!(printed.contains("HS256") && !printed.contains("key") && !printed.contains("97, 32"));
}
