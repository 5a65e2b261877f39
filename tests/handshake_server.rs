//! The server's side of the opening handshake: each row of the rules is a row of a table here.
//!
//! Each request is given whole, byte by byte, and cut in two at each position: the way in which bytes arrive must not
//! change what comes out.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

use std::collections::BTreeSet;

use allocation_counter::measure;
use proptest::prelude::*;
use tautline::Limits;
use tautline::handshake::{
    Accept, AcceptError, FieldError, HeadError, HeadScanner, Opening, Origins, Policy, Refusal,
    Request, Response, ServerHandshake, Status,
};

const REQUEST_LINE: &str = "GET /chat HTTP/1.1";
const HOST: &str = "Host: server.example.com";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";
const LINES: [&str; 6] = [REQUEST_LINE, HOST, UPGRADE, CONNECTION, KEY, VERSION];

/// A request of these lines.
fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A valid request, and these lines.
fn with(more: &[&str]) -> Vec<u8> {
    lines(LINES.into_iter().chain(more.iter().copied()))
}

/// A valid request with another line in the place of this one.
fn instead_of(line: &str, other: &str) -> Vec<u8> {
    lines(LINES.map(|it| if it == line { other } else { it }))
}

/// A valid request without this line.
fn without(line: &str) -> Vec<u8> {
    lines(LINES.into_iter().filter(|it| *it != line))
}

/// A valid request with another target.
fn target(target: &str) -> Vec<u8> {
    instead_of(REQUEST_LINE, &format!("GET {target} HTTP/1.1"))
}

/// A valid request with another value of a field.
fn value(line: &str, value: &str) -> Vec<u8> {
    let (name, _) = line.split_once(':').unwrap();
    instead_of(line, &format!("{name}: {value}"))
}

/// What a server made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Incomplete,
    Upgrade(usize, String),
    Plain(usize, String),
    Refused(Refusal),
}

/// Gives a handshake the prefixes of `bytes` that end there, until it has an outcome.
fn run(bytes: &[u8], ends: impl IntoIterator<Item = usize>, policy: &Policy<'_>) -> Outcome {
    let mut handshake = ServerHandshake::new();
    for end in ends {
        match handshake.receive(&bytes[..end], policy) {
            Ok(None) => {}
            Ok(Some((head_bytes, Opening::Upgrade(request)))) => {
                return Outcome::Upgrade(head_bytes, format!("{request:?}"));
            }
            Ok(Some((head_bytes, Opening::Plain(request)))) => {
                return Outcome::Plain(head_bytes, format!("{request:?}"));
            }
            Err(refusal) => {
                assert_eq!(handshake.receive(&bytes[..end], policy).err(), Some(refusal));
                return Outcome::Refused(refusal);
            }
        }
    }
    Outcome::Incomplete
}

/// Runs a request in all ways of cutting it; they agree.
fn run_cut_anywhere(name: &str, bytes: &[u8], policy: &Policy<'_>) -> Outcome {
    let whole = run(bytes, [bytes.len()], policy);
    assert_eq!(run(bytes, 1..=bytes.len(), policy), whole, "{name}: byte by byte");
    // Under Miri, each cut takes a second.
    let step = 1 + bytes.len() / if cfg!(miri) { 3 } else { 2_000 };
    for cut in (0..bytes.len()).step_by(step) {
        assert_eq!(run(bytes, [cut, bytes.len()], policy), whole, "{name}: cut at {cut}");
    }
    whole
}

fn default_policy(check: impl FnOnce(&Policy<'_>)) {
    let (limits, origins) = (Limits::default(), Origins::default());
    check(&Policy { limits: &limits, origins: &origins, secure: false });
}

/// Each request is refused with this status, for this reason, however it is cut.
fn assert_refused<'n>(rows: impl IntoIterator<Item = (&'n str, Vec<u8>, u16, Refusal)>) {
    default_policy(|policy| {
        for (name, bytes, status, refusal) in rows {
            let outcome = run_cut_anywhere(name, &bytes, policy);
            assert_eq!(outcome, Outcome::Refused(refusal), "{name}");
            assert_eq!(refusal.status().get(), status, "{name}");
        }
    });
}

/// Each request is taken for an upgrade, however it is cut.
fn assert_upgrades<'n>(rows: impl IntoIterator<Item = (&'n str, Vec<u8>)>) {
    default_policy(|policy| {
        for (name, bytes) in rows {
            let outcome = run_cut_anywhere(name, &bytes, policy);
            assert!(
                matches!(outcome, Outcome::Upgrade(length, _) if length == bytes.len()),
                "{name}: {outcome:?}"
            );
        }
    });
}

/// Each request is given to the application as a plain one, however it is cut.
fn assert_plain<'n>(rows: impl IntoIterator<Item = (&'n str, Vec<u8>)>) {
    default_policy(|policy| {
        for (name, bytes) in rows {
            let outcome = run_cut_anywhere(name, &bytes, policy);
            assert!(matches!(outcome, Outcome::Plain(..)), "{name}: {outcome:?}");
        }
    });
}

