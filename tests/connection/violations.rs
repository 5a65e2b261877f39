//! Every way to break the protocol: the byte that shows it, and what the peer is told.

use tautline::frame::Role;
use tautline::{Connection, Delivery, Limits, Violation};

use super::ROLES;
use super::support::drive::Outcome;
use super::support::drive::{connection, receive, run};
use super::support::frames::{begun, close_body, frame, header, mask_bit, unmasked};

/// One way to break the protocol.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    /// Legal frames that come first.
    pub(crate) before: Vec<u8>,
    /// What follows, up to the byte that shows the violation.
    pub(crate) shows: Vec<u8>,
    pub(crate) violation: Violation,
}

/// The limits that the rows below cross.
fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes_max = 64;
    limits.fragments_max = 3;
    limits.empty_fragments_max = 2;
    limits
}

/// All ways, for a peer of this role.
pub(crate) fn rows(sender: Role) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: &str, before: Vec<u8>, shows: Vec<u8>, violation| {
        rows.push(Row { name: name.into(), limits: small_limits(), before, shows, violation });
    };
    header_rows(sender, &mut add);
    message_rows(sender, &mut add);
    limit_rows(sender, &mut add);
    close_rows(sender, &mut add);
    utf8_rows(sender, &mut add);
    rows
}

