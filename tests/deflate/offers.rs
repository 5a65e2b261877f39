//! What a server answers to an offer, as it stands on the wire.

use tautline::Deflate;
use tautline::handshake::{Accept, Refusal};

use super::support::deflate::{Way, answer, both_ways, deflate};

/// Context takeover in both directions, and the largest windows.
fn takeover() -> Accept {
    Accept::new().deflate(both_ways((true, 15)))
}

/// Context takeover in both directions, a window of 10 bits for what the server sends and of 11 for what it receives.
fn small() -> Accept {
    Accept::new().deflate(deflate((true, 10), (true, 11)))
}

/// The offer with these parameters.
fn offer(parameters: &str) -> String {
    format!("permessage-deflate{parameters}")
}

/// What these lines are answered with: the parameters, if an offer was accepted.
fn answered(lines: &[&str], accept: &Accept) -> Option<String> {
    let (lines, agreed) = answer(lines, accept).unwrap();
    let agreed = agreed.deflate().map(|it| it.to_string());
    assert_eq!(lines, Vec::from_iter(agreed.clone()), "what is said is what is agreed on");
    agreed.map(|it| it.strip_prefix("permessage-deflate").unwrap().to_owned())
}

#[track_caller]
fn assert_answers(accept: &Accept, rows: &[(&str, &str)]) {
    for (parameters, expected) in rows {
        let answer = answered(&[&offer(parameters)], accept);
        assert_eq!(answer.as_deref(), Some(*expected), "{parameters}");
    }
}

#[track_caller]
fn assert_declined(accept: &Accept, offers: &[&str]) {
    for parameters in offers {
        let offer = offer(parameters);
        assert_eq!(answered(&[&offer], accept), None, "{parameters}");
        let after = answered(&[&format!("{offer}, permessage-deflate")], accept);
        assert_eq!(after, answered(&["permessage-deflate"], accept), "the next one is taken");
    }
}