/// Gives `check` the valid request in `bytes`.
fn with_request<T>(bytes: &[u8], check: impl FnOnce(&Request<'_>) -> T) -> T {
    let (limits, origins) = (Limits::default(), Origins::default());
    let policy = Policy { limits: &limits, origins: &origins, secure: false };
    match ServerHandshake::new().receive(bytes, &policy) {
        Ok(Some((_, Opening::Upgrade(request)))) => check(&request),
        other => panic!("not an upgrade: {other:?}"),
    }
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let bytes = with(&[
        "Origin: http://server.example.com",
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ]);
    assert_upgrades([("the example", bytes.clone())]);
    with_request(&bytes, |request| {
        assert_eq!((request.method(), request.target()), ("GET", "/chat"));
        assert_eq!((request.path(), request.query()), ("/chat", None));
        assert_eq!(request.host().to_string(), "server.example.com");
        assert_eq!(request.origin().unwrap().to_string(), "http://server.example.com");
        assert_eq!(request.protocols().collect::<Vec<_>>(), ["chat", "superchat"]);
        assert_eq!(request.field_text("SEC-WEBSOCKET-version"), Some("13"));
        assert_eq!(request.fields().iter().count(), 8);
        let extensions: Vec<_> = request.extensions().collect();
        assert_eq!(extensions.len(), 1);
        assert_eq!(extensions[0].name(), "permessage-deflate");
        assert_eq!(extensions[0].parameters().next().unwrap().name, "client_max_window_bits");

        let mut out = b"before ".to_vec();
        let agreed = request.accept(&Accept::new().subprotocol("superchat"), &mut out).unwrap();
        assert_eq!(agreed.subprotocol.as_deref(), Some("superchat"));
        assert_eq!(
            out.escape_ascii().to_string(),
            b"before HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n"
                .escape_ascii()
                .to_string()
        );
    });
}

#[test]
fn heads_over_a_limit_are_refused_as_soon_as_they_are_over_it() {
    let many = |count: usize| with(&vec!["A: b"; count]);
    let long_line = format!("A: {}", "b".repeat(8_189));
    let longer_line = format!("{long_line}b");
    let half = format!("A: {}", "b".repeat(8_000));
    let head = |error| Refusal::Head(error);
    assert_refused([
        (
            "2: request line",
            target(&format!("/{}", "a".repeat(8_179))),
            414,
            head(HeadError::StartLineTooLong),
        ),
        ("2: field line", with(&[&longer_line]), 431, head(HeadError::FieldLineTooLong)),
        ("2: fields", many(96), 431, head(HeadError::TooManyFields)),
        ("2: head", with(&[&half, &half, &half]), 431, head(HeadError::HeadTooLong)),
        ("2: no line end", vec![b'A'; 9_000], 414, head(HeadError::StartLineTooLong)),
    ]);
    assert_upgrades([
        ("2: request line", target(&format!("/{}", "a".repeat(8_178)))),
        ("2: field line", with(&[&long_line])),
        ("2: fields", many(95)),
    ]);
}

#[test]
fn the_limit_on_the_head_is_exact() {
    let bytes = with(&[]);
    for (head_bytes_max, refused) in [(bytes.len(), false), (bytes.len() - 1, true)] {
        let mut limits = Limits::default();
        limits.head_bytes_max = head_bytes_max;
        let policy = Policy { limits: &limits, origins: &Origins::Any, secure: false };
        let outcome = run_cut_anywhere("exact", &bytes, &policy);
        assert_eq!(outcome == Outcome::Refused(Refusal::Head(HeadError::HeadTooLong)), refused);
    }
}

#[test]
fn more_fields_than_128_are_refused_whatever_the_limits_say() {
    let mut limits = Limits::default();
    limits.fields_max = usize::MAX;
    let policy = Policy { limits: &limits, origins: &Origins::Any, secure: false };
    let whole = |count| {
        let bytes = with(&vec!["A: b"; count]);
        run(&bytes, [bytes.len()], &policy)
    };
    assert!(matches!(whole(123), Outcome::Upgrade(..)));
    assert_eq!(whole(124), Outcome::Refused(Refusal::Head(HeadError::TooManyFields)));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# the server MUST stop
//# processing the client's handshake and return an HTTP response with an
//# appropriate error code (such as 400 Bad Request).
#[test]
fn lines_and_fields_are_read_strictly() {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let head = |error| Refusal::Head(error);
    let field = Refusal::FieldLine;
    let line = Refusal::RequestLine;
    assert_refused([
        ("4: bare LF", bytes("GET / HTTP/1.1\nHost: a\n\n"), 400, head(HeadError::BareLf)),
        ("4: bare LF in a field", with(&["A: b\nC: d"]), 400, head(HeadError::BareLf)),
        ("4: bare CR in a field", with(&["A: b\rC: d"]), 400, head(HeadError::BareCr)),
        ("4: CR CR LF", with(&["A: b\r"]), 400, head(HeadError::BareCr)),
        (
            "4: empty line first",
            bytes("\r\nGET / HTTP/1.1\r\n"),
            400,
            head(HeadError::EmptyFirstLine),
        ),
        ("4: bare LF first", bytes("\nGET / HTTP/1.1\r\n"), 400, head(HeadError::BareLf)),
        ("4: folding", with(&["A: b", " c"]), 400, field),
        ("4: folding with a tab", with(&["A: b", "\tc"]), 400, field),
        ("4: folding of the first field", instead_of(HOST, " Host: a"), 400, field),
        ("4: space before the colon", with(&["A : b"]), 400, field),
        ("5: empty name", with(&[": b"]), 400, field),
        ("5: no colon", with(&["A"]), 400, field),
        ("5: name with a separator", with(&["A(b): c"]), 400, field),
        ("5: name that is not ASCII", with(&["Ä: b"]), 400, field),
        ("5: NUL in a value", with(&["A: b\0c"]), 400, field),
        ("5: control in a value", with(&["A: b\x07c"]), 400, field),
        ("5: DEL in a value", with(&["A: b\x7fc"]), 400, field),
        ("no target", instead_of(REQUEST_LINE, "GET HTTP/1.1"), 400, line),
        ("no version", instead_of(REQUEST_LINE, "GET /"), 400, line),
        ("two spaces", instead_of(REQUEST_LINE, "GET  / HTTP/1.1"), 400, line),
        ("a space at the end", instead_of(REQUEST_LINE, "GET / HTTP/1.1 "), 400, line),
        ("a tab", instead_of(REQUEST_LINE, "GET\t/ HTTP/1.1"), 400, line),
        (
            "a space first",
            instead_of(REQUEST_LINE, " GET / HTTP/1.1"),
            400,
            head(HeadError::NotHttp),
        ),
        ("no HTTP", instead_of(REQUEST_LINE, "GET / ICY/1.1"), 400, line),
        ("lower case", instead_of(REQUEST_LINE, "GET / http/1.1"), 400, line),
    ]);
    assert_upgrades([
        ("5: an empty value", with(&["A:"])),
        ("5: no space, a tab, many spaces", with(&["A:b", "C:\td", "E:    f    "])),
        ("5: a value that is not ASCII", with(&["A: ä"])),
        (
            "names in any case",
            lines([
                REQUEST_LINE,
                "hOST: a",
                "UPGRADE: websocket",
                "connection: upgrade",
                KEY,
                VERSION,
            ]),
        ),
    ]);
}

#[test]
fn another_method_of_an_upgrade_is_answered_with_what_is_allowed() {
    let method = |method: &str| instead_of(REQUEST_LINE, &format!("{method} /chat HTTP/1.1"));
    assert_refused([
        ("6: lower case", method("get"), 405, Refusal::Method),
        ("6: POST", method("POST"), 405, Refusal::Method),
        ("6: HEAD", method("HEAD"), 405, Refusal::Method),
        ("6: GETS", method("GETS"), 405, Refusal::Method),
    ]);
    assert!(written(&Refusal::Method.response()).contains("\r\nAllow: GET\r\n"));
}

#[test]
fn other_versions_of_http_are_refused() {
    let version = |version: &str| instead_of(REQUEST_LINE, &format!("GET / {version}"));
    assert_refused([
        ("7: 1.0", version("HTTP/1.0"), 505, Refusal::HttpVersion),
        ("7: 0.9", version("HTTP/0.9"), 505, Refusal::HttpVersion),
        ("7: 1.2", version("HTTP/1.2"), 505, Refusal::HttpVersion),
        ("7: 2.0", version("HTTP/2.0"), 505, Refusal::HttpVersion),
        ("7: 1.1 and more", version("HTTP/1.10"), 400, Refusal::RequestLine),
        ("7: plain 1.0", lines(["GET / HTTP/1.0", HOST]), 505, Refusal::HttpVersion),
    ]);
}

#[test]
fn targets_are_in_origin_form_or_absolute_form() {
    let illegal = [
        "*",
        "server.example.com:80",
        "chat",
        "?a=b",
        "/a#b",
        "/%",
        "/%4",
        "/%zz",
        "/%u0041",
        "/ä",
        "ws://a/",
        "wss://a/",
        "ftp://a/",
        "http:/a",
        "http://",
        "http:///a",
        "http://u@a/",
        "http://a:b/",
        "http://a:99999/",
        "http://[::1/",
        "//",
        "http://a#b",
    ];
    for it in illegal.into_iter().filter(|it| *it != "//") {
        assert_refused([(it, target(it), 400, Refusal::Target)]);
    }
    assert_refused([("8: a control", target("/a\x07"), 400, Refusal::RequestLine)]);

    for (it, host, path, query) in [
        ("/", "server.example.com", "/", None),
        ("//a", "server.example.com", "//a", None),
        ("/a/b?c=d?e&f", "server.example.com", "/a/b", Some("c=d?e&f")),
        ("/?", "server.example.com", "/", Some("")),
        ("/%C3%A4|{}", "server.example.com", "/%C3%A4|{}", None),
        ("http://other.example", "other.example", "/", None),
        ("HTTP://other.example:8080/a?b", "other.example:8080", "/a", Some("b")),
        ("https://[::1]?b", "[::1]", "/", Some("b")),
    ] {
        assert_upgrades([(it, target(it))]);
        with_request(&target(it), |request| {
            assert_eq!(request.target(), it);
            assert_eq!(request.host().to_string(), host, "{it}");
            assert_eq!((request.path(), request.query()), (path, query), "{it}");
        });
    }
}

#[test]
fn exactly_one_valid_host_is_asked_for() {
    let absolute = |host: &[&str]| {
        lines(
            ["GET http://a/ HTTP/1.1", UPGRADE, CONNECTION, KEY, VERSION]
                .into_iter()
                .chain(host.iter().copied()),
        )
    };
    assert_refused([
        ("9: none", without(HOST), 400, Refusal::HostMissing),
        ("9: none, plain", lines(["GET / HTTP/1.1"]), 400, Refusal::HostMissing),
        ("9: two", with(&[HOST]), 400, Refusal::Repeated("Host")),
        ("9: none, with absolute-form", absolute(&[]), 400, Refusal::HostMissing),
        ("9: bad, with absolute-form", absolute(&["Host: a/b"]), 400, Refusal::HostInvalid),
    ]);
    for host in [
        "",
        "a/",
        "a/b",
        "a,b",
        "a, b",
        "u@a",
        "u:p@a",
        "a b",
        "a?b",
        "a#b",
        "a\\b",
        "http://a",
        "a:b",
        "a:65536",
        "[::1",
        "[1.2.3.4]",
        "ä",
        "%",
        "*.example.com:x",
    ] {
        assert_refused([(host, value(HOST, host), 400, Refusal::HostInvalid)]);
    }
    for host in [
        "a",
        "a.b.c:1",
        "A_b-c.example",
        "127.0.0.1:65535",
        "[::1]",
        "[2001:db8::1]:8080",
        "localhost:",
    ] {
        assert_upgrades([(host, value(HOST, host))]);
    }
}

#[test]
fn without_upgrade_in_connection_or_without_an_upgrade_field_a_request_is_plain() {
    assert_plain([
        ("10: no Connection", without(CONNECTION)),
        ("10: close", value(CONNECTION, "close")),
        ("10: not a token", value(CONNECTION, "upgrade, a b")),
        ("10: quoted", value(CONNECTION, "\"upgrade\"")),
        ("10: part of a token", value(CONNECTION, "upgrade-insecure")),
        ("10: empty", value(CONNECTION, "")),
        ("no Upgrade", without(UPGRADE)),
        ("21: with a line under it", lines([REQUEST_LINE, HOST, UPGRADE, "Connection_: Upgrade"])),
        ("a page", lines(["GET /?a=b HTTP/1.1", HOST])),
        ("a page's head", lines(["HEAD / HTTP/1.1", HOST])),
        ("any method", lines(["BREW /pot HTTP/1.1", HOST, "Expect: 100-continue"])),
        ("a body", lines(["POST / HTTP/1.1", HOST, "Content-Length: 3"])),
        (
            "a page for another site",
            lines(["GET / HTTP/1.1", HOST, "Origin: https://other.example"]),
        ),
    ]);
    assert_upgrades([
        ("10: any case", value(CONNECTION, "uPGRADE")),
        ("10: a list", value(CONNECTION, "keep-alive, Upgrade")),
        ("10: empty members", value(CONNECTION, ",, Upgrade ,")),
        ("10: two lines", with(&["Connection: keep-alive"])),
    ]);
}

#[test]
fn an_upgrade_to_something_else_is_answered_with_websocket() {
    for it in
        ["h2c", "", "websocket/13", "web socket", "\"websocket\"", "websockets", "h2c, TLS/1.0"]
    {
        assert_refused([(it, value(UPGRADE, it), 426, Refusal::Protocol)]);
    }
    assert_upgrades([
        ("11: any case", value(UPGRADE, "WebSocket")),
        ("11: a list", value(UPGRADE, "h2c, websocket")),
        ("11: two lines", with(&["Upgrade: h2c"])),
    ]);
    assert!(written(&Refusal::Protocol.response()).contains("\r\nUpgrade: websocket\r\n"));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If this
//# version does not match a version understood by the server, the
//# server MUST abort the WebSocket handshake described in this
//# section and instead send an appropriate HTTP error code (such
//# as 426 Upgrade Required) and a |Sec-WebSocket-Version| header
//# field indicating the version(s) the server is capable of
//# understanding.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.4
//# If the server
//# doesn't support the requested version, it MUST respond with a
//# |Sec-WebSocket-Version| header field (or multiple
//# |Sec-WebSocket-Version| header fields) containing all versions it is
//# willing to use.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.5
//# However, the |Sec-WebSocket-Version| header field MUST NOT appear
//# more than once in an HTTP request.
#[test]
fn another_version_of_websocket_is_answered_with_13() {
    assert_refused([("12: none", without(VERSION), 426, Refusal::WebSocketVersion)]);
    for it in ["", "8", "12", "14", "013", "13.0", "+13", "13, 8", "1 3", "130"] {
        assert_refused([(it, value(VERSION, it), 426, Refusal::WebSocketVersion)]);
    }
    assert_refused([
        ("22: twice", with(&[VERSION]), 400, Refusal::Repeated("Sec-WebSocket-Version")),
        (
            "21: underscores",
            instead_of(VERSION, "Sec_WebSocket_Version: 13"),
            426,
            Refusal::WebSocketVersion,
        ),
    ]);
    let answer = written(&Refusal::WebSocketVersion.response());
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
    assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"));
    assert!(answer.contains("\r\nUpgrade: websocket\r\n"));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# A |Sec-WebSocket-Key| header field with a base64-encoded (see
//# Section 4 of [RFC4648]) value that, when decoded, is 16 bytes in
//# length.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.1
//# The |Sec-WebSocket-Key| header field MUST NOT appear more than once
//# in an HTTP request.
#[test]
fn exactly_one_key_that_stands_for_16_bytes_is_asked_for() {
    assert_refused([
        ("13: none", without(KEY), 400, Refusal::Key),
        ("22: twice", with(&[KEY]), 400, Refusal::Repeated("Sec-WebSocket-Key")),
        (
            "21: underscores",
            instead_of(KEY, "Sec_WebSocket_Key: dGhlIHNhbXBsZSBub25jZQ=="),
            400,
            Refusal::Key,
        ),
    ]);
    for it in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZWFi",
        "dGhlIHNhbXBsZSBub25j_Q==",
        "dGhlIHNhbXBsZSBub2 jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, a",
    ] {
        assert_refused([(it, value(KEY, it), 400, Refusal::Key)]);
    }
    assert_upgrades([
        ("13: trailing bits", value(KEY, "AQIDBAUGBwgJCgsMDQ4PEC==")),
        ("13: spaces around it", value(KEY, "  dGhlIHNhbXBsZSBub25jZQ== ")),
    ]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
//# If the origin indicated is unacceptable to the server,
//# then it SHOULD respond to the WebSocket handshake with a reply
//# containing HTTP 403 Forbidden status code.
#[test]
fn pages_of_other_origins_are_refused() {
    let origin = |it: &str| with(&[&format!("Origin: {it}")]);
    for it in [
        "https://server.example.com",
        "http://other.example",
        "http://server.example.com:8080",
        "http://93.184.216.34",
        "http://server.example.com.evil.example",
        "http://evilserver.example.com",
        "null",
        "file://",
        "chrome-extension://abcdef",
    ] {
        assert_refused([(it, origin(it), 403, Refusal::OriginNotAllowed)]);
    }
    for it in [
        "",
        "server.example.com",
        "http://server.example.com/",
        "http://a http://b",
        "http://",
        "http://u@server.example.com",
        "NULL",
        "://a",
        "ä",
    ] {
        assert_refused([(it, origin(it), 403, Refusal::OriginInvalid)]);
    }
    let same = "Origin: http://server.example.com";
    assert_refused([("14: two", with(&[same, same]), 403, Refusal::OriginRepeated)]);
    assert_upgrades([
        ("14: none", with(&[])),
        ("14: same host", with(&[same])),
        ("14: any case and port", origin("HTTP://Server.Example.COM:80")),
    ]);
}

#[test]
fn each_policy_allows_its_origins() {
    let list = || Origins::list(["https://a.example", "http://b.example:8080", "null", "file://"]);
    let list = list().unwrap();
    let same = Origins::SameHost;
    for (policy, secure, host, origin, allowed) in [
        (&Origins::Any, false, "h", "https://other.example", true),
        (&Origins::Any, false, "h", "null", true),
        (&same, true, "h", "https://h", true),
        (&same, true, "h:443", "https://h", true),
        (&same, true, "h", "http://h", false),
        (&same, true, "h", "http://h:443", false),
        (&same, false, "h", "https://h:80", false),
        (&same, false, "h:8080", "http://h:8080", true),
        (&same, false, "h:8080", "http://h", false),
        (&same, false, "[::1]:80", "http://[0::1]", true),
        (&list, false, "h", "https://a.example", true),
        (&list, false, "h", "https://A.example:443", true),
        (&list, false, "h", "http://a.example", false),
        (&list, false, "h", "https://a.example:8443", false),
        (&list, false, "h", "http://b.example:8080", true),
        (&list, false, "h", "http://b.example", false),
        (&list, false, "h", "http://h", false),
        (&list, false, "h", "null", true),
        (&list, false, "h", "file://", true),
    ] {
        let limits = Limits::default();
        let policy = Policy { limits: &limits, origins: policy, secure };
        let (host, origin) = (format!("Host: {host}"), format!("Origin: {origin}"));
        let bytes = lines([REQUEST_LINE, &host, UPGRADE, CONNECTION, KEY, VERSION, &origin]);
        let outcome = run_cut_anywhere(&origin, &bytes, &policy);
        assert_eq!(matches!(outcome, Outcome::Upgrade(..)), allowed, "{policy:?} {host} {origin}");
        assert!(allowed || outcome == Outcome::Refused(Refusal::OriginNotAllowed));
    }
}

#[test]
fn an_entry_of_the_list_that_is_no_origin_is_named_with_its_fault() {
    for (entry, error) in [
        (
            "example.com",
            "\"example.com\" is no origin: it has to begin with a scheme, such as https://, or to be null",
        ),
        (
            "https://a/",
            "\"https://a/\" is no origin: it has to end after host and port, without a path or a slash",
        ),
        ("https://", "\"https://\" is no origin: the host is missing"),
        ("*", "\"*\" is no origin: a * stands for nothing here: list each host"),
        (
            "https://*.example.com",
            "\"https://*.example.com\" is no origin: a * stands for nothing here: list each host",
        ),
    ] {
        assert_eq!(Origins::list(["https://ok.example", entry]).unwrap_err().to_string(), error);
    }
}

#[test]
fn an_upgrade_with_a_body_or_an_expectation_is_refused() {
    assert_refused([
        ("15: chunked", with(&["Transfer-Encoding: chunked"]), 400, Refusal::Body),
        ("15: identity", with(&["Transfer-Encoding: identity"]), 400, Refusal::Body),
        ("15: a length", with(&["Content-Length: 5"]), 400, Refusal::Body),
        ("15: no number", with(&["Content-Length: -0"]), 400, Refusal::Body),
        ("15: a list", with(&["Content-Length: 0, 0"]), 400, Refusal::Body),
        (
            "15: both",
            with(&["Content-Length: 0", "Transfer-Encoding: chunked"]),
            400,
            Refusal::Body,
        ),
        (
            "22: two",
            with(&["Content-Length: 0", "Content-Length: 0"]),
            400,
            Refusal::Repeated("Content-Length"),
        ),
        (
            "22: two, plain",
            lines(["POST / HTTP/1.1", HOST, "Content-Length: 0", "content-length: 5"]),
            400,
            Refusal::Repeated("Content-Length"),
        ),
        ("16: continue", with(&["Expect: 100-continue"]), 417, Refusal::Expectation),
        ("16: other", with(&["Expect: a"]), 417, Refusal::Expectation),
    ]);
    assert_upgrades([("15: no body", with(&["Content-Length: 0"]))]);
}

/// RFC 9112 sections 6.1 to 6.3.
#[test]
fn the_body_of_what_is_no_upgrade_has_one_plain_length_or_is_refused() {
    let post = |fields: &[&str]| {
        lines(["POST / HTTP/1.1", HOST].into_iter().chain(fields.iter().copied()))
    };
    let refused: [(&[&str], u16, Refusal); 22] = [
        (&["Content-Length:"], 400, Refusal::ContentLength),
        (&["Content-Length: -1"], 400, Refusal::ContentLength),
        (&["Content-Length: +1"], 400, Refusal::ContentLength),
        (&["Content-Length: 1 1"], 400, Refusal::ContentLength),
        (&["Content-Length: 0x1"], 400, Refusal::ContentLength),
        (&["Content-Length: 1.0"], 400, Refusal::ContentLength),
        (&["Content-Length: 5, 5"], 400, Refusal::ContentLength),
        (&["Content-Length: 5", "Content-Length: 5"], 400, Refusal::Repeated("Content-Length")),
        (&["Content-Length: 5", "Content-Length: 6"], 400, Refusal::Repeated("Content-Length")),
        (&["Content-Length: 65537"], 413, Refusal::BodyTooLong),
        (&["Content-Length: 18446744073709551615"], 413, Refusal::BodyTooLong),
        (&["Content-Length: 99999999999999999999999"], 413, Refusal::BodyTooLong),
        (&["Transfer-Encoding: chunked"], 411, Refusal::Chunked),
        (&["Transfer-Encoding: CHUNKED"], 411, Refusal::Chunked),
        (&["Transfer-Encoding: gzip, chunked"], 501, Refusal::TransferCoding),
        (&["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 501, Refusal::TransferCoding),
        (&["Transfer-Encoding: chunked, chunked"], 501, Refusal::TransferCoding),
        (&["Transfer-Encoding: chunked, gzip"], 400, Refusal::Framing),
        (&["Transfer-Encoding: identity"], 400, Refusal::Framing),
        (&["Transfer-Encoding:"], 400, Refusal::Framing),
        (&["Transfer-Encoding: chunked", "Content-Length: 0"], 400, Refusal::Framing),
        (&["Content-Length: 5", "Transfer-Encoding: xchunked"], 400, Refusal::Framing),
    ];
    for (fields, status, refusal) in refused {
        assert_refused([(fields[0], post(fields), status, refusal)]);
    }
    let taken: [(&[&str], usize, bool); 6] = [
        (&[], 0, false),
        (&["Content-Length: 0"], 0, false),
        (&["Content-Length: 0005"], 5, false),
        (&["Content-Length: 65536", "Expect: 100-Continue"], 65_536, true),
        (&["Content-Length: 5", "Expect: 200-continue"], 5, false),
        (&["Expect: 100-continue"], 0, true),
    ];
    for (fields, body_bytes, expects_continue) in taken {
        default_policy(|policy| {
            let bytes = post(fields);
            let opening = ServerHandshake::new().receive(&bytes, policy).unwrap().unwrap().1;
            let Opening::Plain(request) = opening else { panic!("{fields:?}") };
            let told = (request.body_bytes(), request.expects_continue(), request.body());
            assert_eq!(told, (body_bytes, expects_continue, b"".as_slice()), "{fields:?}");
        });
    }
}

#[test]
fn bytes_after_the_head_are_left_to_the_caller() {
    default_policy(|policy| {
        let head = with(&[]);
        let bytes = [head.as_slice(), b"\x81\x85\0\0\0\0hello"].concat();
        let outcome = run_cut_anywhere("17", &bytes, policy);
        assert!(matches!(outcome, Outcome::Upgrade(length, _) if length == head.len()));
    });
}

#[test]
fn subprotocols_are_a_list_of_tokens_each_once() {
    let protocol = |it: &str| with(&[&format!("Sec-WebSocket-Protocol: {it}")]);
    for it in ["", ",", "a b", "a, b c", "a,a", "a, b, a", "a/b", "\"a\"", "ä", "a;b"] {
        assert_refused([(it, protocol(it), 400, Refusal::Subprotocols)]);
    }
    let (many, more) = (numbered(32), numbered(33));
    let line = |it: &str| format!("Sec-WebSocket-Protocol: {it}");
    assert_refused([
        ("18: too many", protocol(&more), 400, Refusal::TooManySubprotocols),
        (
            "18: twice over two lines",
            with(&[&line("a, b"), &line("c,a")]),
            400,
            Refusal::Subprotocols,
        ),
    ]);
    assert_upgrades([
        ("18: as many as may be", protocol(&many)),
        ("18: two that differ in case", protocol("a, A")),
        ("21: underscores", with(&["Sec_WebSocket_Protocol: a b"])),
    ]);
    //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
    //# The |Sec-WebSocket-Protocol| header field MAY appear multiple times
    //# in an HTTP request (which is logically the same as a single
    //# |Sec-WebSocket-Protocol| header field that contains all values).
    with_request(&with(&[&line("a,, b,"), "X: y", &line("c")]), |request| {
        assert_eq!(request.protocols().collect::<Vec<_>>(), ["a", "b", "c"]);
    });
}

fn numbered(count: usize) -> String {
    (0..count).map(|it| format!("p{it}")).collect::<Vec<_>>().join(", ")
}

fn extensions(values: &[&str]) -> Vec<u8> {
    let values: Vec<_> =
        values.iter().map(|it| format!("Sec-WebSocket-Extensions: {it}")).collect();
    with(&values.iter().map(String::as_str).collect::<Vec<_>>())
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# If a value is received by either the client or
//# the server during negotiation that does not conform to the ABNF
//# below, the recipient of such malformed data MUST immediately _Fail
//# the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# after quoted-string unescaping MUST conform to the
//# ;'token' ABNF.
#[test]
fn extensions_that_do_not_follow_the_grammar_are_refused() {
    for it in [
        "",
        ",",
        ";",
        "a;",
        "a;;b",
        "a; b=",
        "a; b=;c",
        "a; =c",
        "a b",
        "a; b c",
        "a; b=c d",
        "a; b=\"",
        "a; b=\"\"",
        "a; b=\"c d\"",
        "a; b=\"c,d\"",
        "a; b=\"c\\\"",
        "a; b=\"c\\",
        "a; b=\"c\"d",
        "a; b=\"\\\"\"",
        "a; b=\"\\\\\"",
        "\"a\"",
        "a=b",
        "a/b",
        "ä",
        "a; b='c d'",
        "a, b;",
    ] {
        assert_refused([(it, extensions(&[it]), 400, Refusal::Extensions)]);
    }
    assert_refused([
        ("19: too many", extensions(&[&numbered(33)]), 400, Refusal::TooManyExtensions),
        ("19: a string over two lines", extensions(&["a; b=\"c", "d\""]), 400, Refusal::Extensions),
        ("19: the second line", extensions(&["a", "b;"]), 400, Refusal::Extensions),
    ]);
    assert_upgrades([("19: as many as may be", extensions(&[&numbered(32)]))]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# Note that like other HTTP header fields, this header field MAY be
//# split or combined across multiple lines.
#[test]
fn extensions_are_read_with_their_parameters_and_values() {
    for (values, expected) in [
        (&["foo", "bar; baz=2"] as &[&str], "foo bar;baz=2"),
        (&["foo, bar; baz=2"], "foo bar;baz=2"),
        (
            &["mux; max-channels=4; flow-control,\tdeflate-stream"],
            "mux;max-channels=4;flow-control deflate-stream",
        ),
        (&["a;b=\"c\""], "a;b=c"),
        (&["a ; b = \"c\\d\\e\" ;f"], "a;b=cde;f"),
        (&[",, a ,, b;c ,"], "a b;c"),
        (&["a;b;b=1;b", "a"], "a;b;b=1;b a"),
        (&["p; w=0; w=7; w=8; w=16; w=255; w=010"], "p;w=0;w=7;w=8;w=16;w=255;w=010"),
    ] {
        assert_upgrades([(expected, extensions(values))]);
        with_request(&extensions(values), |request| {
            let read: Vec<_> = request
                .extensions()
                .map(|it| {
                    let parameters = it.parameters().map(|it| match it.value {
                        Some(value) => format!(";{}={value}", it.name),
                        None => format!(";{}", it.name),
                    });
                    std::iter::once(it.name().to_owned()).chain(parameters).collect::<String>()
                })
                .collect();
            assert_eq!(read.join(" "), expected);
            let mut out = Vec::new();
            request.accept(&Accept::new(), &mut out).unwrap();
            assert!(!out.escape_ascii().to_string().contains("Extensions"), "none is answered");
        });
    }
}

#[test]
fn other_protocols_on_the_plain_port_are_told_by_their_first_bytes() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    assert_refused([
        ("23: a TLS hello", vec![0x16, 3, 1, 2, 0, 1, 0], 400, Refusal::Head(HeadError::Tls)),
        ("23: HTTP/2", preface, 400, Refusal::Head(HeadError::Http2)),
        ("23: an old hello", vec![0x80, 0x2e, 1, 3, 1], 400, Refusal::Head(HeadError::NotHttp)),
        ("23: NUL", vec![0], 400, Refusal::Head(HeadError::NotHttp)),
    ]);
    let first = |bytes: &[u8]| HeadScanner::request().scan(bytes, &Limits::default());
    assert_eq!(first(&[0x16]), Err(HeadError::Tls));
    assert_eq!(first(b"PRI "), Err(HeadError::Http2));
    assert_eq!(first(b"PRI"), Ok(None));
    assert_plain([("23: other methods", lines(["PRINT / HTTP/1.1", HOST]))]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the server chooses to accept the incoming connection, it MUST
//# reply with a valid HTTP response indicating the following.
#[test]
fn the_101_has_what_the_rfc_asks_for_and_no_length() {
    with_request(&with(&[]), |request| {
        let mut out = Vec::new();
        let accept =
            Accept::new().field("X-Room", "7").unwrap().field("Set-Cookie", "a=b").unwrap();
        let agreed = request.accept(&accept, &mut out).unwrap();
        assert_eq!(agreed.subprotocol, None);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Room: 7\r\nSet-Cookie: a=b\r\n\r\n"
        );
    });
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the client's handshake did not contain such a header field or if
//# the server does not agree to any of the client's requested
//# subprotocols, the only acceptable value is null.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# The value chosen MUST be derived
//# from the client's handshake, specifically by selecting one of
//# the values from the |Sec-WebSocket-Protocol| field
#[test]
fn a_subprotocol_that_was_not_asked_for_is_an_error_and_nothing_is_written() {
    for (asked, chosen) in [
        (None, "a"),
        (Some("a, b"), "c"),
        (Some("a"), "A"),
        (Some("a"), ""),
        (Some("a"), "a\r\nX: y"),
    ] {
        let line = asked.map(|it| format!("Sec-WebSocket-Protocol: {it}"));
        with_request(&with(line.as_deref().as_slice()), |request| {
            let mut out = Vec::new();
            let result = request.accept(&Accept::new().subprotocol(chosen), &mut out);
            let error = result.unwrap_err();
            assert_eq!(error, AcceptError::SubprotocolNotAskedFor(chosen.to_owned()));
            assert!(error.to_string().contains(&format!("{chosen:?}")), "{error}");
            assert!(out.is_empty());
        });
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# if the server does not wish to agree to one of the suggested
//# subprotocols, it MUST NOT send back a |Sec-WebSocket-Protocol|
//# header field in its response
#[test]
fn a_server_that_wants_none_of_the_subprotocols_answers_without_the_field() {
    with_request(&with(&["Sec-WebSocket-Protocol: a, b"]), |request| {
        let mut out = Vec::new();
        assert_eq!(request.accept(&Accept::new(), &mut out).unwrap().subprotocol, None);
        assert!(!String::from_utf8(out).unwrap().contains("Sec-WebSocket-Protocol"));
    });
}

#[test]
fn line_breaks_and_reserved_names_in_added_fields_are_errors_to_the_application() {
    type Add = fn(&str, &str) -> Option<FieldError>;
    let adders: [Add; 2] = [
        |name, value| Accept::new().field(name.to_owned(), value.to_owned()).err(),
        |name, value| Response::new(Status::OK).field(name.to_owned(), value.to_owned()).err(),
    ];
    for add in adders {
        for value in ["a\r\nSet-Cookie: b", "a\n", "a\r", "\0"] {
            assert_eq!(add("X", value), Some(FieldError::ControlInValue("X".to_owned())));
        }
        for name in ["", "a b", "a:", "a\r\n"] {
            assert_eq!(add(name, "a"), Some(FieldError::NameNotToken(name.to_owned())));
        }
        for name in
            ["Upgrade", "connection", "Sec-WebSocket-Accept", "Content-Length", "Transfer-Encoding"]
        {
            assert_eq!(add(name, "a"), Some(FieldError::Reserved(name.to_owned())));
        }
        assert_eq!(add("WWW-Authenticate", "Basic"), None);
    }
}

#[test]
fn each_status_is_sent_with_what_it_has_to_have() {
    let with_body = |status: u16| {
        written(&Response::new(Status::new(status).unwrap()).body(b"content".as_slice()))
    };
    let (reset, upgrade, gone) = (with_body(205), with_body(426), with_body(410));
    assert_eq!(reset, "HTTP/1.1 205\x20\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let fields = "Connection: close, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 7\r\n";
    assert_eq!(upgrade, format!("HTTP/1.1 426 Upgrade Required\r\n{fields}\r\ncontent"));
    assert_eq!(gone, "HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: 7\r\n\r\ncontent");
}

fn written(response: &Response) -> String {
    let mut out = Vec::new();
    response.write(false, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_refusal_closes_states_its_length_and_repeats_nothing() {
    let preset = [
        (Refusal::Timeout, "408 Request Timeout"),
        (Refusal::Overload, "503 Service Unavailable"),
        (Refusal::EarlyBytes, "400 Bad Request"),
        (Refusal::Head(HeadError::StartLineTooLong), "414 URI Too Long"),
        (Refusal::Head(HeadError::HeadTooLong), "431 Request Header Fields Too Large"),
        (Refusal::Head(HeadError::Tls), "400 Bad Request"),
        (Refusal::Method, "405 Method Not Allowed"),
        (Refusal::Chunked, "411 Length Required"),
        (Refusal::BodyTooLong, "413 Content Too Large"),
        (Refusal::TransferCoding, "501 Not Implemented"),
        (Refusal::Expectation, "417 Expectation Failed"),
        (Refusal::Protocol, "426 Upgrade Required"),
        (Refusal::OriginNotAllowed, "403 Forbidden"),
        (Refusal::HttpVersion, "505 HTTP Version Not Supported"),
        (Refusal::Repeated("Host"), "400 Bad Request"),
    ];
    let mut bodies = BTreeSet::new();
    for (refusal, status) in preset {
        let answer = written(&refusal.response());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        let upgrade = if head.starts_with("HTTP/1.1 426 ") { ", Upgrade" } else { "" };
        assert!(head.contains(&format!("\r\nConnection: close{upgrade}\r\n")), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(
            !body.is_empty() && bodies.insert(body.to_owned()),
            "{body} says nothing of its own"
        );
        assert!(refusal.to_string().ends_with(&format!("(answered with {status})")));
    }
}

#[test]
fn an_answer_to_head_has_the_length_of_the_body_and_not_the_body() {
    let page = Response::new(Status::OK).body(b"page");
    let mut out = Vec::new();
    page.write(true, &mut out);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n");
    let empty = Response::new(Status::NO_CONTENT).body(b"page");
    assert_eq!(written(&empty), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    let other = Response::new(Status::new(418).unwrap());
    assert_eq!(written(&other), "HTTP/1.1 418 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

// What brought others down.

#[test]
fn an_extension_with_an_unclosed_quoted_string_of_16_kib_is_refused_in_linear_time() {
    let mut limits = Limits::default();
    (limits.head_bytes_max, limits.field_line_bytes_max) = (64 * 1024, 64 * 1024);
    let policy = Policy { limits: &limits, origins: &Origins::Any, secure: false };
    for filling in ["b", "\\b", "\\\\", "; b=\"", ","] {
        let bytes = extensions(&[&format!("a; b=\"{}", filling.repeat(16 * 1024 / filling.len()))]);
        let outcome = run(&bytes, 1..=bytes.len(), &policy);
        assert_eq!(outcome, Outcome::Refused(Refusal::Extensions), "{filling}");
    }
}

#[test]
fn a_protocol_of_100_000_spaces_is_refused_at_the_line_limit_or_in_linear_time() {
    let spaces = " ".repeat(100_000);
    let bytes = with(&[&format!("Sec-WebSocket-Protocol: a,{spaces}b{spaces} c")]);
    default_policy(|policy| {
        let mut handshake = ServerHandshake::new();
        let at = (1..=bytes.len()).find(|end| handshake.receive(&bytes[..*end], policy).is_err());
        let line_start = with(&[]).len() - 2;
        assert_eq!(at, Some(line_start + 8_192 + 1));
    });
    let mut limits = Limits::default();
    (limits.head_bytes_max, limits.field_line_bytes_max) = (1 << 20, 1 << 20);
    let policy = Policy { limits: &limits, origins: &Origins::Any, secure: false };
    let outcome = run(&bytes, [bytes.len()], &policy);
    assert_eq!(outcome, Outcome::Refused(Refusal::Subprotocols));
}

#[test]
fn a_flood_of_headers_is_refused_and_of_those_we_read_two_are_refused() {
    let flood: Vec<_> = (0..100_000).map(|it| format!("X-{it}: a")).collect();
    let flood: Vec<_> = flood.iter().map(String::as_str).collect();
    default_policy(|policy| {
        let bytes = with(&flood);
        let refusal = Outcome::Refused(Refusal::Head(HeadError::TooManyFields));
        assert_eq!(run(&bytes, [bytes.len()], policy), refusal);
    });
    for line in [HOST, KEY, VERSION] {
        let (name, value) = line.split_once(": ").unwrap();
        let again = format!("{}: {value}", name.to_uppercase());
        assert_refused([(line, with(&[&again]), 400, Refusal::Repeated(name_of(line)))]);
    }
}

fn name_of(line: &'static str) -> &'static str {
    line.split_once(':').unwrap().0
}

#[test]
fn headers_of_20_mb_in_packets_of_one_byte_are_refused_at_the_cap_without_memory() {
    let limits = Limits::default();
    let policy = Policy { limits: &limits, origins: &Origins::Any, secure: false };
    let line = format!("A: {}\r\n", "b".repeat(1_000));
    let bytes = [
        lines([REQUEST_LINE, HOST]).strip_suffix(b"\r\n").unwrap(),
        &line.repeat(20_000).into_bytes(),
    ]
    .concat();
    let mut refused_at = None;
    let allocated = measure(|| {
        let mut handshake = ServerHandshake::new();
        for end in 1..=bytes.len() {
            if handshake.receive(&bytes[..end], &policy).is_err() {
                refused_at.get_or_insert(end);
            } else {
                assert_eq!(refused_at, None);
            }
        }
    });
    assert_eq!(refused_at, Some(16 * 1024));
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn the_scanner_never_looks_at_a_byte_twice() {
    let bytes = with(&["A: b", &format!("C: {}", "d".repeat(300)), "E:"]);
    for step in [1, 2, 3, 7, 31, 32, 33, 64, 100] {
        let mut scanner = HeadScanner::request();
        let mut buffer = Vec::new();
        for piece in bytes.chunks(step) {
            // What was given before is a TLS hello now, full of bare line feeds.
            buffer.fill(b'\n');
            buffer.extend_from_slice(piece);
            let ended = scanner.scan(&buffer, &Limits::default()).unwrap();
            assert_eq!(ended, (buffer.len() == bytes.len()).then_some(bytes.len()));
        }
    }
}

#[test]
fn names_with_underscores_are_never_ours() {
    assert_upgrades([
        ("Host", with(&["Ho_st: a/b", "Host_: a/b"])),
        ("Key", with(&["Sec_WebSocket_Key: a", "Sec-WebSocket_Key: b"])),
        ("Version", with(&["Sec_WebSocket-Version: 8"])),
        ("Content-Length", with(&["Content_Length: 5", "Transfer_Encoding: chunked"])),
    ]);
}

#[test]
fn a_handshake_without_extra_fields_allocates_nothing() {
    let bytes = with(&[
        "Origin: http://server.example.com",
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Extensions: a; b=\"c\"",
    ]);
    let mut out = Vec::with_capacity(1_024);
    let allocated = measure(|| {
        with_request(&bytes, |request| {
            let chosen = request.protocols().find(|it| *it == "b").map(|_| "b").unwrap();
            request.accept(&Accept::new().subprotocol(chosen), &mut out).unwrap();
        });
    });
    assert_eq!(allocated.count_total, 0);
    assert!(out.starts_with(b"HTTP/1.1 101 "));
}

/// Pieces of which heads are made, whole and broken.
fn head_soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(LINES.to_vec()).prop_map(|it| format!("{it}\r\n").into_bytes()),
        2 => prop::sample::select(vec![
            "\r\n", "\n", "\r", ":", ",", ";", "\"", "\\", "Origin: ", "Sec-WebSocket-Protocol: a, ",
            "Sec-WebSocket-Extensions: a; b=", "Content-Length: ", "0", "PRI ", "HTTP/1.", "GET /", " ", "\t",
        ]).prop_map(|it| it.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_the_same_outcome_however_they_are_cut(
        start in prop::sample::select(vec![0, 1, 3, 6]),
        soup in head_soup(),
        end in prop::sample::select(vec!["", "\r\n", "\r\n\r\n"]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        small in prop::option::of((0..200_usize, 0..60_usize, 0..60_usize, 0..8_usize)),
    ) {
        let mut bytes = lines(LINES.into_iter().take(start));
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(&soup);
        bytes.extend_from_slice(end.as_bytes());
        let mut limits = Limits::default();
        if let Some((head, line, field, fields)) = small {
            limits.head_bytes_max = head;
            (limits.request_line_bytes_max, limits.field_line_bytes_max) = (line, field);
            limits.fields_max = fields;
        }
        let policy = Policy { limits: &limits, origins: &Origins::Any, secure: false };
        let whole = run(&bytes, [bytes.len()], &policy);
        let mut ends: Vec<_> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        prop_assert_eq!(run(&bytes, ends, &policy), whole.clone());
        prop_assert_eq!(run(&bytes, 0..=bytes.len(), &policy), whole);
    }

    #[test]
    fn arbitrary_values_of_the_lists_are_read_or_refused_and_never_panic(
        value in "[ -~\t]{0,60}", other in "[a,;= \"\\\\]{0,30}",
    ) {
        for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection", "Upgrade", "Origin"] {
            let bytes = with(&[&format!("{name}: {value}"), &format!("{name}: {other}")]);
            default_policy(|policy| {
                if let Ok(Some((_, Opening::Upgrade(request)))) = ServerHandshake::new().receive(&bytes, policy) {
                    for extension in request.extensions() {
                        assert!(!extension.name().is_empty());
                        assert!(extension.parameters().all(|it| it.value.is_none_or(|it| !it.is_empty())));
                    }
                    let protocols: Vec<_> = request.protocols().collect();
                    assert!(protocols.iter().all(|it| !it.is_empty()));
                }
            });
        }
    }
}