type Add<'a> = dyn FnMut(&str, Vec<u8>, Vec<u8>, Violation) + 'a;

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# MUST be 0 unless an extension is negotiated that defines meanings
//# for non-zero values.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If an unknown
//# opcode is received, the receiving endpoint MUST _Fail the
//# WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# The
//# server MUST close the connection upon receiving a frame that is not
//# masked.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# A client MUST close a connection if it detects a masked
//# frame.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
//# All control frames MUST have a payload length of 125 bytes or less
//# and MUST NOT be fragmented.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If a nonzero value is received and none of
//# the negotiated extensions defines the meaning of such a nonzero
//# value, the receiving endpoint MUST _Fail the WebSocket
//# Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If 127, the
//# following 8 bytes interpreted as a 64-bit unsigned integer (the
//# most significant bit MUST be 0) are the payload length.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# Note that
//# in all cases, the minimal number of bytes MUST be used to encode
//# the length
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Control frames themselves MUST NOT be
//# fragmented.
fn header_rows(sender: Role, add: &mut Add<'_>) {
    let masked = mask_bit(sender);
    for opcode in (3..=7).chain(11..=15) {
        add("reserved opcode", vec![], vec![0x80 | opcode], Violation::ReservedOpcode(opcode));
        add("reserved opcode, not final", vec![], vec![opcode], Violation::ReservedOpcode(opcode));
    }
    for rsv in 1..=7 {
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xA, 0x3] {
            add("reserved bits", vec![], vec![0x80 | rsv << 4 | opcode], Violation::ReservedBits);
        }
    }
    let wrong_mask = match sender {
        Role::Client => Violation::Unmasked,
        Role::Server => Violation::Masked,
    };
    for first in [0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0x8A] {
        add("the mask bit of the other role", vec![], vec![first, masked ^ 0x80 | 5], wrong_mask);
    }
    for opcode in [0x8, 0x9, 0xA] {
        add("control frame, not final", vec![], vec![opcode], Violation::FragmentedControl);
        for length in [126, 127] {
            add(
                "long control frame",
                vec![],
                vec![0x80 | opcode, masked | length],
                Violation::LongControl,
            );
        }
    }
    for length in [0u16, 1, 125] {
        let [a, b] = length.to_be_bytes();
        let shows = vec![0x82, masked | 126, a, b];
        add("length of 16 bits that fits in 7", vec![], shows, Violation::LengthNotMinimal);
    }
    let shows = vec![0x82, masked | 127, 0, 0, 0, 0, 0, 0];
    add("length of 64 bits that fits in 16", vec![], shows, Violation::LengthNotMinimal);
    for top in [0x80, 0xFF] {
        let shows = vec![0x82, masked | 127, top];
        add("length with its top bit set", vec![], shows, Violation::LengthOutOfRange);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# The fragments of one message MUST NOT be interleaved between the
//# fragments of another message unless an extension has been
//# negotiated that can interpret the interleaving.
fn message_rows(sender: Role, add: &mut Add<'_>) {
    let nothing = Violation::NothingToContinue;
    for first in [0x80, 0x00] {
        for length in [0, 5, 126, 0x1_0000] {
            add("continuation of nothing", vec![], header(sender, first, length), nothing);
        }
        let after = [frame(sender, 0x01, b"a"), frame(sender, 0x80, b"b")].concat();
        add("continuation of a finished message", after, header(sender, first, 1), nothing);
        let after = frame(sender, 0x82, b"whole");
        add("continuation of a whole message", after, header(sender, first, 0), nothing);
    }
    for open in [0x01, 0x02] {
        for first in [0x01, 0x81, 0x02, 0x82] {
            let before = frame(sender, open, b"a");
            let shows = header(sender, first, 3);
            add("a message inside another", before, shows, Violation::MessageInterrupted);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//# Implementations that have implementation- and/or platform-specific
//# limitations regarding the frame size or total message size after
//# reassembly from multiple frames MUST protect themselves against
//# exceeding those limits.
fn limit_rows(sender: Role, add: &mut Add<'_>) {
    let too_big = Violation::MessageTooBig;
    for first in [0x81, 0x82, 0x01, 0x02] {
        for length in [65, 126, 0xFFFF, 0x1_0000, i64::MAX as u64] {
            add("a frame over the limit", vec![], header(sender, first, length), too_big);
        }
    }
    for length in [25, 126, i64::MAX as u64 - 39, i64::MAX as u64] {
        let before = frame(sender, 0x02, &[0; 40]);
        add("fragments over the limit together", before, header(sender, 0x00, length), too_big);
    }
    let three =
        [frame(sender, 0x02, b"1"), frame(sender, 0x00, b"2"), frame(sender, 0x00, b"3")].concat();
    for first in [0x00, 0x80] {
        let shows = header(sender, first, 1);
        add("too many fragments", three.clone(), shows, Violation::TooManyFragments);
    }
    let two = [frame(sender, 0x01, b""), frame(sender, 0x00, b"")].concat();
    add("too many empty fragments", two, header(sender, 0x00, 0), Violation::TooManyEmptyFragments);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# If there is a body, the first two bytes of
//# the body MUST be a 2-byte unsigned integer (in network byte order)
//# representing a status code with value /code/ defined in Section 7.4.
fn close_rows(sender: Role, add: &mut Add<'_>) {
    let shows = header(sender, 0x88, 1);
    add("close frame of one byte", vec![], shows, Violation::CloseBodyOfOneByte);
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535] {
        for length in [2, 20] {
            let shows = begun(sender, 0x88, length, &close_body(code, ""));
            add("close code not allowed", vec![], shows, Violation::CloseCodeNotAllowed(code));
        }
    }
    for (start, bad) in BAD_UTF8 {
        let body = [&close_body(1000, "so"), *start, &[*bad]].concat();
        let shows = begun(sender, 0x88, 50, &body);
        add("close reason that is not UTF-8", vec![], shows, Violation::InvalidUtf8);
    }
    let body = [&close_body(1000, "so"), &b"\xe2\x82"[..]].concat();
    let shows = frame(sender, 0x88, &body);
    add("close reason that ends inside a character", vec![], shows, Violation::InvalidUtf8);
}

/// Starts of a character, and the byte that cannot follow.
const BAD_UTF8: &[(&[u8], u8)] = &[
    (b"", 0x80),
    (b"", 0xc0),
    (b"", 0xc1),
    (b"", 0xf5),
    (b"", 0xff),
    (b"\xc3", 0x28),
    (b"\xe0", 0x9f),
    (b"\xe2\x82", 0x28),
    (b"\xed", 0xa0),
    (b"\xf0", 0x8f),
    (b"\xf0\x9f\x98", 0xc0),
    (b"\xf4", 0x90),
];

//= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
//# When an endpoint is to interpret a byte stream as UTF-8 but finds
//# that the byte stream is not, in fact, a valid UTF-8 stream, that
//# endpoint MUST _Fail the WebSocket Connection_.
fn utf8_rows(sender: Role, add: &mut Add<'_>) {
    for &(start, bad) in BAD_UTF8 {
        for first in [0x81, 0x01] {
            let text = [b"h\xc3\xa9", start, &[bad]].concat();
            let shows = begun(sender, first, 60, &text);
            add(
                "text that is not UTF-8, the frame unfinished",
                vec![],
                shows,
                Violation::InvalidUtf8,
            );
        }
        let before = frame(sender, 0x01, start);
        let shows = begun(sender, 0x00, 9, &[bad]);
        add("a character that a further fragment breaks", before, shows, Violation::InvalidUtf8);
    }
    for start in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
        let shows = frame(sender, 0x81, start);
        add("text that ends inside a character", vec![], shows, Violation::InvalidUtf8);
        let before = frame(sender, 0x01, start);
        let shows = header(sender, 0x80, 0);
        add("an empty last fragment inside a character", before, shows, Violation::InvalidUtf8);
    }
}

/// The peer of `role` breaks the protocol as `row` says, with the bytes given by `give`.
fn assert_refused(role: Role, row: &Row, give: impl Fn(&mut Connection, &[u8], &mut Outcome)) {
    let mut ws = connection(role, &row.limits, Delivery::Whole);
    let mut outcome = Outcome::default();
    receive(&mut ws, &row.before, &mut outcome);
    let before = outcome.clone();
    assert_eq!(before.violation, None, "{}: what comes before is legal", row.name);

    give(&mut ws, &row.shows, &mut outcome);
    assert_eq!(outcome.violation, Some(row.violation), "{}: {:02x?}", row.name, row.shows);
    assert_eq!(outcome.events, before.events, "{}: nothing is delivered", row.name);
    let body = close_body(row.violation.close_code().get(), row.violation.reason());
    assert_eq!(
        unmasked(&outcome.out, role),
        [(0x88, body)],
        "{}: one close frame says why",
        row.name
    );
    assert!(ws.is_over());
}

#[test]
fn each_violation_is_refused_at_the_byte_that_shows_it_and_not_before() {
    for role in ROLES {
        for row in rows(role.peer()) {
            assert_refused(role, &row, receive);
            for cut in 0..row.shows.len() {
                let runs = [&row.before[..], &row.shows[..cut]];
                let started = run(connection(role, &row.limits, Delivery::Whole), runs);
                let before = run(connection(role, &row.limits, Delivery::Whole), [&row.before[..]]);
                assert_eq!(started, before, "{}, {cut} bytes of {:02x?}", row.name, row.shows);
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# An endpoint MUST NOT continue to attempt to
//# process data (including a responding Close frame) from the remote
//# endpoint after being instructed to _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
//# Incoming data MUST always be validated by both clients and servers.
#[test]
fn each_violation_is_the_same_whatever_follows_and_nothing_of_it_is_delivered() {
    for role in ROLES {
        let sender = role.peer();
        for row in rows(sender) {
            assert_refused(role, &row, |ws, shows, outcome| {
                // In the same run, in the next one, and in one that would close the connection orderly.
                receive(ws, &[shows, &[0; 300], &frame(sender, 0x81, b"late")].concat(), outcome);
                receive(ws, &frame(sender, 0x82, b"later"), outcome);
                receive(ws, &frame(sender, 0x88, &close_body(1000, "")), outcome);
                receive(ws, b"", outcome);
            });
        }
    }
}

#[test]
fn each_violation_is_refused_when_it_comes_byte_by_byte() {
    for role in ROLES {
        for row in rows(role.peer()) {
            assert_refused(role, &row, |ws, shows, outcome| {
                shows.chunks(1).for_each(|byte| receive(ws, byte, outcome));
            });
        }
    }
}

#[test]
fn each_violation_is_refused_in_parts_too_but_for_the_limits_on_what_is_kept() {
    for role in ROLES {
        for row in rows(role.peer()) {
            let ws = connection(role, &row.limits, Delivery::Parts);
            let outcome = run(ws, [&row.before[..], &row.shows[..]]);
            let kept =
                matches!(row.violation, Violation::MessageTooBig | Violation::TooManyFragments);
            let expected = if kept { None } else { Some(row.violation) };
            assert_eq!(outcome.violation, expected, "{}", row.name);
        }
    }
}

#[test]
fn a_violation_after_our_close_frame_is_told_to_the_caller_and_not_to_the_peer() {
    for role in ROLES {
        for row in rows(role.peer()) {
            let mut ws = connection(role, &row.limits, Delivery::Whole);
            let mut outcome = Outcome::default();
            let now = std::time::Instant::now();
            ws.close(now, tautline::CloseCode::NORMAL, "", &mut outcome.out).unwrap();
            let closed = outcome.out.clone();
            receive(&mut ws, &[&row.before[..], &row.shows].concat(), &mut outcome);
            assert_eq!(outcome.violation, Some(row.violation), "{}", row.name);
            assert_eq!(outcome.out, closed, "{}: a second close frame", row.name);
            assert!(ws.is_over());
        }
    }
}
