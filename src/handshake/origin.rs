//! Where the script comes from that opens a connection, and from where one may come (RFC 6455 section 10.2, RFC 6454).
//!
//! A browser lets any page connect to any WebSocket server and sends the cookies along; the `Origin` field is the only
//! thing that tells a server's own pages from others.

use std::fmt;

use super::authority::{Authority, AuthorityError, default_port};

/// The origin of a page: `null`, or scheme, host and port.
///
/// Two origins are equal if these are: scheme and host in any case, a port that is left out being that of the scheme.
///
/// ```
/// use tautline::handshake::Origin;
///
/// assert_eq!(Origin::parse("https://example.com")?, Origin::parse("https://Example.com:443")?);
/// assert_ne!(Origin::parse("https://example.com")?, Origin::parse("http://example.com")?);
/// assert_ne!(Origin::parse("https://example.com")?, Origin::parse("null")?);
/// # Ok::<(), tautline::handshake::OriginError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// The origin of a sandboxed frame, a `data:` page and the like: many pages have it, and none of them is known.
    Null,
    /// A page of a site, or of something that has a scheme of its own, such as `file://` or a browser's extension.
    Site {
        /// The scheme, mostly `http` or `https`.
        scheme: &'a str,
        /// The host, which may be empty if the scheme is neither, and the port.
        authority: Authority<'a>,
    },
}

impl<'a> Origin<'a> {
    /// Parses `null`, `scheme://host` or `scheme://host:port`.
    ///
    /// # Errors
    ///
    /// See [`OriginError`]. A path, even `/`, is one of them: an origin has none.
    pub fn parse(text: &'a str) -> Result<Self, OriginError> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::NoScheme)?;
        let mut letters = scheme.bytes();
        let begins_well = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !begins_well || !letters.all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it)) {
            return Err(OriginError::NoScheme);
        }
        if rest.is_empty() && default_port(scheme).is_none() {
            return Ok(Self::Site { scheme, authority: Authority { host: "", port: None } });
        }
        if rest.contains(['/', '?', '#']) {
            return Err(OriginError::Path);
        }
        Ok(Self::Site {
            scheme,
            authority: Authority::parse(rest).map_err(OriginError::Authority)?,
        })
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (
                Self::Site { scheme, authority },
                Self::Site { scheme: other_scheme, authority: other },
            ) => {
                scheme.eq_ignore_ascii_case(other_scheme)
                    && authority.is_same_host(other)
                    && authority.port.or(default_port(scheme))
                        == other.port.or(default_port(other_scheme))
            }
            (Self::Null, Self::Site { .. }) | (Self::Site { .. }, Self::Null) => false,
        }
    }
}

impl Eq for Origin<'_> {}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Site { scheme, authority } => write!(f, "{scheme}://{authority}"),
        }
    }
}

/// Which origins a server takes connections from.
///
/// A request without an `Origin` field does not come from a browser, and every policy allows it: whoever writes the
/// request itself can write any origin into it. The field protects the users of browsers and nobody else.
///
/// ```
/// use tautline::handshake::Origins;
///
/// let origins = Origins::list(["https://example.com", "https://app.example.com:8443"])?;
/// assert!(Origins::list(["example.com"]).is_err()); // which scheme?
/// # Ok::<(), tautline::handshake::BadOrigin>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages of every site, said out loud: for services that use no cookies and trust no address.
    Any,
    /// Pages that this server's own host serves, over TLS exactly if this listener speaks TLS. Behind a proxy that ends
    /// TLS the two differ: list the origin there.
    ///
    /// The host is the one of the request. A page can have its own name lead to this server (DNS rebinding): where a
    /// peer is trusted for the address it comes from, or the server is reached on a private one, compare
    /// [`host`](super::HttpRequest::host) with the names that the server has, or list the origins.
    #[default]
    SameHost,
    /// The origins of a list, see [`Origins::list`].
    List(OriginList),
}

impl Origins {
    /// The origins of these pages and of no others. `null` may be among them.
    ///
    /// # Errors
    ///
    /// At the first entry that is not an origin, with the entry and what is wrong with it. No entry stands for several
    /// hosts: a `*` is refused.
    pub fn list<I>(entries: I) -> Result<Self, BadOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parse = |entry: I::Item| Entry::parse(entry.as_ref());
        entries
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(|it| Self::List(OriginList(it)))
    }

    /// Whether a page of this origin may connect to this host; `secure` says that the listener speaks TLS.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
    //# Servers that are not intended to process input from any web page but
    //# only for certain sites SHOULD verify the |Origin| field is an origin
    //# they expect.
    pub fn allows(&self, origin: Option<&Origin<'_>>, host: &Authority<'_>, secure: bool) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# A connection attempt lacking this
        //# header field SHOULD NOT be interpreted as coming from a browser
        //# client.
        let Some(origin) = origin else { return true };
        match self {
            Self::Any => true,
            Self::SameHost => {
                let scheme = if secure { "https" } else { "http" };
                *origin == Origin::Site { scheme, authority: *host }
            }
            Self::List(list) => list.0.iter().any(|entry| entry.origin() == *origin),
        }
    }
}

/// The checked entries of [`Origins::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginList(Vec<Entry>);

/// An origin that is owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Null,
    Site { scheme: String, host: String, port: Option<u16> },
}

impl Entry {
    fn parse(entry: &str) -> Result<Self, BadOrigin> {
        if entry.contains('*') {
            return Err(BadOrigin { entry: entry.to_owned(), error: OriginError::Wildcard });
        }
        match Origin::parse(entry) {
            Ok(Origin::Null) => Ok(Self::Null),
            Ok(Origin::Site { scheme, authority: Authority { host, port } }) => {
                Ok(Self::Site { scheme: scheme.to_owned(), host: host.to_owned(), port })
            }
            Err(error) => Err(BadOrigin { entry: entry.to_owned(), error }),
        }
    }

    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Null => Origin::Null,
            Self::Site { scheme, host, port } => {
                Origin::Site { scheme, authority: Authority { host, port: *port } }
            }
        }
    }
}

/// What is wrong with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OriginError {
    /// Neither `null` nor a scheme and `://`.
    NoScheme,
    /// A `*`, which stands for nothing in a list.
    Wildcard,
    /// Something after the host and the port.
    Path,
    /// The host or the port.
    Authority(AuthorityError),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => {
                f.write_str("it has to begin with a scheme, such as https://, or to be null")
            }
            Self::Wildcard => f.write_str("a * stands for nothing here: list each host"),
            Self::Path => {
                f.write_str("it has to end after host and port, without a path or a slash")
            }
            Self::Authority(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OriginError {}

/// An entry of [`Origins::list`] that is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrigin {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    pub error: OriginError,
}

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin: {}", self.entry, self.error)
    }
}

impl std::error::Error for BadOrigin {}
