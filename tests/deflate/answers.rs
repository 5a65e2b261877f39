//! What a client says to a server's answer.

use tautline::deflate::Parameters;
use tautline::frame::Role;
use tautline::handshake::{Agreed, AnswerError};
use tautline::{Deflate, Delivery, Limits, Sender};

use super::support::deflate::{Deflater, both_ways, compressed, deflate, judge, offer, read_back};
use super::support::drive::{Seen, connection_after, counted_keys, run};
use super::support::frames::{frame, unmasked_compressed};

/// Context takeover in both directions, and the largest windows.
fn takeover() -> Deflate {
    both_ways((true, 15))
}

/// Context takeover in both directions, a window of 11 bits for what the client sends and of 10 for what it receives.
fn small() -> Deflate {
    deflate((true, 11), (true, 10))
}

/// The answer with these parameters, to these offers.
fn judged(offers: &[Deflate], parameters: &str) -> Result<Agreed, AnswerError> {
    judge(offers, &[&format!("permessage-deflate{parameters}")])
}

/// What the client has accepted, as it would be answered in its plainest form.
fn accepted(offers: &[Deflate], parameters: &str) -> Parameters {
    let agreed = judged(offers, parameters).unwrap_or_else(|error| panic!("{parameters}: {error}"));
    agreed.deflate().unwrap().parameters()
}

