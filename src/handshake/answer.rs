//! The client's side: the check of the answer (RFC 6455 section 4.1), as strict as a server's of the request.

use std::borrow::Cow;
use std::fmt;

use crate::limits::Limits;

use super::Agreed;
use super::extension;
use super::fields::{Fields, members};
use super::head::{FIELDS_MAX, HeadError, HeadScanner};
use super::key::Key;
use super::server::{EXTENSIONS, PROTOCOL};
use crate::deflate::{self, Deflate};

/// Answers that may come before the one that counts, such as 103: a server that sends more is up to something.
const INTERIM_ANSWERS_MAX: u8 = 8;

/// The client's side of one opening handshake, after its request.
///
/// See the [module](super) for how it is used.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    scanner: HeadScanner,
    /// Bytes of the interim answers, which are whole.
    interim_bytes: usize,
    interim_answers: u8,
    accept: [u8; 28],
    subprotocols: Vec<Cow<'static, str>>,
    /// The offers of compression.
    deflate: Vec<Deflate>,
    failed: Option<AnswerError>,
}

impl ClientHandshake {
    /// Awaits the answer to a request with this key, these subprotocols and these offers of compression.
    pub(crate) fn new(
        key: &Key,
        subprotocols: Vec<Cow<'static, str>>,
        deflate: Vec<Deflate>,
    ) -> Self {
        Self {
            scanner: HeadScanner::answer(),
            interim_bytes: 0,
            interim_answers: 0,
            accept: key.accept(),
            subprotocols,
            deflate,
            failed: None,
        }
    }

    /// Takes all that arrived so far. As soon as the answer is whole and right, gives what was agreed on and the number
    /// of bytes that the answer took; what follows them are frames.
    ///
    /// Answers such as 103 are passed over. All heads together may be as long as
    /// [`head_bytes_max`](Limits::head_bytes_max), so the buffer need not be longer before this returns.
    ///
    /// # Errors
    ///
    /// When the server refuses, or its answer is not one that RFC 6455 allows; close then. The same error comes again.
    pub fn receive(
        &mut self,
        buffered: &[u8],
        limits: &Limits,
    ) -> Result<Option<(usize, Agreed)>, AnswerError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.advance(buffered, limits);
        self.failed = result.as_ref().err().cloned();
        result
    }

    fn advance(
        &mut self,
        buffered: &[u8],
        limits: &Limits,
    ) -> Result<Option<(usize, Agreed)>, AnswerError> {
        loop {
            let rest = buffered.get(self.interim_bytes..).unwrap_or_default();
            let head_bytes_max = limits.head_bytes_max.saturating_sub(self.interim_bytes);
            let Some(head_bytes) = self.scanner.scan_within(rest, limits, head_bytes_max)? else {
                return Ok(None);
            };
            let head = rest.get(..head_bytes).unwrap_or(rest);
            match parse_status(head)? {
                101 => {
                    let agreed = self.check(Fields::of_head(head))?;
                    return Ok(Some((self.interim_bytes + head_bytes, agreed)));
                }
                100..=199 if self.interim_answers >= INTERIM_ANSWERS_MAX => {
                    return Err(AnswerError::TooManyInterimAnswers);
                }
                100..=199 => {
                    self.interim_answers += 1;
                    self.interim_bytes += head_bytes;
                    self.scanner = HeadScanner::answer();
                }
                status => return Err(AnswerError::Refused(RefusedAnswer::new(status, head))),
            }
        }
    }

    /// Checks the fields of a 101.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The client MUST validate the server's response as follows:
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the server's response does not conform to the requirements for the
    //# server's handshake as defined in this section and in Section 4.2.2,
    //# the client MUST _Fail the WebSocket Connection_.
    fn check(&self, fields: Fields<'_>) -> Result<Agreed, AnswerError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the response lacks an |Upgrade| header field or the |Upgrade|
        //# header field contains a value that is not an ASCII case-
        //# insensitive match for the value "websocket", the client MUST
        //# _Fail the WebSocket Connection_.
        let mut upgrades = fields.members("upgrade");
        if !upgrades.next().is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"))
            || upgrades.next().is_some()
        {
            return Err(AnswerError::Upgrade);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the response lacks a |Connection| header field or the
        //# |Connection| header field doesn't contain a token that is an
        //# ASCII case-insensitive match for the value "Upgrade", the client
        //# MUST _Fail the WebSocket Connection_.
        if !fields.members("connection").any(|it| it.eq_ignore_ascii_case(b"upgrade")) {
            return Err(AnswerError::Connection);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# but ignoring any leading and
        //# trailing whitespace, the client MUST _Fail the WebSocket
        //# Connection_.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.3
        //# The |Sec-WebSocket-Accept| header MUST NOT appear more than once in
        //# an HTTP response.
        if single(fields, "sec-websocket-accept")? != Some(self.accept.as_slice()) {
            return Err(AnswerError::Accept);
        }
        let deflate = self.check_extensions(fields)?;
        let subprotocol = self.check_subprotocol(fields)?;
        Ok(Agreed { subprotocol, deflate })
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# (the server has
    //# indicated an extension not requested by the client), the client
    //# MUST _Fail the WebSocket Connection_.
    fn check_extensions(&self, fields: Fields<'_>) -> Result<Option<deflate::Agreed>, AnswerError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
        //# the client is only offering
        //# to use any advertised extensions and MUST NOT use them unless the
        //# server indicates that it wishes to use the extension.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.2
        //# However, the |Sec-WebSocket-Extensions| header field MUST NOT appear
        //# more than once in an HTTP response.
        let Some(value) = single(fields, EXTENSIONS)? else { return Ok(None) };
        let mut agreed = None;
        if members(value).next().is_none() {
            return Err(AnswerError::ExtensionSyntax);
        }
        for extension in extension::parse(value) {
            let extension = extension.map_err(|_| AnswerError::ExtensionSyntax)?;
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# A client that received a response
            //# accepting a PMCE extension negotiation offer together with such an
            //# extension MUST _Fail the WebSocket Connection_.
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# A client that receives a response accepting a PMCE extension
            //# negotiation offer together with such an extension MUST _Fail the
            //# WebSocket Connection_.
            if extension.name() != deflate::NAME || self.deflate.is_empty() || agreed.is_some() {
                return Err(AnswerError::ExtensionNotOffered);
            }
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# If a server gives an invalid response, such as accepting a PMCE that
            //# the client did not offer, the client MUST _Fail the WebSocket
            //# Connection_.
            agreed = Deflate::agree(&self.deflate, extension.pairs());
            if agreed.is_none() {
                return Err(AnswerError::ExtensionParameters);
            }
        }
        Ok(agreed)
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the response includes a |Sec-WebSocket-Protocol| header field
    //# and this header field indicates the use of a subprotocol that was
    //# not present in the client's handshake (the server has indicated a
    //# subprotocol not requested by the client), the client MUST _Fail
    //# the WebSocket Connection_.
    fn check_subprotocol(
        &self,
        fields: Fields<'_>,
    ) -> Result<Option<Cow<'static, str>>, AnswerError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
        //# However, the |Sec-WebSocket-Protocol| header field MUST NOT appear
        //# more than once in an HTTP response.
        let Some(chosen) = single(fields, PROTOCOL)? else { return Ok(None) };
        match self.subprotocols.iter().find(|asked| asked.as_bytes() == chosen) {
            Some(asked) => Ok(Some(asked.clone())),
            None => Err(AnswerError::Subprotocol),
        }
    }
}

/// The value of a field that may stand once.
fn single<'h>(fields: Fields<'h>, name: &'static str) -> Result<Option<&'h [u8]>, AnswerError> {
    let mut values = fields.all(name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(AnswerError::Repeated(name)),
    }
}

/// The status of an answer whose lines and lengths were checked, after a look at all of it.
fn parse_status(head: &[u8]) -> Result<u16, AnswerError> {
    let mut lines = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut lines);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(AnswerError::Syntax),
        Err(httparse::Error::Version) => return Err(AnswerError::HttpVersion),
        Err(_) => return Err(AnswerError::Syntax),
    }
    match (parsed.version, parsed.code) {
        (Some(1), Some(status @ 100..=599)) => Ok(status),
        (Some(1), _) => Err(AnswerError::Syntax),
        _ => Err(AnswerError::HttpVersion),
    }
}

