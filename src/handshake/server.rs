//! The server's side: from the bytes of a request to a decision (RFC 6455 section 4.2.1).
//!
//! httparse reads the head once, after [`HeadScanner`] has found its end; the rules on top are here, in the order in
//! which they are checked.

use std::mem::MaybeUninit;

use crate::limits::Limits;

use super::authority::Authority;
use super::extension;
use super::fields::{Fields, members, token};
use super::head::{FIELDS_MAX, HeadError, HeadScanner};
use super::key::Key;
use super::origin::{Origin, Origins};
use super::refusal::Refusal;
use super::request::{HttpRequest, Request};
use super::target::Target;

pub(crate) const PROTOCOL: &str = "sec-websocket-protocol";
pub(crate) const EXTENSIONS: &str = "sec-websocket-extensions";

/// What a server asks of a request, beyond the standard.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'p> {
    /// The limits on the head and its lists.
    pub limits: &'p Limits,
    /// The origins that may connect.
    pub origins: &'p Origins,
    /// Whether the listener speaks TLS.
    pub secure: bool,
}

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub enum Opening<'h> {
    /// A WebSocket; the request is valid.
    Upgrade(Request<'h>),
    /// Something else, with any method: `Connection` does not have `upgrade`, or there is no `Upgrade`.
    Plain(HttpRequest<'h>),
}

/// The server's side of one opening handshake, up to the decision.
///
/// See the [module](super) for how it is used.
#[derive(Clone, Debug)]
pub struct ServerHandshake {
    scanner: HeadScanner,
}

impl ServerHandshake {
    /// A handshake of which nothing has arrived.
    pub const fn new() -> Self {
        Self { scanner: HeadScanner::request() }
    }

    /// Takes all that arrived so far, and gives the request and the length of its head as soon as that is whole.
    ///
    /// What follows the head stays in the buffer. A client has to wait for our answer before it sends more: whoever
    /// reads the socket decides whether such bytes are refused ([`Refusal::EarlyBytes`]) or kept for later.
    ///
    /// # Errors
    ///
    /// When the request is refused; write [`Refusal::response`] and close.
    pub fn receive<'h>(
        &mut self,
        buffered: &'h [u8],
        policy: &Policy<'_>,
    ) -> Result<Option<(usize, Opening<'h>)>, Refusal> {
        let Some(head_bytes) = self.scanner.scan(buffered, policy.limits)? else {
            return Ok(None);
        };
        let head = buffered.get(..head_bytes).unwrap_or(buffered);
        Ok(Some((head_bytes, parse(head, policy)?)))
    }
}

impl Default for ServerHandshake {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a whole head, whose lines and lengths were checked.
fn parse<'h>(head: &'h [u8], policy: &Policy<'_>) -> Result<Opening<'h>, Refusal> {
    let mut lines = [MaybeUninit::uninit(); FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut lines) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::FieldLine),
        Err(error) => return Err(refuse_syntax(error, head)),
    }
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(Refusal::RequestLine);
    };
    if parsed.version != Some(1) {
        return Err(Refusal::HttpVersion);
    }
    let parts = Target::parse(target).ok_or(Refusal::Target)?;
    let mut seen = Seen::default();
    for line in parsed.headers.iter() {
        seen.note(line.name, line.value)?;
    }
    // Host is checked also where the target overrides it.
    let host = parse_host(seen.host)?;
    let http = HttpRequest {
        method,
        target,
        path: parts.path,
        query: parts.query,
        host: parts.authority.unwrap_or(host),
        origin: seen.origin.map(parse_origin).transpose()?,
        fields: Fields::of_head(head),
        client_certificate: None,
        body_bytes: 0,
        expects_continue: seen.expects_continue,
        body: &[],
    };
    if !seen.wants_upgrade() {
        let body_bytes = body_bytes(&seen, policy.limits)?;
        return Ok(Opening::Plain(HttpRequest { body_bytes, ..http }));
    }
    let key = check_upgrade(&http, &seen, policy)?;
    if seen.protocols {
        check_protocols(http.fields, policy.limits)?;
    }
    if seen.extensions {
        check_extensions(http.fields, policy.limits)?;
    }
    Ok(Opening::Upgrade(Request { http, key }))
}

