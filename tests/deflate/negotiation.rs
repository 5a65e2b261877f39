//! Both ends against each other: what a server answers to a client's offer the client accepts, both understand the same
//! by it, and messages go both ways.

use proptest::collection::vec;
use proptest::prelude::*;

use tautline::frame::Role;
use tautline::handshake::{Accept, Agreed};
use tautline::{Connection, Deflate, Delivery, Limits};

use super::support::deflate::{Way, deflate, negotiate, read_back, way_of};
use super::support::drive::{Outcome, Seen, connection_after, receive};

/// A client and a server with these wishes for what each sends, and for what each receives.
fn pair(client: [Way; 2], server: [Way; 2]) -> [Agreed; 2] {
    let offers = [deflate(client[0], client[1])];
    negotiate(&offers, &Accept::new().deflate(deflate(server[0], server[1])))
}

/// All pairs of two wishes.
fn pairs(ways: &[Way]) -> impl Iterator<Item = [Way; 2]> {
    ways.iter().flat_map(|a| ways.iter().map(|b| [*a, *b]))
}

/// The parameters are the same for both, and nobody uses more than either side wants.
fn assert_agreed(client: [Way; 2], server: [Way; 2]) -> [Agreed; 2] {
    let agreed = pair(client, server);
    let [a, b] = [&agreed[0], &agreed[1]].map(|it| it.deflate().unwrap().parameters());
    assert_eq!(a, b, "{client:?}, {server:?}");
    for (sender, sends, receives) in
        [(Role::Client, client[0], server[1]), (Role::Server, server[0], client[1])]
    {
        let way = way_of(&agreed[0], sender);
        assert_eq!(way_of(&agreed[1], sender), way);
        assert!(way.1 <= receives.1, "{way:?} of the {sender:?} in {client:?}, {server:?}");
        assert!(!way.0 || receives.0, "{way:?} of the {sender:?} in {client:?}, {server:?}");
        // A client's own wishes are no business of the server's, beyond a hint.
        if sender == Role::Server {
            assert_eq!(way, (sends.0 && receives.0, sends.1.min(receives.1)));
        }
    }
    agreed
}

#[test]
fn every_client_accepts_what_every_server_answers() {
    let ways: Vec<Way> =
        [false, true].into_iter().flat_map(|it| (9..=15).map(move |bits| (it, bits))).collect();
    for client in pairs(&ways) {
        for server in pairs(&ways) {
            assert_agreed(client, server);
        }
    }
}

/// Sends these messages and checks that they arrive, by the other end and by independent decoders.
fn assert_arrives(agreed: &[Agreed; 2], messages: &[Vec<u8>]) {
    let limits = Limits::default();
    let ends = [(Role::Client, &agreed[0]), (Role::Server, &agreed[1])];
    let [mut client, mut server] =
        ends.map(|(role, agreed)| connection_after(agreed, role, &limits, Delivery::Whole));
    // To and fro, so that the two directions would be seen to mix.
    let mut written = [Vec::new(), Vec::new()];
    for message in messages {
        let expected = Seen::binary(message);
        written[0].extend(pass(&mut client, &mut server, message, &expected));
        written[1].extend(pass(&mut server, &mut client, message, &expected));
    }
    let expected: Vec<_> = messages.iter().map(|it| Seen::binary(it)).collect();
    for ((role, agreed), written) in ends.into_iter().zip(written) {
        assert!(read_back(&written, role, agreed) == expected, "what the {role:?} sends");
    }
}

fn pass(from: &mut Connection, to: &mut Connection, message: &[u8], expected: &Seen) -> Vec<u8> {
    let (mut out, mut outcome) = (Vec::new(), Outcome::default());
    from.send(message, &mut out).unwrap();
    receive(to, &out, &mut outcome);
    assert_eq!(outcome.violation, None);
    assert!(outcome.events == [expected.clone()], "{} bytes", message.len());
    out
}

/// Messages that have much in common, over more than the largest window.
fn alike() -> Vec<Vec<u8>> {
    let line = |i: u32| {
        format!(
            "{{\"id\":{i},\"name\":\"row {}\",\"hash\":{}}}",
            i % 7,
            i.wrapping_mul(2_654_435_761)
        )
    };
    let json =
        |from: u32, rows: u32| (from..from + rows).map(line).collect::<String>().into_bytes();
    vec![json(0, 2), json(1, 2), vec![], json(0, 40), json(3, 9), json(0, 900), json(890, 30)]
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# both endpoints MUST use the algorithm described in Section 6
#[test]
fn messages_go_both_ways_between_every_client_and_every_server() {
    let messages = alike();
    let ways = [(false, 9), (false, 15), (true, 9), (true, 15)];
    for client in pairs(&ways) {
        for server in pairs(&ways) {
            assert_arrives(&assert_agreed(client, server), &messages[..5]);
        }
    }
    for bits in 9..=15 {
        for takeover in [false, true] {
            let wish = [(takeover, bits); 2];
            assert_arrives(&assert_agreed(wish, wish), &messages);
        }
    }
}

#[test]
fn of_several_offers_the_first_that_a_server_can_do_with_is_agreed_on() {
    let accept = Accept::new().deflate(deflate((true, 12), (true, 15)));
    let (small, large) = (deflate((true, 15), (true, 9)), deflate((true, 15), (true, 15)));
    for (offers, bits, takeover) in [
        (vec![small, large], 9, true),
        (vec![large, small], 12, true),
        (vec![Deflate::default(), small], 12, false),
    ] {
        let agreed = negotiate(&offers, &accept);
        for end in &agreed {
            assert_eq!(way_of(end, Role::Server), (takeover, bits));
        }
        assert_arrives(&agreed, &alike()[..5]);
    }
}

fn any_way() -> impl Strategy<Value = Way> {
    (any::<bool>(), 9..=15u8)
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..400u32, 0..60u32).prop_map(|(from, rows)| {
            (from..from + rows).flat_map(|i| format!("row {} of {};", i % 23, i / 5).into_bytes()).collect()
        }),
        2 => vec(0..4u8, 0..600),
        2 => vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), 0..50_000usize).prop_map(|(byte, length)| vec![byte; length]),
        1 => vec(any::<u8>(), 9..300).prop_map(|it| it.repeat(150)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::support::cases(300)))]

    #[test]
    fn any_messages_go_both_ways_between_any_client_and_any_server(
        client in [any_way(), any_way()],
        server in [any_way(), any_way()],
        messages in vec(any_message(), 0..6),
    ) {
        assert_arrives(&assert_agreed(client, server), &messages);
    }
}