#[test]
fn the_default_answers_that_nothing_is_taken_over() {
    let none = "; server_no_context_takeover; client_no_context_takeover";
    let accept = Accept::new().deflate(Deflate::default());
    assert_answers(
        &accept,
        &[
            ("", none),
            ("; server_no_context_takeover", none),
            ("; client_no_context_takeover", none),
            ("; client_no_context_takeover; server_no_context_takeover", none),
            // What Chromium and Firefox offer.
            ("; client_max_window_bits", none),
            ("; server_max_window_bits=12", &format!("{none}; server_max_window_bits=12")),
            ("; client_max_window_bits=9", &format!("{none}; client_max_window_bits=9")),
        ],
    );
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# To accept the use of an offered PMCE, a server MUST include the
//# extension name of the PMCE in the "Sec-WebSocket-Extensions" header
//# field of its opening handshake of the WebSocket connection.
#[test]
fn each_parameter_is_answered_as_it_is_asked_for() {
    assert_answers(
        &takeover(),
        &[
            ("", ""),
            ("; server_no_context_takeover", "; server_no_context_takeover"),
            ("; client_no_context_takeover", "; client_no_context_takeover"),
            ("; server_max_window_bits=9", "; server_max_window_bits=9"),
            ("; server_max_window_bits=10", "; server_max_window_bits=10"),
            // What is asked for is answered, also where it changes nothing.
            ("; server_max_window_bits=15", "; server_max_window_bits=15"),
            ("; client_max_window_bits", ""),
            ("; client_max_window_bits=15", ""),
            ("; client_max_window_bits=14", "; client_max_window_bits=14"),
            ("; client_max_window_bits=8", "; client_max_window_bits=8"),
            (
                "; client_max_window_bits=11; server_max_window_bits=12; client_no_context_takeover; \
                 server_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; \
                 client_max_window_bits=11",
            ),
        ],
    );
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a received extension negotiation offer doesn't have the
//# "client_max_window_bits" extension parameter, the corresponding
//# extension negotiation response to the offer MUST NOT include the
//# "client_max_window_bits" extension parameter.
#[test]
fn a_client_that_does_not_offer_client_max_window_bits_is_not_told_any() {
    // Its window cannot be made smaller, so the server does without keeping it.
    let unlimited = "; client_no_context_takeover; server_max_window_bits=10";
    assert_answers(
        &small(),
        &[
            ("", unlimited),
            ("; client_no_context_takeover", unlimited),
            ("; server_max_window_bits=10", unlimited),
            ("; server_max_window_bits=15", unlimited),
            (
                "; server_max_window_bits=9",
                "; client_no_context_takeover; server_max_window_bits=9",
            ),
            ("; client_max_window_bits", "; server_max_window_bits=10; client_max_window_bits=11"),
            (
                "; client_max_window_bits=15",
                "; server_max_window_bits=10; client_max_window_bits=11",
            ),
            (
                "; client_max_window_bits=10",
                "; server_max_window_bits=10; client_max_window_bits=10",
            ),
            ("; client_max_window_bits=8", "; server_max_window_bits=10; client_max_window_bits=8"),
        ],
    );
}

/// No value, or one of them.
fn values(from: u8) -> Vec<Option<u8>> {
    std::iter::once(None).chain((from..=15).map(Some)).collect()
}

/// All offers in a regular form against all configurations of a server, of which each direction stands alone.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9
//# those parameters MUST be chosen in
//# accordance with the specification of the extension to which the
//# parameters apply.
#[test]
fn every_offer_is_answered_by_the_rules_of_each_direction() {
    let ways: Vec<Way> =
        [false, true].into_iter().flat_map(|it| (9..=15).map(move |bits| (it, bits))).collect();
    for (takeover, bits) in ways {
        for asks in [false, true] {
            for asked in values(8) {
                check_sending((takeover, bits), asks, asked);
            }
            check_receiving((takeover, bits), asks, None);
            for hint in values(8) {
                check_receiving((takeover, bits), asks, Some(hint));
            }
        }
    }
}

/// A server that sends so, and a client that asks for no takeover, or for a window.
fn check_sending((takeover, bits): Way, asks: bool, asked: Option<u8>) {
    let mut parameters = String::new();
    if let Some(asked) = asked {
        parameters.push_str(&format!("; server_max_window_bits={asked}"));
    }
    if asks {
        parameters.push_str("; server_no_context_takeover");
    }
    let mut expected = String::new();
    if asks || !takeover {
        expected.push_str("; server_no_context_takeover");
    }
    let agreed = asked.unwrap_or(15).min(bits);
    if asked.is_some() || bits < 15 {
        expected.push_str(&format!("; server_max_window_bits={agreed}"));
    }
    let expected = if asked == Some(8) { None } else { Some(expected) };
    let accept = Accept::new().deflate(deflate((takeover, bits), (true, 15)));
    assert_eq!(answered(&[&offer(&parameters)], &accept), expected, "{parameters}");
}

/// A server that wants to receive so, and a client that hints that it does not take over, or may be told a window.
fn check_receiving((takeover, bits): Way, hints: bool, window: Option<Option<u8>>) {
    let mut parameters = String::new();
    if hints {
        parameters.push_str("; client_no_context_takeover");
    }
    match window {
        None => {}
        Some(None) => parameters.push_str("; client_max_window_bits"),
        Some(Some(hint)) => parameters.push_str(&format!("; client_max_window_bits={hint}")),
    }
    let mut expected = String::new();
    if hints || !takeover || (bits < 15 && window.is_none()) {
        expected.push_str("; client_no_context_takeover");
    }
    let agreed = window.map_or(15, |hint| hint.unwrap_or(15).min(bits));
    if agreed < 15 {
        expected.push_str(&format!("; client_max_window_bits={agreed}"));
    }
    let accept = Accept::new().deflate(deflate((true, 15), (takeover, bits)));
    assert_eq!(answered(&[&offer(&parameters)], &accept), Some(expected), "{parameters}");
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation offer contains an extension parameter not defined
//# for use in an offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# A server MUST decline an extension negotiation offer for this
//# extension if any of the following conditions are met:
#[test]
fn an_offer_with_an_unknown_parameter_is_declined() {
    for accept in [takeover(), small()] {
        assert_declined(
            &accept,
            &[
                "; a",
                "; a=1",
                "; client_max_window_bits; a",
                "; server-no-context-takeover",
                "; Server_No_Context_Takeover",
                "; SERVER_MAX_WINDOW_BITS=10",
                "; no_context_takeover",
                "; max_window_bits=10",
                "; client_max_window_bit=10",
                "; client_max_window_bitss=10",
                "; mem_level=8",
            ],
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation offer contains an extension parameter with an
//# invalid value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# This parameter has a decimal
//# integer value without leading zeroes between 8 to 15, inclusive,
//# indicating the base-2 logarithm of the LZ77 sliding window size, and
//# MUST conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a value is specified for this parameter, the value MUST
//# conform to the ABNF below.
#[test]
fn an_offer_with_a_bad_value_is_declined() {
    let mut offers = vec!["; server_max_window_bits".to_owned()];
    for value in [
        "0",
        "1",
        "7",
        "16",
        "17",
        "80",
        "99",
        "255",
        "256",
        "1000",
        "4294967305",
        "010",
        "08",
        "09",
        "0009",
        "008",
        "+9",
        "-9",
        "1e1",
        "0x9",
        "9.0",
        "9a",
        "a",
        "true",
        "x9",
        "99999999999999999999999999",
    ] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            offers.push(format!("; {name}={value}"));
            offers.push(format!("; {name}=\"{value}\""));
        }
    }
    for value in ["0", "1", "true", "\"true\"", "server_no_context_takeover"] {
        offers.push(format!("; server_no_context_takeover={value}"));
        offers.push(format!("; client_no_context_takeover={value}"));
    }
    let offers: Vec<_> = offers.iter().map(String::as_str).collect();
    assert_declined(&takeover(), &offers);
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation offer contains multiple extension parameters with
//# the same name.
#[test]
fn an_offer_with_a_repeated_parameter_is_declined() {
    assert_declined(
        &takeover(),
        &[
            "; server_no_context_takeover; server_no_context_takeover",
            "; client_no_context_takeover; server_no_context_takeover; client_no_context_takeover",
            "; server_max_window_bits=10; server_max_window_bits=10",
            "; server_max_window_bits=10; server_max_window_bits=11",
            "; client_max_window_bits; client_max_window_bits",
            "; client_max_window_bits; client_max_window_bits=10",
            "; client_max_window_bits=10; client_max_window_bits",
            "; client_max_window_bits=10; client_max_window_bits=10",
        ],
    );
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The server doesn't support the offered configuration.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# The element MUST represent a PMCE that
//# is fully supported by the server.
#[test]
fn a_window_of_8_bits_is_declined_for_the_server_and_allowed_for_the_client() {
    for accept in [takeover(), small(), Accept::new().deflate(Deflate::default())] {
        assert_declined(
            &accept,
            &[
                "; server_max_window_bits=8",
                "; server_max_window_bits=\"8\"",
                "; server_max_window_bits=8; client_max_window_bits=8; server_no_context_takeover",
            ],
        );
        let answer = answered(&["permessage-deflate; client_max_window_bits=8"], &accept);
        assert!(answer.unwrap().ends_with("; client_max_window_bits=8"));
    }
}

#[test]
fn a_value_may_be_quoted_and_a_character_of_it_escaped() {
    assert_answers(
        &takeover(),
        &[
            ("; server_max_window_bits=\"10\"", "; server_max_window_bits=10"),
            ("; server_max_window_bits=\"1\\0\"", "; server_max_window_bits=10"),
            ("; server_max_window_bits=\"\\1\\0\"", "; server_max_window_bits=10"),
            ("; client_max_window_bits=\"\\9\"", "; client_max_window_bits=9"),
            (" ;\tserver_max_window_bits =\t\"9\" ", "; server_max_window_bits=9"),
            (
                ";server_max_window_bits=9;client_no_context_takeover",
                "; client_no_context_takeover; server_max_window_bits=9",
            ),
        ],
    );
}

/// The lines, and the answer to them.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# then the value MUST be derived from the
//# client's handshake, specifically by selecting one or more of
//# the values from the |Sec-WebSocket-Extensions| field.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A server MUST NOT accept a PMCE extension negotiation offer together
//# with another extension if the PMCE will conflict with the extension
//# on their use of the RSV1 bit.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A server MUST NOT accept a PMCE extension negotiation offer together
//# with another extension if the PMCE will be applied to the output of
//# the extension and any of the following conditions applies to the
//# extension:
#[test]
fn of_several_offers_the_first_that_can_be_accepted_is() {
    let rows: [(&[&str], &str); 11] = [
        (
            &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
            "; server_max_window_bits=10",
        ),
        (&["permessage-deflate, permessage-deflate; server_max_window_bits=10"], ""),
        (
            &["permessage-deflate; server_max_window_bits=9", "permessage-deflate"],
            "; server_max_window_bits=9",
        ),
        (&["permessage-deflate", "permessage-deflate; server_max_window_bits=9"], ""),
        (
            &[
                "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9, permessage-deflate",
            ],
            "; server_max_window_bits=9",
        ),
        (
            &[
                "permessage-deflate; server_max_window_bits=8",
                "permessage-deflate; a",
                "permessage-deflate; server_no_context_takeover",
            ],
            "; server_no_context_takeover",
        ),
        (&["permessage-deflate; server_max_window_bits=010,permessage-deflate"], ""),
        (
            &["permessage-bzip2, permessage-deflate; client_max_window_bits=9"],
            "; client_max_window_bits=9",
        ),
        (&["x-webkit-deflate-frame; a=\"b\"", "permessage-snappy", "permessage-deflate"], ""),
        (
            &["permessage-deflate; client_no_context_takeover, permessage-bzip2"],
            "; client_no_context_takeover",
        ),
        (
            &[", ,permessage-deflate; server_no_context_takeover,,", ","],
            "; server_no_context_takeover",
        ),
    ];
    for (lines, expected) in rows {
        assert_eq!(answered(lines, &takeover()).as_deref(), Some(expected), "{lines:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# Extensions not listed by the client MUST NOT be
//# listed.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9
//# A server MUST NOT respond with any extension not requested
//# by the client.
#[test]
fn what_is_not_offered_is_not_answered() {
    let rows: [&[&str]; 9] = [
        &[],
        &["permessage-bzip2"],
        &["Permessage-Deflate"],
        &["PERMESSAGE-DEFLATE"],
        &["permessage_deflate"],
        &["permessage-deflat"],
        &["permessage-deflate2"],
        &["a; permessage-deflate"],
        &["a; b=permessage-deflate, deflate"],
    ];
    for lines in rows {
        for accept in [takeover(), small(), Accept::new().deflate(Deflate::default())] {
            assert_eq!(answered(lines, &accept), None, "{lines:?}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A server declining all offered PMCEs MUST NOT include any element
//# with PMCE names.
#[test]
fn a_server_that_does_not_want_it_answers_no_offer() {
    for accept in [Accept::new(), Accept::new().deflate(None), takeover().deflate(None)] {
        assert_eq!(answered(&["permessage-deflate"], &accept), None);
        assert_eq!(answered(&["permessage-deflate; client_max_window_bits"], &accept), None);
    }
    let last = Accept::new().deflate(None).deflate(both_ways((true, 15)));
    assert_eq!(
        answered(&["permessage-deflate"], &last).as_deref(),
        Some(""),
        "the last word counts"
    );
}

#[test]
fn bad_grammar_is_refused_with_400_also_beside_a_good_offer() {
    for parameters in [
        ";",
        "; ",
        ";;",
        "; server_max_window_bits=",
        "; server_max_window_bits= ",
        "; server_max_window_bits=\"\"",
        "; server_max_window_bits=\"10",
        "; server_max_window_bits=10\"",
        "; server_max_window_bits=\"1 0\"",
        "; server_max_window_bits=\"10\\\"",
        "; server_max_window_bits=\"10\"5",
        "; server_max_window_bits=1 0",
        "; server_max_window_bits==10",
        "; =10",
        "; client_max_window_bits client_no_context_takeover",
        " client_max_window_bits",
        "=10",
        "/1",
    ] {
        let bad = offer(parameters);
        for lines in [
            &[bad.as_str()][..],
            &["permessage-deflate", &bad],
            &[&bad, "permessage-deflate"],
            &[&format!("permessage-deflate, {bad}")],
        ] {
            for accept in [takeover(), Accept::new()] {
                let refusal = answer(lines, &accept).map(|it| it.0).unwrap_err();
                assert_eq!(refusal, Refusal::Extensions, "{lines:?}");
                assert_eq!(refusal.status().get(), 400);
            }
        }
    }
}