/// The fields that are read, each found once.
#[derive(Default)]
struct Seen<'h> {
    host: Option<&'h [u8]>,
    key: Option<&'h [u8]>,
    version: Option<&'h [u8]>,
    origin: Option<&'h [u8]>,
    content_length: Option<&'h [u8]>,
    transfer_codings: usize,
    last_coding_is_chunked: bool,
    expect: bool,
    expects_continue: bool,
    protocols: bool,
    extensions: bool,
    connection_upgrade: bool,
    connection_invalid: bool,
    upgrade: bool,
    upgrade_websocket: bool,
}

impl<'h> Seen<'h> {
    fn note(&mut self, name: &str, value: &'h [u8]) -> Result<(), Refusal> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("host") {
            set(&mut self.host, value, Refusal::Repeated("Host"))?;
        } else if is("sec-websocket-key") {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.1
            //# The |Sec-WebSocket-Key| header field MUST NOT appear more than once
            //# in an HTTP request.
            set(&mut self.key, value, Refusal::Repeated("Sec-WebSocket-Key"))?;
        } else if is("sec-websocket-version") {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.5
            //# However, the |Sec-WebSocket-Version| header field MUST NOT appear
            //# more than once in an HTTP request.
            set(&mut self.version, value, Refusal::Repeated("Sec-WebSocket-Version"))?;
        } else if is("origin") {
            set(&mut self.origin, value, Refusal::OriginRepeated)?;
        } else if is("content-length") {
            set(&mut self.content_length, value, Refusal::Repeated("Content-Length"))?;
        } else if is("transfer-encoding") {
            for member in members(value) {
                self.transfer_codings += 1;
                self.last_coding_is_chunked = member.eq_ignore_ascii_case(b"chunked");
            }
            // An empty one is one that is not known.
            self.transfer_codings = self.transfer_codings.max(1);
        } else if is("expect") {
            self.expect = true;
            self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
        } else if is(PROTOCOL) {
            self.protocols = true;
        } else if is(EXTENSIONS) {
            self.extensions = true;
        } else if is("connection") {
            for member in members(value) {
                self.connection_invalid |= token(member).is_none();
                self.connection_upgrade |= member.eq_ignore_ascii_case(b"upgrade");
            }
        } else if is("upgrade") {
            self.upgrade = true;
            self.upgrade_websocket |=
                members(value).any(|member| member.eq_ignore_ascii_case(b"websocket"));
        }
        Ok(())
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# A |Connection| header field that includes the token "Upgrade",
    //# treated as an ASCII case-insensitive value.
    fn wants_upgrade(&self) -> bool {
        self.upgrade && self.connection_upgrade && !self.connection_invalid
    }
}

fn set<'h>(slot: &mut Option<&'h [u8]>, value: &'h [u8], twice: Refusal) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice),
    }
}

