//! Host and port, as `Host`, a target in absolute-form, an origin and a URL have them (RFC 3986 section 3.2).

use core::net::Ipv6Addr;
use std::fmt;

/// A host and perhaps a port.
///
/// An `Authority` that exists has a valid host, without user information.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Splits and checks `host` or `host:port`.
    ///
    /// # Errors
    ///
    /// See [`AuthorityError`].
    pub fn parse(text: &'a str) -> Result<Self, AuthorityError> {
        let host_end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']').ok_or(AuthorityError::Ipv6)? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at_checked(host_end).unwrap_or((text, ""));
        if text.contains('@') {
            return Err(AuthorityError::Userinfo);
        }
        check_host(host)?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return Err(AuthorityError::Character),
            Some("") => None,
            Some(digits) => Some(parse_port(digits)?),
        };
        Ok(Self { host, port })
    }

    /// The host as it was written; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The port, where one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether both name the same host: names in any case, IPv6 addresses in any spelling.
    pub(crate) fn is_same_host(&self, other: &Authority<'_>) -> bool {
        match (ipv6(self.host), ipv6(other.host)) {
            (Some(one), Some(another)) => one == another,
            _ => self.host.eq_ignore_ascii_case(other.host),
        }
    }
}

/// As it stands in a `Host` field.
impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The port that a scheme has where none is written.
//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//# The port component is OPTIONAL; the default for "ws" is port 80,
//# while the default for "wss" is port 443.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") {
        Some(443)
    } else {
        None
    }
}

/// Whether each `%` stands before two hexadecimal digits.
pub(crate) fn percents_are_valid(text: &str) -> bool {
    let mut after_percents = text.as_bytes().split(|&byte| byte == b'%');
    after_percents.next();
    after_percents
        .all(|rest| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// A comma is legal in RFC 3986, but in a field it is the sign of two values that someone joined.
fn check_host(host: &str) -> Result<(), AuthorityError> {
    if host.is_empty() {
        return Err(AuthorityError::Empty);
    }
    if host.starts_with('[') {
        return ipv6(host).map(drop).ok_or(AuthorityError::Ipv6);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    if !host.bytes().all(legal) {
        return Err(AuthorityError::Character);
    }
    if !percents_are_valid(host) {
        return Err(AuthorityError::Percent);
    }
    Ok(())
}

fn parse_port(digits: &str) -> Result<u16, AuthorityError> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AuthorityError::Port);
    }
    digits.parse().map_err(|_| AuthorityError::Port)
}

/// What is wrong with a host or a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthorityError {
    /// No host.
    Empty,
    /// A user name or a password before the host.
    Userinfo,
    /// A character that no host has.
    Character,
    /// A `%` without two hexadecimal digits after it.
    Percent,
    /// Brackets without an IPv6 address in them.
    Ipv6,
    /// A port that is no number up to 65,535.
    Port,
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the host is missing",
            Self::Userinfo => "a user name or password may not stand before the host",
            Self::Character => "the host has a character that no host may have (an international name is written in its ASCII form, xn--...)",
            Self::Percent => "a % in the host is not followed by two hexadecimal digits",
            Self::Ipv6 => "the brackets do not hold an IPv6 address",
            Self::Port => "the port is not a number from 0 to 65535",
        })
    }
}

impl std::error::Error for AuthorityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_an_address_or_an_address_in_brackets_with_a_port_or_without() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("[::1]", "[::1]", None),
            ("[::1]:65535", "[::1]", Some(65535)),
            ("a%20b", "a%20b", None),
        ] {
            let authority = Authority::parse(text).expect(text);
            assert_eq!((authority.host(), authority.port()), (host, port));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_for_its_reason() {
        for (text, error) in [
            ("", AuthorityError::Empty),
            (":80", AuthorityError::Empty),
            ("user@example.com", AuthorityError::Userinfo),
            ("user:pass@example.com", AuthorityError::Userinfo),
            ("a,b", AuthorityError::Character),
            ("a b", AuthorityError::Character),
            ("a/b", AuthorityError::Character),
            ("a\\b", AuthorityError::Character),
            ("bücher.example", AuthorityError::Character),
            ("a%2", AuthorityError::Percent),
            ("a%zz", AuthorityError::Percent),
            ("[::1", AuthorityError::Ipv6),
            ("[]", AuthorityError::Ipv6),
            ("[1.2.3.4]", AuthorityError::Ipv6),
            ("[fe80::1%25eth0]", AuthorityError::Ipv6),
            ("[::1]80", AuthorityError::Character),
            ("::1", AuthorityError::Empty),
            ("1::1", AuthorityError::Port),
            ("a:65536", AuthorityError::Port),
            ("a:+80", AuthorityError::Port),
            ("a:80x", AuthorityError::Port),
        ] {
            assert_eq!(Authority::parse(text).map(drop), Err(error), "{text}");
        }
    }

    #[test]
    fn the_same_host_may_be_written_in_several_ways() {
        let same = |one, another| {
            let parse = |text| Authority::parse(text).expect("a host");
            parse(one).is_same_host(&parse(another))
        };
        assert!(same("Example.COM", "example.com"));
        assert!(same("[::1]", "[0:0:0:0:0:0:0:1]"));
        assert!(!same("example.com", "example.org"));
        assert!(!same("[::1]", "[::2]"));
    }
}
