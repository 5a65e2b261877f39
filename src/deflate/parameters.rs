//! The four parameters of the extension, as they stand in an offer or in an answer (RFC 7692 section 7.1).

use std::borrow::Cow;
use std::fmt;

use super::NAME;

/// The parameters of one offer, or of an answer. Its `Display` is the element of `Sec-WebSocket-Extensions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The server compresses each message for itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message for itself; in an offer, a hint that it will.
    pub client_no_context_takeover: bool,
    /// The server's window at most, 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// The client's window at most, 8 to 15. In an offer it may stand without a value, which says that the server may
    /// ask for one.
    pub client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// Reads the parameters of an element; `None` where one is unknown, repeated, or has a value that is not allowed.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //# The negotiation offer contains an extension parameter with an
    //# invalid value.
    pub(super) fn parse<'h>(
        parameters: impl Iterator<Item = (&'h str, Option<Cow<'h, str>>)>,
    ) -> Option<Self> {
        let mut parsed = Self::default();
        for (name, value) in parameters {
            let bits = value.map(|it| parse_window_bits(&it));
            let repeated = match (name, bits) {
                ("server_no_context_takeover", None) => {
                    std::mem::replace(&mut parsed.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    std::mem::replace(&mut parsed.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(Some(bits))) => {
                    parsed.server_max_window_bits.replace(bits).is_some()
                }
                ("client_max_window_bits", None) => {
                    parsed.client_max_window_bits.replace(None).is_some()
                }
                ("client_max_window_bits", Some(Some(bits))) => {
                    parsed.client_max_window_bits.replace(Some(bits)).is_some()
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(parsed)
    }
}

/// A decimal number from 8 to 15 without leading zeros.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# This parameter has a decimal
//# integer value without leading zeroes between 8 to 15, inclusive,
//# indicating the base-2 logarithm of the LZ77 sliding window size, and
//# MUST conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# The "server_max_window_bits"
//# extension parameter in an extension negotiation response has a
//# decimal integer value without leading zeroes between 8 to 15,
//# inclusive, indicating the base-2 logarithm of the LZ77 sliding window
//# size, and MUST conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a value is specified for this parameter, the value MUST
//# conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# The
//# "client_max_window_bits" extension parameter in an extension
//# negotiation response has a decimal integer value without leading
//# zeroes between 8 to 15 inclusive indicating the base-2 logarithm of
//# the LZ77 sliding window size and MUST conform to the ABNF below.
fn parse_window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + (digit - b'0')),
        _ => None,
    }
}

impl fmt::Display for Parameters {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# The parameters supplied with any given extension MUST
    //# be defined for that extension.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            None => Ok(()),
            Some(None) => f.write_str("; client_max_window_bits"),
            Some(Some(bits)) => write!(f, "; client_max_window_bits={bits}"),
        }
    }
}