/// What only an upgrade has to hold; its key.
fn check_upgrade(
    http: &HttpRequest<'_>,
    seen: &Seen<'_>,
    policy: &Policy<'_>,
) -> Result<Key, Refusal> {
    if http.method != "GET" {
        return Err(Refusal::Method);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# An |Upgrade| header field containing the value "websocket",
    //# treated as an ASCII case-insensitive value.
    if !seen.upgrade_websocket {
        return Err(Refusal::Protocol);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# A |Sec-WebSocket-Version| header field, with a value of 13.
    if seen.version != Some(b"13") {
        return Err(Refusal::WebSocketVersion);
    }
    let key = seen.key.and_then(Key::parse).ok_or(Refusal::Key)?;
    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
    //# If the origin indicated is unacceptable to the server,
    //# then it SHOULD respond to the WebSocket handshake with a reply
    //# containing HTTP 403 Forbidden status code.
    if !policy.origins.allows(http.origin.as_ref(), &http.host, policy.secure) {
        return Err(Refusal::OriginNotAllowed);
    }
    // A body could be taken for frames, or frames for a body.
    if seen.transfer_codings > 0 || seen.content_length.is_some_and(|length| length != b"0") {
        return Err(Refusal::Body);
    }
    if seen.expect {
        return Err(Refusal::Expectation);
    }
    Ok(key)
}

/// How many bytes of body follow the head of what is no upgrade (RFC 9112 sections 6.1 to 6.3). Where two could
/// understand it in two ways, nobody has to: all but one plain number is refused.
fn body_bytes(seen: &Seen<'_>, limits: &Limits) -> Result<usize, Refusal> {
    match (seen.transfer_codings, seen.content_length) {
        (0, None) => Ok(0),
        (0, Some(digits)) if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) => {
            Err(Refusal::ContentLength)
        }
        (0, Some(digits)) => {
            let bytes = std::str::from_utf8(digits).ok().and_then(|it| it.parse().ok());
            let bytes = bytes.filter(|bytes| *bytes <= limits.request_body_bytes_max);
            bytes.ok_or(Refusal::BodyTooLong)
        }
        (_, Some(_)) => Err(Refusal::Framing),
        (_, None) if !seen.last_coding_is_chunked => Err(Refusal::Framing),
        (1, None) => Err(Refusal::Chunked),
        (_, None) => Err(Refusal::TransferCoding),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# A |Host| header field containing the server's authority.
fn parse_host(value: Option<&[u8]>) -> Result<Authority<'_>, Refusal> {
    let value = value.ok_or(Refusal::HostMissing)?;
    let text = std::str::from_utf8(value).map_err(|_| Refusal::HostInvalid)?;
    Authority::parse(text).map_err(|_| Refusal::HostInvalid)
}

fn parse_origin(value: &[u8]) -> Result<Origin<'_>, Refusal> {
    let text = std::str::from_utf8(value).map_err(|_| Refusal::OriginInvalid)?;
    Origin::parse(text).map_err(|_| Refusal::OriginInvalid)
}

/// For a request that has the field. Comparing each with each is cheap: the limit keeps the list short.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The elements that comprise this value
//# MUST be non-empty strings with characters in the range U+0021 to
//# U+007E not including separator characters as defined in
//# [RFC2616] and MUST all be unique strings.
fn check_protocols(fields: Fields<'_>, limits: &Limits) -> Result<(), Refusal> {
    let mut count = 0;
    for member in fields.members(PROTOCOL) {
        if token(member).is_none() {
            return Err(Refusal::Subprotocols);
        }
        if count >= limits.list_members_max {
            return Err(Refusal::TooManySubprotocols);
        }
        if fields.members(PROTOCOL).take(count).any(|earlier| earlier == member) {
            return Err(Refusal::Subprotocols);
        }
        count += 1;
    }
    if count == 0 {
        return Err(Refusal::Subprotocols);
    }
    Ok(())
}

/// For a request that has the field.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# If a value is received by either the client or
//# the server during negotiation that does not conform to the ABNF
//# below, the recipient of such malformed data MUST immediately _Fail
//# the WebSocket Connection_.
fn check_extensions(fields: Fields<'_>, limits: &Limits) -> Result<(), Refusal> {
    let mut count = 0;
    for extension in fields.all(EXTENSIONS).flat_map(extension::parse) {
        extension.map_err(|_| Refusal::Extensions)?;
        if count >= limits.list_members_max {
            return Err(Refusal::TooManyExtensions);
        }
        count += 1;
    }
    if count == 0 {
        return Err(Refusal::Extensions);
    }
    Ok(())
}

fn refuse_syntax(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::Head(HeadError::TooManyFields),
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Refusal::FieldLine,
        httparse::Error::Version if names_http_version(head) => Refusal::HttpVersion,
        httparse::Error::Version
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => Refusal::RequestLine,
    }
}

/// Whether the first line ends with some version of HTTP, if not with one that we speak.
fn names_http_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}
