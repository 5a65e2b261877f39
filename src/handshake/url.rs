//! Where a client connects: `ws:` and `wss:` URLs (RFC 6455 section 3).

use std::fmt;
use std::str::FromStr;

use super::authority::{Authority, AuthorityError};
use super::target::{self, BadTarget, split_authority, split_query};

/// A WebSocket URL.
///
/// ```
/// use tautline::handshake::Url;
///
/// let url: Url = "WSS://[2001:db8::1]:443?room=7".parse()?;
/// assert!(url.is_secure());
/// assert_eq!(url.host(), "2001:db8::1");
/// assert_eq!(url.port(), 443);
/// assert_eq!(url.target(), "/?room=7");
/// assert_eq!(url.to_string(), "wss://[2001:db8::1]/?room=7");
/// # Ok::<(), tautline::handshake::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// Whether the scheme is `wss`: TLS comes first.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to resolve, to connect to and to verify: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they stand in the request line.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as they stand in the `Host` field: the default port is left out, IPv6 keeps its brackets.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The request MUST contain a |Host| header field whose value
    //# contains /host/ plus optionally ":" followed by /port/ (when not
    //# using the default port).
    pub fn authority(&self) -> Authority<'_> {
        let port = (self.port != default_port(self.secure)).then_some(self.port);
        Authority { host: &self.host, port }
    }
}

/// Parses a URL.
///
/// Refused for reasons that [`UrlError`] lists; among them what people take from a browser's address bar: another
/// scheme, a fragment, a user name, characters that are not ASCII.
impl FromStr for Url {
    type Err = UrlError;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The components of the WebSocket URI passed into this algorithm
    //# (/host/, /port/, /resource name/, and /secure/ flag) MUST be
    //# valid according to the specification of WebSocket URIs specified
    //# in Section 3. If any of the components are invalid, the client
    //# MUST _Fail the WebSocket Connection_ and abort these steps.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-3
        //# The URI is called "secure" (and it is said that "the secure flag is
        //# set") if the scheme component matches "wss" case-insensitively.
        let secure = scheme.eq_ignore_ascii_case("wss");
        if !secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(UrlError::Scheme);
        }
        let (authority, rest) = split_authority(rest);
        let authority = Authority::parse(authority).map_err(UrlError::Authority)?;
        target::check(rest).map_err(|bad| match bad {
            BadTarget::Character => UrlError::Character,
            BadTarget::Fragment => UrlError::Fragment,
            BadTarget::Percent => UrlError::Percent,
        })?;
        if rest.bytes().any(|byte| br#""<>[\]^`{|}"#.contains(&byte)) {
            return Err(UrlError::Character);
        }
        Ok(Self {
            secure,
            host: authority.host.to_owned(),
            port: authority.port.unwrap_or(default_port(secure)),
            target: resource_name(rest),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//# "/" if the path component is empty
fn resource_name(path_and_query: &str) -> String {
    let (path, query) = split_query(path_and_query);
    let path = if path.is_empty() { "/" } else { path };
    match query {
        None | Some("") => path.to_owned(),
        Some(query) => format!("{path}?{query}"),
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Why a text is no WebSocket URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `ws://` or `wss://`.
    Scheme,
    /// The host or the port.
    Authority(AuthorityError),
    /// A `#` after the host.
    Fragment,
    /// A `%` without two hexadecimal digits after it.
    Percent,
    /// A space, a control character, one that is not ASCII, or one of `"<>[\]^{|}` and the grave accent, which may stand
    /// in no URI (RFC 3986 section 2).
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no WebSocket URL: ")?;
        match self {
            Self::Scheme => f.write_str("it has to begin with ws:// or wss://"),
            Self::Authority(error) => error.fmt(f),
            Self::Fragment => {
                f.write_str("a fragment may not stand in it; a # that is meant is written %23")
            }
            Self::Percent => f.write_str("a % is not followed by two hexadecimal digits"),
            Self::Character => {
                f.write_str("spaces, quotes, brackets and what is not ASCII are written as %HH")
            }
        }
    }
}

impl std::error::Error for UrlError {}
