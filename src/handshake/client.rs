//! The client's side: the request (RFC 6455 section 4.1).

use std::borrow::Cow;
use std::fmt;

use super::answer::ClientHandshake;
use super::extra::{ExtraFields, FieldError, write_field};
use super::fields::token;
use super::key::Key;
use super::origin::{Origin, OriginError};
use super::url::Url;
use crate::deflate::Deflate;

/// The request of a client.
///
/// ```
/// use tautline::handshake::{ClientRequest, Url};
///
/// let url: Url = "ws://server.example.com/chat".parse()?;
/// let request = ClientRequest::new(url)
///     .subprotocol("chat.v2")?
///     .subprotocol("chat")?
///     .field("Authorization", "Bearer abc")?;
///
/// let mut out = Vec::new();
/// let handshake = request.write(*b"the sample nonce", &mut out);
/// assert!(out.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    url: Url,
    origin: Option<String>,
    subprotocols: Vec<Cow<'static, str>>,
    deflate: Vec<Deflate>,
    fields: ExtraFields,
}

impl ClientRequest {
    /// A request for this URL.
    pub const fn new(url: Url) -> Self {
        Self {
            url,
            origin: None,
            subprotocols: Vec::new(),
            deflate: Vec::new(),
            fields: ExtraFields::new(),
        }
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for a subprotocol; the one that is liked best comes first.
    ///
    /// # Errors
    ///
    /// When it is no token, or is asked for already.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The elements that comprise this value
    //# MUST be non-empty strings with characters in the range U+0021 to
    //# U+007E not including separator characters as defined in
    //# [RFC2616] and MUST all be unique strings.
    pub fn subprotocol(
        mut self,
        subprotocol: impl Into<Cow<'static, str>>,
    ) -> Result<Self, RequestError> {
        let subprotocol = subprotocol.into();
        if token(subprotocol.as_bytes()).is_none() {
            return Err(RequestError::SubprotocolNotToken(subprotocol.into_owned()));
        }
        if self.subprotocols.contains(&subprotocol) {
            return Err(RequestError::SubprotocolRepeated(subprotocol.into_owned()));
        }
        self.subprotocols.push(subprotocol);
        Ok(self)
    }

    /// Offers compressed messages. Several offers may be made; the one that is liked best comes first.
    ///
    /// ```
    /// use tautline::Deflate;
    /// use tautline::deflate::WindowBits;
    /// use tautline::handshake::ClientRequest;
    ///
    /// let mut small = Deflate::default();
    /// small.receiving.context_takeover = true;
    /// small.receiving.max_window_bits = WindowBits::MIN;
    /// let request = ClientRequest::new("ws://server.example.com/".parse()?)
    ///     .deflate(small)
    ///     .deflate(Deflate::default()); // for a server that cannot do with a small window
    /// # Ok::<(), tautline::handshake::UrlError>(())
    /// ```
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.deflate.push(deflate);
        self
    }

    /// Sends an `Origin`, as a browser would.
    ///
    /// # Errors
    ///
    /// When it is no origin.
    pub fn origin(mut self, origin: &str) -> Result<Self, RequestError> {
        Origin::parse(origin).map_err(RequestError::Origin)?;
        self.origin = Some(origin.to_owned());
        Ok(self)
    }

    /// Adds a field to the request.
    ///
    /// # Errors
    ///
    /// When the name is no token, the value has a control character, or the field is the engine's to write.
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, RequestError> {
        self.fields.push(name.into(), value.into()).map_err(RequestError::Field)?;
        Ok(self)
    }

    /// Appends the request to `out`, and gives the machine that checks the answer to it.
    ///
    /// The nonce comes from a source of randomness that nobody can predict, fresh for each connection.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The handshake MUST be a valid HTTP request as specified by
    //# [RFC2616].
    pub fn write(&self, nonce: [u8; 16], out: &mut Vec<u8>) -> ClientHandshake {
        let key = Key::from_nonce(nonce);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The method of the request MUST be GET, and the HTTP version MUST
        //# be at least 1.1.
        out.extend_from_slice(b"GET ");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The "Request-URI" part of the request MUST match the /resource
        //# name/ defined in Section 3 (a relative URI)
        out.extend_from_slice(self.url.target().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain a |Host| header field
        write_field("Host", self.url.authority().to_string().as_bytes(), out);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain an |Upgrade| header field whose value
        //# MUST include the "websocket" keyword.
        write_field("Upgrade", b"websocket", out);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain a |Connection| header field whose value
        //# MUST include the "Upgrade" token.
        write_field("Connection", b"Upgrade", out);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST include a header field with the name
        //# |Sec-WebSocket-Key|.
        write_field("Sec-WebSocket-Key", key.as_bytes(), out);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST include a header field with the name
        //# |Sec-WebSocket-Version|.  The value of this header field MUST be
        //# 13.
        write_field("Sec-WebSocket-Version", b"13", out);
        if let Some(origin) = &self.origin {
            write_field("Origin", origin.as_bytes(), out);
        }
        if !self.subprotocols.is_empty() {
            write_field("Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes(), out);
        }
        if !self.deflate.is_empty() {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# To offer use of a PMCE, a client MUST include the extension name of
            //# the PMCE in the "Sec-WebSocket-Extensions" header field of its
            //# opening handshake of the WebSocket connection.
            let offers: Vec<_> = self.deflate.iter().map(|it| it.offer().to_string()).collect();
            write_field("Sec-WebSocket-Extensions", offers.join(", ").as_bytes(), out);
        }
        self.fields.write(out);
        out.extend_from_slice(b"\r\n");
        ClientHandshake::new(&key, self.subprotocols.clone(), self.deflate.clone())
    }
}

/// What an application asks for that no request can say. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A subprotocol that is empty, or has a character that a token may not have.
    SubprotocolNotToken(String),
    /// A subprotocol that is asked for twice.
    SubprotocolRepeated(String),
    /// An origin that is none.
    Origin(OriginError),
    /// A field that may not be added.
    Field(FieldError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubprotocolNotToken(it) => {
                write!(f, "{it:?} is no subprotocol: it has no spaces, commas or other separators")
            }
            Self::SubprotocolRepeated(it) => {
                write!(f, "the subprotocol {it:?} is asked for twice")
            }
            Self::Origin(error) => write!(f, "not an origin: {error}"),
            Self::Field(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}