/// An answer that is not a 101: a redirect, a demand to log in, an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedAnswer {
    /// The status, 200 to 599.
    pub status: u16,
    /// The fields in their order, each with the name as the server wrote it.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl RefusedAnswer {
    fn new(status: u16, head: &[u8]) -> Self {
        let owned = Fields::of_head(head).iter().map(|it| (it.name.to_owned(), it.value.to_vec()));
        Self { status, fields: owned.collect() }
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.fields.iter().find(|(it, _)| it.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// Why a client gives up its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The server answered something else than 101. The caller may follow a redirect, or log in, in a new connection.
    Refused(RefusedAnswer),
    /// Lines, lengths and first bytes.
    Head(HeadError),
    /// A status line or a field line that is not one.
    Syntax,
    /// Another version than HTTP/1.1.
    HttpVersion,
    /// More than eight answers 1xx before one that counts.
    TooManyInterimAnswers,
    /// `Upgrade` is not exactly `websocket`.
    Upgrade,
    /// `Connection` does not have `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing, or does not answer our key.
    Accept,
    /// The named field stands twice, where only one may be.
    Repeated(&'static str),
    /// `Sec-WebSocket-Extensions` does not follow the grammar.
    ExtensionSyntax,
    /// An extension that was not offered, or the same one twice.
    ExtensionNotOffered,
    /// The parameters of an extension are not an answer to our offer.
    ExtensionParameters,
    /// A subprotocol that was not asked for.
    Subprotocol,
}

impl From<HeadError> for AnswerError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(answer) => {
                write!(
                    f,
                    "the server did not upgrade to WebSocket: it answered {}",
                    answer.status
                )?;
                match answer.field("location").map(str::from_utf8) {
                    Some(Ok(place)) => write!(f, ", and points to {}", place.escape_debug()),
                    _ => Ok(()),
                }
            }
            Self::Head(error) => write!(f, "the server's answer: {error}"),
            Self::Syntax => f.write_str("the server's answer is not legal HTTP"),
            Self::HttpVersion => f.write_str("the server does not speak HTTP/1.1"),
            Self::TooManyInterimAnswers => f.write_str("the server sends interim answers only"),
            Self::Upgrade => f.write_str("the server upgrades to something else than websocket"),
            Self::Connection => f.write_str("the server's Connection field has no upgrade"),
            Self::Accept => f.write_str("Sec-WebSocket-Accept does not answer our key"),
            Self::Repeated(name) => write!(f, "{name} stands twice in the server's answer"),
            Self::ExtensionSyntax => f.write_str("the server's extensions are not legal"),
            Self::ExtensionNotOffered => {
                f.write_str("the server uses an extension that was not offered")
            }
            Self::ExtensionParameters => {
                f.write_str("the server's parameters of an extension do not answer our offer")
            }
            Self::Subprotocol => {
                f.write_str("the server chose a subprotocol that was not asked for")
            }
        }
    }
}

impl std::error::Error for AnswerError {}
