//! `Sec-WebSocket-Key`, and the digest that answers it (RFC 6455 sections 4.1 and 4.2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// What the server adds to the key: no server that does not know WebSocket would.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client's key: 24 characters that stand for 16 bytes.
///
/// ```
/// use tautline::handshake::Key;
///
/// let key = Key::from_nonce(*b"the sample nonce");
/// assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// The key of a client that chose this nonce.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The value of this header field MUST be a
    //# nonce consisting of a randomly selected 16-byte value that has
    //# been base64-encoded (see Section 4 of [RFC4648]).
    pub fn from_nonce(nonce: [u8; 16]) -> Self {
        Self(encode(&nonce))
    }

    /// The key in a request, if it is one.
    ///
    /// 24 characters decode to 16 bytes exactly if 22 of the alphabet stand before two signs of padding. The four bits
    /// that the 22nd character has to spare may be anything: those of the RFC's own example are not zero.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# A |Sec-WebSocket-Key| header field with a base64-encoded (see
    //# Section 4 of [RFC4648]) value that, when decoded, is 16 bytes in
    //# length.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let key: [u8; 24] = value.try_into().ok()?;
        let digits = key.strip_suffix(b"==")?;
        let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        digits.iter().all(in_alphabet).then_some(Self(key))
    }

    /// The key as it stands in the request.
    pub fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The value of `Sec-WebSocket-Accept` that answers this key.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# The value of this
    //# header field is constructed by concatenating /key/, defined
    //# above in step 4 in Section 4.2.2, with the string
    pub fn accept(&self) -> [u8; 28] {
        encode(&Sha1::new().chain_update(self.0).chain_update(GUID).finalize())
    }
}

/// Base64 of bytes whose encoded length is `N`.
fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    let written = STANDARD.encode_slice(bytes, &mut text);
    debug_assert!(matches!(written, Ok(it) if it == N), "N is the encoded length");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_answered_as_the_rfc_says() {
        let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").expect("a key");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# This value
        //# is then base64-encoded, to give the value
        //# "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", which would be returned in the
        //# |Sec-WebSocket-Accept| header field.
        assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_example_of_section_4_1_is_a_key_though_its_last_bits_are_not_zero() {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# the value of the header
        //# field would be "AQIDBAUGBwgJCgsMDQ4PEC=="
        assert!(Key::parse(b"AQIDBAUGBwgJCgsMDQ4PEC==").is_some());
    }

    #[test]
    fn what_decodes_to_other_than_16_bytes_is_no_key() {
        let wrong: [&[u8]; 9] = [
            b"",
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZQAA",
            b"dGhlIHNhbXBsZSBub25jZQA=",
            b"dGhlIHNhbXBsZSBub25j====",
            b"dGhlIHNhbXBsZSBub25j Q==",
            b"dGhlIHNhbXBsZSBub25j-Q==",
            b"dGhlIHNhbXBsZSBub25jZ===",
        ];
        for value in wrong {
            assert_eq!(Key::parse(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_nonce_of_any_bits_makes_a_key() {
        for byte in 0..=u8::MAX {
            let key = Key::from_nonce([byte; 16]);
            assert_eq!(Key::parse(key.as_bytes()), Some(key));
        }
    }
}
