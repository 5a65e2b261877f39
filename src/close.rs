//! The closing handshake's vocabulary: codes, and the body of a close frame (RFC 6455 sections 5.5.1 and 7.4).

use std::fmt;

/// A status code that may stand in a close frame.
///
/// A `CloseCode` that exists is legal on the wire: 1000 to 1003, 1007 to 1014 and 3000 to 4999. The codes 1005
/// ("no code was given"), 1006 ("the connection broke") and 1015 ("TLS failed") are names for what did *not*
/// arrive in a frame; here they are `None` or an enum variant, never a number.
///
/// ```
/// use tautline::CloseCode;
///
/// assert_eq!(CloseCode::new(4001).map(CloseCode::get), Some(4001));
/// assert_eq!(CloseCode::new(1006), None);
/// assert_eq!(CloseCode::TOO_BIG.to_string(), "1009 (message too big)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that this endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data that does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer broke a rule of this endpoint.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message over the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the server did not agree to an extension that the client needs.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: the endpoint met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code, if it may stand in a close frame.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2
    //# Status codes in the range 0-999 are not used.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    //# 1005 is a reserved value and MUST NOT be set as a status code in a
    //# Close control frame by an endpoint.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    //# 1006 is a reserved value and MUST NOT be set as a status code in a
    //# Close control frame by an endpoint.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    //# 1015 is a reserved value and MUST NOT be set as a status code in a
    //# Close control frame by an endpoint.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// What the code means; empty for 3000 to 4999, whose meaning is not ours to know.
    const fn meaning(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1007 => "invalid payload data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "mandatory extension",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            _ => "",
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            "" => write!(f, "{}", self.0),
            meaning => write!(f, "{} ({meaning})", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// What a close frame says: a code and a reason, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Close<'a> {
    /// The code; `None` where the frame was empty, which RFC 6455 calls 1005.
    pub code: Option<CloseCode>,
    /// The reason, at most 123 bytes; empty where none was given.
    pub reason: &'a str,
}

/// A reason shares the 125 bytes of a control frame with the two of the code.
pub(crate) const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    //# 1005 is a reserved value and MUST NOT be set as a status code in a
    //# Close control frame by an endpoint.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    //# 1006 is a reserved value and MUST NOT be set as a status code in a
    //# Close control frame by an endpoint.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    //# 1015 is a reserved value and MUST NOT be set as a status code in a
    //# Close control frame by an endpoint.
    #[test]
    fn every_one_of_the_65_536_codes_is_legal_or_not_as_section_7_4_says() {
        for code in 0..=u16::MAX {
            let reserved = matches!(code, 1004..=1006 | 1015);
            let registered = (1000..=1014).contains(&code) && !reserved;
            let for_others = (3000..5000).contains(&code);
            assert_eq!(CloseCode::new(code).is_some(), registered || for_others, "{code}");
            assert!(CloseCode::new(code).is_none_or(|it| it.get() == code));
        }
    }
}