#[track_caller]
fn assert_given_up(offers: &[Deflate], parameters: &[&str], error: AnswerError) {
    for parameters in parameters {
        assert_eq!(judged(offers, parameters), Err(error.clone()), "{parameters}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# Any extension-token used MUST be a registered token (see
//# Section 11.4). The parameters supplied with any given extension MUST
//# be defined for that extension.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# To offer use of a PMCE, a client MUST include the extension name of
//# the PMCE in the "Sec-WebSocket-Extensions" header field of its
//# opening handshake of the WebSocket connection.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# In a PMCE negotiation offer, the client MUST inform the server of its
//# LZ77 window size
#[test]
fn what_a_client_wants_is_what_it_offers() {
    let rows: [(&[Deflate], &[&str]); 5] = [
        (&[], &[]),
        (
            &[Deflate::default()],
            &[
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
            ],
        ),
        (&[takeover()], &["permessage-deflate; client_max_window_bits"]),
        (&[small()], &["permessage-deflate; server_max_window_bits=10; client_max_window_bits=11"]),
        (
            &[small(), takeover()],
            &["permessage-deflate; server_max_window_bits=10; client_max_window_bits=11, \
               permessage-deflate; client_max_window_bits"],
        ),
    ];
    for (offers, expected) in rows {
        assert_eq!(offer(offers), expected);
    }
}

#[test]
fn a_client_always_says_that_it_may_be_told_a_window() {
    for sending in [(false, 9), (false, 15), (true, 12), (true, 15)] {
        for receiving in [(false, 9), (false, 15), (true, 12), (true, 15)] {
            let line = offer(&[deflate(sending, receiving)]).remove(0);
            assert!(line.contains("; client_max_window_bits"), "{line}");
        }
    }
}

#[test]
fn what_the_server_may_answer_unasked_is_accepted() {
    let none = Parameters::default();
    let no_server_takeover = Parameters { server_no_context_takeover: true, ..none };
    let no_client_takeover = Parameters { client_no_context_takeover: true, ..none };
    let server_bits = |bits| Parameters { server_max_window_bits: Some(bits), ..none };
    let client_bits = |bits| Parameters { client_max_window_bits: Some(Some(bits)), ..none };
    let rows = [
        ("", none),
        ("; server_no_context_takeover", no_server_takeover),
        ("; client_no_context_takeover", no_client_takeover),
        ("; server_max_window_bits=15", server_bits(15)),
        ("; server_max_window_bits=9", server_bits(9)),
        ("; server_max_window_bits=8", server_bits(8)),
        ("; server_max_window_bits=\"1\\2\"", server_bits(12)),
        ("; client_max_window_bits=15", client_bits(15)),
        ("; client_max_window_bits=9", client_bits(9)),
        ("; client_max_window_bits=8", client_bits(8)),
        (
            "; client_max_window_bits=9 ;server_no_context_takeover",
            Parameters { server_no_context_takeover: true, ..client_bits(9) },
        ),
    ];
    for (parameters, expected) in rows {
        assert_eq!(accepted(&[takeover()], parameters), expected, "{parameters}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# A server accepts an extension negotiation offer that includes the
//# "server_no_context_takeover" extension parameter by including the
//# "server_no_context_takeover" extension parameter in the corresponding
//# extension negotiation response to send back to the client.
#[test]
fn a_server_that_does_not_grant_what_was_asked_for_is_given_up() {
    let error = AnswerError::ExtensionParameters;
    let default = [Deflate::default()];
    assert_given_up(
        &default,
        &[
            "",
            "; client_no_context_takeover",
            "; server_max_window_bits=9",
            "; client_max_window_bits=9",
        ],
        error.clone(),
    );
    accepted(&default, "; server_no_context_takeover");
    accepted(&default, "; server_no_context_takeover; client_no_context_takeover");

    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
    //# extension negotiation response to send back to the client with the
    //# same or smaller value as the offer.
    assert_given_up(
        &[small()],
        &[
            "",
            "; client_max_window_bits=9",
            "; server_max_window_bits=11",
            "; server_max_window_bits=15",
        ],
        error,
    );
    for bits in ["10", "9", "8", "\"10\""] {
        accepted(&[small()], &format!("; server_max_window_bits={bits}"));
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains an extension parameter not
//# defined for use in a response.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains an extension parameter with an
//# invalid value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains multiple extension parameters
//# with the same name.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# A client MUST _Fail the WebSocket Connection_ if the peer server
//# accepted an extension negotiation offer for this extension with an
//# extension negotiation response meeting any of the following
//# conditions:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# The "server_max_window_bits"
//# extension parameter in an extension negotiation response has a
//# decimal integer value without leading zeroes between 8 to 15,
//# inclusive, indicating the base-2 logarithm of the LZ77 sliding window
//# size, and MUST conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# The
//# "client_max_window_bits" extension parameter in an extension
//# negotiation response has a decimal integer value without leading
//# zeroes between 8 to 15 inclusive indicating the base-2 logarithm of
//# the LZ77 sliding window size and MUST conform to the ABNF below.
#[test]
fn parameters_that_no_answer_may_have_are_refused() {
    let mut rows = Vec::from(
        [
            "; a",
            "; a=1",
            "; server_no_context_takeover=1",
            "; server_no_context_takeover=true",
            "; client_no_context_takeover=\"true\"",
            "; server_max_window_bits",
            // In an answer it has a value.
            "; client_max_window_bits",
            "; Server_No_Context_Takeover",
            "; server_no_context_takeover; server_no_context_takeover",
            "; client_no_context_takeover; client_no_context_takeover",
            "; server_max_window_bits=10; server_max_window_bits=10",
            "; client_max_window_bits=10; client_max_window_bits=9",
        ]
        .map(str::to_owned),
    );
    // undici CVE-2026-2229
    for value in [
        "0",
        "1",
        "7",
        "16",
        "255",
        "256",
        "010",
        "08",
        "1e1",
        "+9",
        "a",
        "-1",
        "9999999999999999999999",
    ] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            rows.push(format!("; {name}={value}"));
            rows.push(format!("; {name}=\"{value}\""));
        }
    }
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    for offers in
        [&[takeover()][..], &[Deflate::default()], &[small(), takeover(), Deflate::default()]]
    {
        assert_given_up(offers, &rows, AnswerError::ExtensionParameters);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A client that received a response
//# accepting a PMCE extension negotiation offer together with such an
//# extension MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A client that receives a response accepting a PMCE extension
//# negotiation offer together with such an extension MUST _Fail the
//# WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# If a server gives an invalid response, such as accepting a PMCE that
//# the client did not offer, the client MUST _Fail the WebSocket
//# Connection_.
#[test]
fn an_extension_that_was_not_offered_or_comes_twice_is_refused() {
    let offers = [takeover()];
    for line in [
        "permessage-bzip2",
        "Permessage-Deflate",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate, permessage-deflate; server_no_context_takeover",
        "permessage-deflate, a",
        "a, permessage-deflate",
    ] {
        assert_eq!(judge(&offers, &[line]), Err(AnswerError::ExtensionNotOffered), "{line}");
    }
    for line in ["permessage-deflate", "permessage-deflate; server_max_window_bits=0"] {
        assert_eq!(judge(&[], &[line]), Err(AnswerError::ExtensionNotOffered), "{line}");
    }
    let twice = Err(AnswerError::Repeated("sec-websocket-extensions"));
    assert_eq!(judge(&offers, &["permessage-deflate", "permessage-deflate"]), twice);
    assert_eq!(judge(&offers, &["permessage-deflate", ""]), twice);
}

#[test]
fn an_answer_that_does_not_follow_the_grammar_is_refused() {
    for parameters in [
        ";",
        "; server_max_window_bits=",
        "; server_max_window_bits=\"\"",
        "; server_max_window_bits=\"10",
        "; server_max_window_bits=\"1 0\"",
        "; =10",
        " a",
        ", permessage-bzip2;",
    ] {
        let line = format!("permessage-deflate{parameters}");
        assert_eq!(judge(&[takeover()], &[&line]), Err(AnswerError::ExtensionSyntax), "{line}");
    }
    for line in ["", ",", " , "] {
        assert_eq!(judge(&[takeover()], &[line]), Err(AnswerError::ExtensionSyntax), "{line:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.8
//# The endpoints of a connection
//# MUST negotiate the use of any extensions during the opening
//# handshake.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# the client is only offering
//# to use any advertised extensions and MUST NOT use them unless the
//# server indicates that it wishes to use the extension.
#[test]
fn no_answer_means_no_compression_on_either_side() {
    for offers in [&[][..], &[takeover()], &[small(), takeover()]] {
        let agreed = judge(offers, &[""; 0]).unwrap();
        assert_eq!(agreed.deflate(), None);
        let mut out = Vec::new();
        let text = "a".repeat(1000);
        Sender::client(&agreed, counted_keys()).send(text.as_str(), &mut out).unwrap();
        assert_eq!(unmasked_compressed(&out, Role::Client), [(0x81, text.into_bytes())]);
    }
}

#[test]
fn the_answer_is_to_the_first_offer_that_it_fits() {
    let offers = [small(), Deflate::default(), takeover()];
    // The first, which takes over; the second, which does not; the third, where both were refused.
    for (parameters, shrinks) in [
        ("; server_max_window_bits=10", true),
        ("; server_no_context_takeover", false),
        ("", true),
        ("; server_max_window_bits=10; client_no_context_takeover", false),
    ] {
        let agreed = judged(&offers, parameters).unwrap();
        let [first, second] = lengths_of_the_same_message_twice(&agreed);
        assert_eq!(second < first, shrinks, "{parameters}: {first} and {second}");
    }
}

/// How long the compressed payload is that a client sends, and how long the same message is after it.
fn lengths_of_the_same_message_twice(agreed: &Agreed) -> [usize; 2] {
    // Even the smallest window goes back to the last message of this length.
    let text = "{\"one\":1,\"two\":2,\"three\":3,\"four\":4,\"one and one\":2,\"one and two\":3,\"two and two\":4}";
    let (mut sender, mut out) = (Sender::client(agreed, counted_keys()), Vec::new());
    for _ in 0..2 {
        sender.send(text, &mut out).unwrap();
    }
    assert_eq!(read_back(&out, Role::Client, agreed), vec![Seen::text(text); 2]);
    let frames = unmasked_compressed(&out, Role::Client);
    assert!(frames.iter().all(|frame| frame.0 == 0xC1));
    [frames[0].1.len(), frames[1].1.len()]
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# A client MUST support the "client_no_context_takeover" extension
//# parameter in an extension negotiation response.
#[test]
fn a_client_takes_over_only_where_it_wants_to_and_may() {
    for (wants, parameters, takes_over) in [
        (true, "", true),
        (true, "; client_no_context_takeover", false),
        (true, "; client_max_window_bits=9", true),
        (false, "", false),
        (false, "; client_no_context_takeover", false),
    ] {
        let offers = [deflate((wants, 15), (true, 15))];
        let [first, second] =
            lengths_of_the_same_message_twice(&judged(&offers, parameters).unwrap());
        assert_eq!(second < first, takes_over, "{wants}, {parameters}");
    }
}

/// A client that is told a larger window than it hinted at keeps to its own. Where it is told a smaller one, it keeps
/// to that.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# the client MUST NOT use an
//# LZ77 sliding window longer than the w-th power of 2 bytes to compress
//# messages to send.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# the client MUST use an LZ77
//# sliding window of a size that conforms the "agreed parameters" to
//# compress messages to send.
#[test]
fn a_client_keeps_to_the_smaller_of_its_own_window_and_that_which_it_was_told() {
    // Text that repeats after 3,000 bytes and not before.
    let half: String = (0..3000u32).map(|i| char::from(b' ' + (i * i / 7 % 89) as u8)).collect();
    let text = half.repeat(2);
    for (own, parameters, bits) in [
        (15, "", 15),
        (15, "; client_max_window_bits=11", 11),
        (11, "", 11),
        (11, "; client_max_window_bits=15", 11),
        (11, "; client_max_window_bits=9", 9),
        (13, "; client_max_window_bits=12", 12),
    ] {
        let agreed = judged(&[deflate((true, own), (true, 15))], parameters).unwrap();
        let mut out = Vec::new();
        Sender::client(&agreed, counted_keys()).send(text.as_str(), &mut out).unwrap();
        let payload = unmasked_compressed(&out, Role::Client).remove(0).1;
        let inflated = super::support::inflate::inflate_message(&payload, &[]).unwrap();
        assert_eq!(inflated.text, text.as_bytes());
        assert!(inflated.distance_max <= 1 << bits, "{own}, {parameters}");
        // A window has to be a little larger than a distance in it.
        assert_eq!(inflated.distance_max >= 3000, bits > 11, "{own}, {parameters}");
    }
}

#[test]
fn a_client_that_is_told_a_window_of_8_bits_sends_uncompressed_and_still_receives_compressed() {
    let agreed =
        judged(&[takeover()], "; client_max_window_bits=8; server_max_window_bits=8").unwrap();
    let text = "uncompressed, though worth it: ".repeat(20);
    let (mut sender, mut out) = (Sender::client(&agreed, counted_keys()), Vec::new());
    sender.send(text.as_str(), &mut out).unwrap();
    sender.send(tautline::Message::Text(&text).compressed(), &mut out).unwrap();
    sender.send_prepared(&mut tautline::Prepared::new(text.as_str()), &mut out).unwrap();
    let part = tautline::Part { data: tautline::Message::Text(&text), last: true };
    sender.send_part(part.compressed(), &mut out).unwrap();
    let plain = (0x81, text.clone().into_bytes());
    assert_eq!(unmasked_compressed(&out, Role::Client), vec![plain; 4]);

    // A server with a window of 8 bits refers back no further than one with 9, the least that flate2 can do.
    let mut server = Deflater::new(6, (true, 9));
    let messages: Vec<Vec<u8>> =
        ["one", "one, two", "one, two, three"].map(|it| server.message(it.as_bytes())).into();
    let frames: Vec<u8> = messages.iter().flat_map(|it| frame(Role::Server, 0xC1, it)).collect();
    let client = connection_after(&agreed, Role::Client, &Limits::default(), Delivery::Whole);
    let outcome = run(client, [&frames[..], &frame(Role::Server, 0xC1, &compressed(b"four"))]);
    let expected = ["one", "one, two", "one, two, three", "four"].map(Seen::text);
    assert_eq!((&outcome.events[..], outcome.violation), (&expected[..], None));
}
