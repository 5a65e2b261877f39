//! The server's yes: the 101 (RFC 6455 section 4.2.2).

use std::borrow::Cow;
use std::fmt;

use super::Agreed;
use super::extra::{ExtraFields, FieldError, write_field};
use super::request::Request;
use crate::deflate::{self, Deflate};

/// How a server accepts a request. Without anything added, nothing is allocated.
///
/// ```
/// use tautline::handshake::Accept;
///
/// let accept = Accept::new().subprotocol("chat.v2").field("Set-Cookie", "seen=1")?;
/// assert!(Accept::new().field("Set-Cookie", "a\r\nX-Injected: b").is_err());
/// # Ok::<(), tautline::handshake::FieldError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    subprotocol: Option<Cow<'static, str>>,
    /// What was said of compression, if anything was.
    deflate: Option<Option<Deflate>>,
    fields: ExtraFields,
}

impl Accept {
    /// Accepts without a subprotocol. Messages are compressed if a reactor's [setting](crate::Deflate) says so, and
    /// nothing is said here with `deflate`; without a reactor they are not.
    pub const fn new() -> Self {
        Self { subprotocol: None, deflate: None, fields: ExtraFields::new() }
    }

    /// Agrees to compressed messages, where the client offers them in a way that these settings allow: its first such
    /// offer counts (RFC 7692 section 7.1). `None` agrees to none. Without this call the setting of the reactor holds,
    /// if there is a reactor and it has one.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: impl Into<Option<Deflate>>) -> Self {
        self.deflate = Some(deflate.into());
        self
    }

    /// Chooses a subprotocol, one of [`Request::protocols`].
    pub fn subprotocol(mut self, subprotocol: impl Into<Cow<'static, str>>) -> Self {
        self.subprotocol = Some(subprotocol.into());
        self
    }

    /// The same for all that say nothing of it.
    #[cfg(feature = "reactor")]
    pub(crate) fn deflate_by_default(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = self.deflate.or(Some(deflate));
        self
    }

    /// Adds a field to the answer.
    ///
    /// # Errors
    ///
    /// When the name is no token, the value has a control character, or the field is the engine's to write.
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, FieldError> {
        self.fields.push(name.into(), value.into())?;
        Ok(self)
    }

    /// Appends the answer to this request.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the server chooses to accept the incoming connection, it MUST
    //# reply with a valid HTTP response indicating the following.
    pub(crate) fn write(
        &self,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Agreed, AcceptError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# The value chosen MUST be derived
        //# from the client's handshake, specifically by selecting one of
        //# the values from the |Sec-WebSocket-Protocol| field that the
        //# server is willing to use for this connection (if any).
        if let Some(subprotocol) = &self.subprotocol
            && !request.protocols().any(|asked| asked == subprotocol)
        {
            return Err(AcceptError::SubprotocolNotAskedFor(subprotocol.to_string()));
        }
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        );
        write_field("Sec-WebSocket-Accept", &request.key().accept(), out);
        if let Some(subprotocol) = &self.subprotocol {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# if the server does not wish to agree to one of the suggested
            //# subprotocols, it MUST NOT send back a |Sec-WebSocket-Protocol|
            //# header field in its response
            //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
            //# However, the |Sec-WebSocket-Protocol| header field MUST NOT appear
            //# more than once in an HTTP response.
            write_field("Sec-WebSocket-Protocol", subprotocol.as_bytes(), out);
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# To accept the use of an offered PMCE, a server MUST include the
        //# extension name of the PMCE in the "Sec-WebSocket-Extensions" header
        //# field of its opening handshake of the WebSocket connection.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# then the value MUST be derived from the
        //# client's handshake, specifically by selecting one or more of
        //# the values from the |Sec-WebSocket-Extensions| field.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# Extensions not listed by the client MUST NOT be
        //# listed.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-9
        //# A server MUST NOT respond with any extension not requested
        //# by the client.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# A server MUST NOT accept a PMCE extension negotiation offer together
        //# with another extension if the PMCE will conflict with the extension
        //# on their use of the RSV1 bit.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# A server MUST NOT accept a PMCE extension negotiation offer together
        //# with another extension if the PMCE will be applied to the output of
        //# the extension and any of the following conditions applies to the
        //# extension:
        let offers = request.extensions().filter(|it| it.name() == deflate::NAME);
        let deflate =
            self.deflate.flatten().and_then(|it| it.accept_first(offers.map(|it| it.pairs())));
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# A server declining all offered PMCEs MUST NOT include any element
        //# with PMCE names.
        if let Some(agreed) = &deflate {
            write_field("Sec-WebSocket-Extensions", agreed.to_string().as_bytes(), out);
        }
        self.fields.write(out);
        out.extend_from_slice(b"\r\n");
        Ok(Agreed { subprotocol: self.subprotocol.clone(), deflate })
    }
}

/// The application accepts what the client did not ask for. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// A subprotocol that is none of [`Request::protocols`].
    SubprotocolNotAskedFor(String),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubprotocolNotAskedFor(subprotocol) => write!(
                f,
                "the client did not ask for the subprotocol {subprotocol:?}: choose one of those it asked for, or none"
            ),
        }
    }
}

impl std::error::Error for AcceptError {}
