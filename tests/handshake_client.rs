//! The client's side of the opening handshake, and both sides against each other.
//!
//! Each answer is given whole, byte by byte, and cut in two at each position: the way in which bytes arrive must not
//! change what comes out.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use tautline::Limits;
use tautline::handshake::{
    Accept, Agreed, AnswerError, AuthorityError, ClientHandshake, ClientRequest, FieldError,
    HeadError, HeadScanner, Opening, OriginError, Origins, Policy, RequestError, ServerHandshake,
    Url, UrlError,
};

const NONCE: [u8; 16] = *b"the sample nonce";
const STATUS_LINE: &str = "HTTP/1.1 101 Switching Protocols";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const LINES: [&str; 4] = [STATUS_LINE, UPGRADE, CONNECTION, ACCEPT];

fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut text: String = lines.into_iter().flat_map(|it| [it, "\r\n"]).collect();
    text.push_str("\r\n");
    text.into_bytes()
}

/// A right answer, and these lines.
fn with(more: &[&str]) -> Vec<u8> {
    lines(LINES.into_iter().chain(more.iter().copied()))
}

/// A right answer with another line in the place of this one.
fn instead_of(line: &str, other: &str) -> Vec<u8> {
    lines(LINES.map(|it| if it == line { other } else { it }))
}

/// A right answer without this line.
fn without(line: &str) -> Vec<u8> {
    lines(LINES.into_iter().filter(|it| *it != line))
}

/// A client that asked for the subprotocols `a` and `b`.
fn client() -> ClientHandshake {
    let url = "ws://server.example.com/chat".parse().unwrap();
    let request = ClientRequest::new(url).subprotocol("a").unwrap().subprotocol("b").unwrap();
    request.write(NONCE, &mut Vec::new())
}

type Outcome = Result<Option<(usize, Agreed)>, AnswerError>;

fn run(bytes: &[u8], ends: impl IntoIterator<Item = usize>, limits: &Limits) -> Outcome {
    let mut handshake = client();
    for end in ends {
        let result = handshake.receive(&bytes[..end], limits);
        if !matches!(result, Ok(None)) {
            assert_eq!(handshake.receive(&bytes[..end], limits), result, "the first result stays");
            return result;
        }
    }
    Ok(None)
}

/// Runs an answer in all ways of cutting it; they agree.
fn run_cut_anywhere(name: &str, bytes: &[u8]) -> Outcome {
    let limits = Limits::default();
    let whole = run(bytes, [bytes.len()], &limits);
    assert_eq!(run(bytes, 1..=bytes.len(), &limits), whole, "{name}: byte by byte");
    // Under Miri, each cut takes a second.
    let cuts = if cfg!(miri) { 3 } else { 2_000 };
    for cut in (0..bytes.len()).step_by(1 + bytes.len() / cuts) {
        assert_eq!(run(bytes, [cut, bytes.len()], &limits), whole, "{name}: cut at {cut}");
    }
    whole
}

fn assert_given_up<'n>(rows: impl IntoIterator<Item = (&'n str, Vec<u8>, AnswerError)>) {
    for (name, bytes, error) in rows {
        assert_eq!(run_cut_anywhere(name, &bytes), Err(error), "{name}");
    }
}

/// Each answer is right, takes so many bytes, and agrees on this subprotocol.
fn assert_agreed<'n>(rows: impl IntoIterator<Item = (&'n str, Vec<u8>, Option<&'n str>)>) {
    for (name, bytes, subprotocol) in rows {
        let (head_bytes, agreed) = run_cut_anywhere(name, &bytes).unwrap().unwrap();
        assert_eq!(head_bytes, bytes.len(), "{name}");
        assert_eq!(agreed.subprotocol.as_deref(), subprotocol, "{name}");
    }
}

fn refused(bytes: &[u8]) -> (u16, Option<String>) {
    match run_cut_anywhere("refused", bytes) {
        Err(AnswerError::Refused(answer)) => {
            let location = answer.field("LOCATION").map(|it| it.escape_ascii().to_string());
            (answer.status, location)
        }
        other => panic!("not refused: {other:?}"),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The method of the request MUST be GET, and the HTTP version MUST
//# be at least 1.1.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The "Request-URI" part of the request MUST match the /resource
//# name/ defined in Section 3 (a relative URI)
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The request MUST contain an |Upgrade| header field whose value
//# MUST include the "websocket" keyword.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The request MUST contain a |Connection| header field whose value
//# MUST include the "Upgrade" token.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The request MUST include a header field with the name
//# |Sec-WebSocket-Key|. The value of this header field MUST be a
//# nonce consisting of a randomly selected 16-byte value that has
//# been base64-encoded (see Section 4 of [RFC4648]).
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The request MUST include a header field with the name
//# |Sec-WebSocket-Version|. The value of this header field MUST be
//# 13.
#[test]
fn the_example_of_the_rfc_is_written_and_its_answer_accepted() {
    let url: Url = "ws://server.example.com/chat".parse().unwrap();
    let request = ClientRequest::new(url)
        .origin("http://example.com")
        .and_then(|it| it.subprotocol("chat"))
        .and_then(|it| it.subprotocol("superchat"))
        .and_then(|it| it.field("Authorization", "Bearer a"))
        .unwrap();
    let mut out = Vec::new();
    let mut handshake = request.write(NONCE, &mut out);
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# For example, if the WebSocket URI is "ws://example.com/chat",
    //# the first line sent should be "GET /chat HTTP/1.1".
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
         Authorization: Bearer a\r\n\r\n"
    );
    let answer = with(&["Sec-WebSocket-Protocol: chat"]);
    let (head_bytes, agreed) = handshake.receive(&answer, &Limits::default()).unwrap().unwrap();
    assert_eq!(head_bytes, answer.len());
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The request MUST contain a |Host| header field whose value
//# contains /host/ plus optionally ":" followed by /port/ (when not
//# using the default port).
#[test]
fn urls_are_read_as_the_rfc_says() {
    for (text, secure, host, port, authority, target) in [
        ("ws://a", false, "a", 80, "a", "/"),
        ("WS://a/", false, "a", 80, "a", "/"),
        ("Wss://a:443/b", true, "a", 443, "a", "/b"),
        ("wss://a:80", true, "a", 80, "a:80", "/"),
        ("ws://a:443", false, "a", 443, "a:443", "/"),
        ("ws://a:", false, "a", 80, "a", "/"),
        ("ws://a:080", false, "a", 80, "a", "/"),
        (
            "ws://127.0.0.1:9001/getCaseCount",
            false,
            "127.0.0.1",
            9001,
            "127.0.0.1:9001",
            "/getCaseCount",
        ),
        ("ws://[::1]", false, "::1", 80, "[::1]", "/"),
        ("wss://[2001:db8::1]:8443/a", true, "2001:db8::1", 8443, "[2001:db8::1]:8443", "/a"),
        ("ws://a?b=c", false, "a", 80, "a", "/?b=c"),
        ("ws://a/b?", false, "a", 80, "a", "/b"),
        ("ws://a/b?c?d/e", false, "a", 80, "a", "/b?c?d/e"),
        ("ws://a/%23@:", false, "a", 80, "a", "/%23@:"),
    ] {
        let url: Url = text.parse().unwrap();
        assert_eq!(url.is_secure(), secure, "{text}");
        assert_eq!((url.host(), url.port()), (host, port), "{text}");
        assert_eq!((url.authority().to_string().as_str(), url.target()), (authority, target));
        assert_eq!(url.to_string().parse(), Ok(url), "{text}: written and read again");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If any of the components are invalid, the client
//# MUST _Fail the WebSocket Connection_ and abort these steps.
//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//# Fragment identifiers are meaningless in the context of WebSocket URIs
//# and MUST NOT be used on these URIs.
//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//# As with any URI scheme, the
//# character "#", when not indicating the start of a fragment, MUST be
//# escaped as %23.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The components of the WebSocket URI passed into this algorithm
//# (/host/, /port/, /resource name/, and /secure/ flag) MUST be
//# valid according to the specification of WebSocket URIs specified
//# in Section 3.
#[test]
fn what_is_no_websocket_url_is_refused_for_its_reason() {
    let authority = UrlError::Authority;
    for (text, error) in [
        ("", UrlError::Scheme),
        ("a", UrlError::Scheme),
        ("ws:a", UrlError::Scheme),
        ("ws:/a", UrlError::Scheme),
        ("http://a", UrlError::Scheme),
        (" ws://a", UrlError::Scheme),
        ("ws://", authority(AuthorityError::Empty)),
        ("ws:///a", authority(AuthorityError::Empty)),
        ("ws://:80", authority(AuthorityError::Empty)),
        ("ws://u@a", authority(AuthorityError::Userinfo)),
        ("ws://u:p@a", authority(AuthorityError::Userinfo)),
        ("ws://a b", authority(AuthorityError::Character)),
        ("ws://a\r\nX: y", authority(AuthorityError::Character)),
        ("ws://ä", authority(AuthorityError::Character)),
        ("ws://a\\b", authority(AuthorityError::Character)),
        ("ws://a:65536", authority(AuthorityError::Port)),
        ("ws://a:b", authority(AuthorityError::Port)),
        ("ws://[::1", authority(AuthorityError::Ipv6)),
        ("ws://[a]", authority(AuthorityError::Ipv6)),
        ("ws://a#b", UrlError::Fragment),
        ("ws://a/#", UrlError::Fragment),
        ("ws://a/?b#c", UrlError::Fragment),
        ("ws://a/%", UrlError::Percent),
        ("ws://a/?%4x", UrlError::Percent),
        ("ws://a/b c", UrlError::Character),
        ("ws://a/ HTTP/1.1\r\nX: y", UrlError::Character),
        ("ws://a/\0", UrlError::Character),
        ("ws://a/ä", UrlError::Character),
        ("ws://a/b|c", UrlError::Character),
        ("ws://a/?b[]=\\", UrlError::Character),
        ("ws://a?{\"b\"}", UrlError::Character),
    ] {
        assert_eq!(text.parse::<Url>(), Err(error), "{text}");
        assert!(error.to_string().starts_with("no WebSocket URL: "));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The elements that comprise this value
//# MUST be non-empty strings with characters in the range U+0021 to
//# U+007E not including separator characters as defined in
//# [RFC2616] and MUST all be unique strings.
#[test]
fn what_no_request_can_say_is_an_error_to_the_application() {
    let request = || ClientRequest::new("ws://a".parse().unwrap());
    for it in ["", "a b", "a,b", "a\r\nX: y", "ä", "a\0"] {
        let error = RequestError::SubprotocolNotToken(it.to_owned());
        assert!(error.to_string().contains(&format!("{it:?}")), "{error}");
        assert_eq!(request().subprotocol(it), Err(error));
    }
    let twice = request().subprotocol("a").unwrap().subprotocol("a");
    assert_eq!(twice, Err(RequestError::SubprotocolRepeated("a".to_owned())));
    for (it, error) in [("a", OriginError::NoScheme), ("http://a/", OriginError::Path)] {
        assert_eq!(request().origin(it), Err(RequestError::Origin(error)));
    }
    assert!(request().origin("http://a\r\nX: y").is_err());
    for (name, value, error) in [
        ("X", "a\r\nY: b", FieldError::ControlInValue("X".to_owned())),
        ("X", "a\0", FieldError::ControlInValue("X".to_owned())),
        ("X Y", "a", FieldError::NameNotToken("X Y".to_owned())),
        ("X\r\nY", "a", FieldError::NameNotToken("X\r\nY".to_owned())),
        ("host", "a", FieldError::Reserved("host".to_owned())),
        ("Origin", "http://a", FieldError::Reserved("Origin".to_owned())),
        ("Content-Length", "5", FieldError::Reserved("Content-Length".to_owned())),
        ("Sec-WebSocket-Key", "a", FieldError::Reserved("Sec-WebSocket-Key".to_owned())),
    ] {
        let error = RequestError::Field(error);
        let said = error.to_string();
        assert!(said.contains(&name.escape_debug().to_string()), "{said}");
        assert_eq!(request().field(name, value), Err(error));
    }
}

#[test]
fn each_nonce_gives_another_key_and_another_answer() {
    let write = |nonce| {
        let mut out = Vec::new();
        let handshake = ClientRequest::new("ws://a".parse().unwrap()).write(nonce, &mut out);
        (out, handshake)
    };
    let (one, _) = write([1; 16]);
    let (another, mut handshake) = write([2; 16]);
    assert_ne!(one, another);
    let answer = handshake.receive(&with(&[]), &Limits::default());
    assert_eq!(answer, Err(AnswerError::Accept), "the answer to another key");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the server's response does not conform to the requirements for the
//# server's handshake as defined in this section and in Section 4.2.2,
//# the client MUST _Fail the WebSocket Connection_.
#[test]
fn the_head_of_an_answer_is_read_strictly_and_within_the_limits() {
    let head = |error| AnswerError::Head(error);
    let long = format!("A: {}", "b".repeat(8_190));
    let half = format!("A: {}", "b".repeat(8_000));
    assert_given_up([
        ("bare LF", with(&["A: b\nC: d"]), head(HeadError::BareLf)),
        ("bare CR", with(&["A: b\rC: d"]), head(HeadError::BareCr)),
        ("an empty line first", lines([""]), head(HeadError::EmptyFirstLine)),
        ("field line", with(&[&long]), head(HeadError::FieldLineTooLong)),
        (
            "status line",
            instead_of(STATUS_LINE, &format!("{STATUS_LINE}{}", "a".repeat(8_192))),
            head(HeadError::StartLineTooLong),
        ),
        ("head", with(&[&half, &half, &half]), head(HeadError::HeadTooLong)),
        ("fields", with(&["A: b"; 98]), head(HeadError::TooManyFields)),
        ("folding", with(&["A: b", " c"]), AnswerError::Syntax),
        ("space before the colon", with(&["A : b"]), AnswerError::Syntax),
        ("NUL", with(&["A: b\0"]), AnswerError::Syntax),
        ("a TLS alert", vec![0x15, 3, 1], head(HeadError::Tls)),
        ("HTTP/2", vec![0, 0, 18, 4, 0, 0, 0, 0, 0], head(HeadError::NotHttp)),
        ("another protocol", b"SSH-2.0-OpenSSH\r\n".to_vec(), head(HeadError::NotHttp)),
        ("HTTP/1.0", instead_of(STATUS_LINE, "HTTP/1.0 101 a"), AnswerError::HttpVersion),
        ("HTTP/2.0", instead_of(STATUS_LINE, "HTTP/2.0 101 a"), AnswerError::HttpVersion),
        ("two digits", instead_of(STATUS_LINE, "HTTP/1.1 10 a"), AnswerError::Syntax),
        ("four digits", instead_of(STATUS_LINE, "HTTP/1.1 1010 a"), AnswerError::Syntax),
        ("status 99", instead_of(STATUS_LINE, "HTTP/1.1 099 a"), AnswerError::Syntax),
        ("status 600", instead_of(STATUS_LINE, "HTTP/1.1 600 a"), AnswerError::Syntax),
    ]);
    assert_agreed([
        ("no reason", instead_of(STATUS_LINE, "HTTP/1.1 101"), None),
        ("an empty reason", instead_of(STATUS_LINE, "HTTP/1.1 101 "), None),
        ("a reason that is not ASCII", instead_of(STATUS_LINE, "HTTP/1.1 101 ä"), None),
        ("fields", with(&["A: b"; 97]), None),
    ]);
}

#[test]
fn a_bounded_number_of_interim_answers_is_passed_over() {
    let early = lines(["HTTP/1.1 103 Early Hints", "Link: </a>"]);
    let after = |count| [early.repeat(count), with(&[])].concat();
    assert_agreed([
        ("one", after(1), None),
        ("eight", after(8), None),
        ("100", [lines(["HTTP/1.1 100 Continue"]), with(&[])].concat(), None),
    ]);
    assert_given_up([
        ("nine", after(9), AnswerError::TooManyInterimAnswers),
        (
            "a bad one",
            [early.clone(), lines(["HTTP/1.0 103 a"])].concat(),
            AnswerError::HttpVersion,
        ),
        (
            "too long together",
            [
                lines(["HTTP/1.1 103 a", &format!("A: {}", "b".repeat(8_000))]).repeat(2),
                with(&[&"A: b".repeat(100)]),
            ]
            .concat(),
            AnswerError::Head(HeadError::HeadTooLong),
        ),
    ]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the status code received from the server is not 101, the
//# client handles the response per HTTP [RFC2616] procedures.
#[test]
fn other_answers_are_handed_to_the_caller_with_their_fields() {
    for status in [200, 204, 301, 302, 307, 400, 401, 403, 404, 426, 429, 500, 503, 599] {
        let bytes =
            lines([&format!("HTTP/1.1 {status} a"), "Location: wss://b/c", "Content-Length: 3"]);
        let location = Some("wss://b/c".to_owned());
        assert_eq!(refused(&[bytes.as_slice(), b"abc"].concat()), (status, location));
    }
    for (location, said) in [
        ("Location: wss://b/c", "it answered 302, and points to wss://b/c"),
        ("Location: \u{9b}31m", "it answered 302, and points to \\u{9b}31m"),
        ("Content-Length: 0", "it answered 302"),
    ] {
        let error = run_cut_anywhere("302", &lines(["HTTP/1.1 302 a", location])).unwrap_err();
        assert!(error.to_string().ends_with(said), "{error}");
    }
    let Err(AnswerError::Refused(answer)) = run_cut_anywhere(
        "401",
        &lines([
            "HTTP/1.1 401 Unauthorized",
            "WWW-Authenticate: Basic",
            "www-authenticate: Digest",
        ]),
    ) else {
        panic!("not refused");
    };
    assert_eq!(answer.fields.len(), 2);
    assert_eq!(answer.field("www-authenticate"), Some(b"Basic".as_slice()));
    assert_eq!(answer.fields[1], ("www-authenticate".to_owned(), b"Digest".to_vec()));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the response lacks a |Connection| header field or the
//# |Connection| header field doesn't contain a token that is an
//# ASCII case-insensitive match for the value "Upgrade", the client
//# MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The client MUST validate the server's response as follows:
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the response lacks an |Upgrade| header field or the |Upgrade|
//# header field contains a value that is not an ASCII case-
//# insensitive match for the value "websocket", the client MUST
//# _Fail the WebSocket Connection_.
#[test]
fn an_answer_has_to_upgrade_to_websocket() {
    assert_given_up([
        ("no Upgrade", without(UPGRADE), AnswerError::Upgrade),
        ("an empty one", instead_of(UPGRADE, "Upgrade:"), AnswerError::Upgrade),
        ("another one", instead_of(UPGRADE, "Upgrade: h2c"), AnswerError::Upgrade),
        ("another one too", instead_of(UPGRADE, "Upgrade: websocket, h2c"), AnswerError::Upgrade),
        ("two lines", with(&["Upgrade: h2c"]), AnswerError::Upgrade),
        ("underscores", instead_of(UPGRADE, "Up_grade: websocket"), AnswerError::Upgrade),
        ("no Connection", without(CONNECTION), AnswerError::Connection),
        ("close", instead_of(CONNECTION, "Connection: close"), AnswerError::Connection),
        (
            "part of a token",
            instead_of(CONNECTION, "Connection: upgraded"),
            AnswerError::Connection,
        ),
    ]);
    assert_agreed([
        ("any case", instead_of(UPGRADE, "UPGRADE:WebSocket "), None),
        ("a list", instead_of(CONNECTION, "connection: keep-alive, upgrade"), None),
        ("two lines", with(&["Connection: keep-alive"]), None),
        ("a length that means nothing", with(&["Content-Length: 5"]), None),
    ]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.3
//# The |Sec-WebSocket-Accept| header MUST NOT appear more than once in
//# an HTTP response.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# but ignoring any leading and
//# trailing whitespace, the client MUST _Fail the WebSocket
//# Connection_.
#[test]
fn exactly_one_accept_that_answers_our_key_is_asked_for() {
    assert_given_up([
        ("none", without(ACCEPT), AnswerError::Accept),
        ("two", with(&[ACCEPT]), AnswerError::Repeated("sec-websocket-accept")),
        ("empty", instead_of(ACCEPT, "Sec-WebSocket-Accept:"), AnswerError::Accept),
        (
            "another",
            instead_of(ACCEPT, "Sec-WebSocket-Accept: t3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            AnswerError::Accept,
        ),
        (
            "another case",
            instead_of(ACCEPT, "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO="),
            AnswerError::Accept,
        ),
        (
            "longer",
            instead_of(ACCEPT, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=="),
            AnswerError::Accept,
        ),
        (
            "our key",
            instead_of(ACCEPT, "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ=="),
            AnswerError::Accept,
        ),
    ]);
    let spaced = instead_of(ACCEPT, "Sec-WebSocket-Accept: \t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t");
    assert_agreed([("spaces around it", spaced, None)]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the response includes a |Sec-WebSocket-Extensions| header
//# field and this header field indicates the use of an extension
//# that was not present in the client's handshake (the server has
//# indicated an extension not requested by the client), the client
//# MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.2
//# However, the |Sec-WebSocket-Extensions| header field MUST NOT appear
//# more than once in an HTTP response.
#[test]
fn an_extension_that_was_not_offered_is_refused() {
    let extensions = |it: &str| with(&[&format!("Sec-WebSocket-Extensions: {it}")]);
    for it in ["permessage-deflate", "a; b=0", "a; b=255, c"] {
        assert_given_up([(it, extensions(it), AnswerError::ExtensionNotOffered)]);
    }
    for it in ["", ",", "a;", "a; b=\"", "a b"] {
        assert_given_up([(it, extensions(it), AnswerError::ExtensionSyntax)]);
    }
    let line = "Sec-WebSocket-Extensions: a";
    let twice = AnswerError::Repeated("sec-websocket-extensions");
    assert_given_up([("two lines", with(&[line, line]), twice)]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the response includes a |Sec-WebSocket-Protocol| header field
//# and this header field indicates the use of a subprotocol that was
//# not present in the client's handshake (the server has indicated a
//# subprotocol not requested by the client), the client MUST _Fail
//# the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
//# However, the |Sec-WebSocket-Protocol| header field MUST NOT appear
//# more than once in an HTTP response.
#[test]
fn the_subprotocol_is_one_of_those_asked_for() {
    let protocol = |it: &str| with(&[&format!("Sec-WebSocket-Protocol: {it}")]);
    for it in ["", "c", "A", "a, b", "a,", "\"a\""] {
        assert_given_up([(it, protocol(it), AnswerError::Subprotocol)]);
    }
    let line = "Sec-WebSocket-Protocol: a";
    let twice = AnswerError::Repeated("sec-websocket-protocol");
    assert_given_up([("two lines", with(&[line, line]), twice)]);
    assert_agreed([
        ("the first", protocol("a"), Some("a")),
        ("the second", protocol(" b\t"), Some("b")),
        ("none", with(&[]), None),
    ]);
    let mut asked_for_none =
        ClientRequest::new("ws://a".parse().unwrap()).write(NONCE, &mut vec![]);
    let answer = asked_for_none.receive(&protocol("a"), &Limits::default());
    assert_eq!(answer, Err(AnswerError::Subprotocol));
}

#[test]
fn bytes_after_the_101_are_left_as_frames() {
    let head = with(&[]);
    let bytes = [head.as_slice(), b"\x81\x02hi\r\n\r\n\x88\x00"].concat();
    let (head_bytes, _) = run_cut_anywhere("frames", &bytes).unwrap().unwrap();
    assert_eq!(head_bytes, head.len());
}

#[test]
fn errors_are_written_for_people() {
    for (bytes, text) in [
        (lines(["HTTP/1.1 404 a"]), "the server did not upgrade to WebSocket: it answered 404"),
        (vec![0x15], "the server's answer: TLS, where plain HTTP is spoken"),
        (with(&[ACCEPT]), "sec-websocket-accept stands twice in the server's answer"),
    ] {
        let limits = Limits::default();
        assert_eq!(run(&bytes, [bytes.len()], &limits).unwrap_err().to_string(), text);
    }
}

/// Tokens of which subprotocols and field names are made.
const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}";

fn url() -> impl Strategy<Value = String> {
    let host = prop_oneof!["[a-z0-9.-]{1,20}", Just("[2001:db8::1]".to_owned())];
    let port = prop_oneof![Just(String::new()), any::<u16>().prop_map(|it| format!(":{it}"))];
    let path = "(/[!$-&'-.0-;=@-Z_a-z~]{0,10}){0,3}".prop_map(|it| it.replace('%', "%2F"));
    (prop_oneof!["[wW][sS]", "[wW][sS][sS]"], host, port, path, "(\\?[a-z=&?/]{0,10})?").prop_map(
        |(scheme, host, port, path, query)| format!("{scheme}://{host}{port}{path}{query}"),
    )
}

proptest! {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The handshake MUST be a valid HTTP request as specified by
    //# [RFC2616].
    #[test]
    fn what_a_client_writes_a_server_accepts_and_its_answer_the_client_accepts(
        url in url(),
        nonce: [u8; 16],
        subprotocols in prop::collection::btree_set(TOKEN, 0..6),
        chosen in any::<prop::sample::Index>(),
        with_origin: bool,
        fields in prop::collection::vec((TOKEN, "[ -~]{0,20}"), 0..5),
        frames in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let url: Url = url.parse().unwrap();
        let secure = url.is_secure();
        let mut request = ClientRequest::new(url.clone());
        for it in &subprotocols {
            request = request.subprotocol(it.clone()).unwrap();
        }
        if with_origin {
            let scheme = if secure { "https" } else { "http" };
            request = request.origin(&format!("{scheme}://{}:{}", bracketed(&url), url.port())).unwrap();
        }
        for (name, value) in &fields {
            request = request.field(format!("X{name}"), value.clone()).unwrap();
        }
        let mut bytes = Vec::new();
        let mut client = request.write(nonce, &mut bytes);

        let limits = Limits::default();
        let policy = Policy { limits: &limits, origins: &Origins::SameHost, secure };
        let received = ServerHandshake::new().receive(&bytes, &policy);
        let Ok(Some((head_bytes, Opening::Upgrade(opening)))) = received else {
            panic!("not an upgrade: {received:?}");
        };
        prop_assert_eq!(head_bytes, bytes.len());
        prop_assert_eq!(opening.target(), url.target());
        prop_assert_eq!(opening.host().to_string(), url.authority().to_string());
        prop_assert_eq!(opening.protocols().map(str::to_owned).collect::<BTreeSet<_>>(), subprotocols.clone());

        let mut accept = Accept::new();
        let chosen = (!subprotocols.is_empty()).then(|| chosen.get(&Vec::from_iter(&subprotocols)).to_string());
        if let Some(it) = &chosen {
            accept = accept.subprotocol(it.clone());
        }
        for (name, value) in &fields {
            accept = accept.field(format!("X{name}"), value.clone()).unwrap();
        }
        let mut answer = Vec::new();
        let server_agreed = opening.accept(&accept, &mut answer).unwrap();
        let answer_bytes = answer.len();
        answer.extend_from_slice(&frames);
        let (head_bytes, agreed) = client.receive(&answer, &limits).unwrap().unwrap();
        prop_assert_eq!(head_bytes, answer_bytes);
        prop_assert_eq!(agreed.subprotocol.as_deref(), chosen.as_deref());
        prop_assert_eq!(agreed, server_agreed);
    }

    #[test]
    fn arbitrary_answers_give_the_same_outcome_however_they_are_cut(
        start in prop::sample::select(vec!["", "HTTP/1.1 103 a\r\n\r\n", "HTTP/1.1 101 a\r\n", "HTTP/1.1 4"]),
        pieces in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(LINES.to_vec()).prop_map(|it| format!("{it}\r\n").into_bytes()),
                2 => prop::sample::select(vec!["\r\n", "\n", "\r", ":", "HTTP/1.1 ", "103", "a: b", "Sec-WebSocket-Protocol: a\r\n"])
                    .prop_map(|it| it.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..20),
            ],
            0..12,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        small in prop::option::of((0..200_usize, 0..60_usize, 0..60_usize, 0..8_usize)),
    ) {
        let bytes = [start.as_bytes(), &pieces.concat()].concat();
        let mut limits = Limits::default();
        if let Some((head, line, field, fields)) = small {
            limits.head_bytes_max = head;
            (limits.request_line_bytes_max, limits.field_line_bytes_max) = (line, field);
            limits.fields_max = fields;
        }
        let whole = run(&bytes, [bytes.len()], &limits);
        let mut ends: Vec<_> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        prop_assert_eq!(&run(&bytes, ends, &limits), &whole);
        prop_assert_eq!(&run(&bytes, 0..=bytes.len(), &limits), &whole);
    }

    #[test]
    fn a_scanner_finds_the_same_end_or_the_same_error_however_bytes_are_cut(
        text in "(HTTP/|GET /|PRI |.)?([a:\r\n]|\r\n){0,40}",
        answer: bool,
        head_bytes_max in 0..50_usize,
    ) {
        let mut limits = Limits::default();
        limits.head_bytes_max = head_bytes_max;
        let new = || if answer { HeadScanner::answer() } else { HeadScanner::request() };
        let whole = new().scan(text.as_bytes(), &limits);
        let mut scanner = new();
        let cut: Vec<_> = (0..=text.len()).map(|end| scanner.scan(&text.as_bytes()[..end], &limits)).collect();
        prop_assert_eq!(cut.last().copied(), Some(whole));
        prop_assert_eq!(cut.into_iter().find(|it| *it != Ok(None)).unwrap_or(Ok(None)), whole);
    }

    #[test]
    fn arbitrary_text_is_a_url_or_an_error(text in "(wss?://)?.{0,30}") {
        if let Ok(url) = text.parse::<Url>() {
            prop_assert!(url.target().starts_with('/'));
            prop_assert!(url.to_string().is_ascii());
            prop_assert_eq!(url.to_string().parse(), Ok(url));
        }
    }
}

fn bracketed(url: &Url) -> &str {
    url.authority().host()
}
