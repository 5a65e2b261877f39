//! Two connections that agreed on compression, wired together: what one sends the other receives, in order, whatever
//! the cuts, and whichever messages are compressed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use tautline::deflate::Level;
use tautline::frame::Role;
use tautline::handshake::Accept;
use tautline::{CloseCode, Compress, Delivery, Message, Outgoing, Part, Prepared};

use super::blocks::noise;
use super::sending::sender;
use super::support::deflate::{Way, agreed, both_ways, negotiate, read_back};
use super::support::drive::Seen;
use super::support::wire::{Op, play_after};

fn any_compress() -> impl Strategy<Value = Compress> {
    select(vec![Compress::IfWorthwhile, Compress::Always, Compress::Never])
}

/// Under Miri few and short, or it would take hours.
const OPS_MAX: usize = if cfg!(miri) { 8 } else { 60 };
const LONG: std::ops::Range<usize> = if cfg!(miri) { 300..1_500 } else { 30_000..150_000 };

fn any_op() -> impl Strategy<Value = Op> {
    let length = || prop_oneof![4 => 0..40usize, 2 => 60..300usize, 1 => 1_000..6_000usize];
    let sent = || (length(), any_compress());
    let part = || (length(), any::<bool>(), any_compress());
    prop_oneof![
        3 => sent().prop_map(|(length, compress)| Op::TextAs(length, compress)),
        3 => sent().prop_map(|(length, compress)| Op::BinaryAs(length, compress)),
        1 => LONG.prop_map(Op::Binary),
        2 => sent().prop_map(|(length, compress)| Op::Noise(length, compress)),
        3 => part().prop_map(|(length, last, compress)| Op::TextPartAs(length, last, compress)),
        3 => part().prop_map(|(length, last, compress)| Op::BinaryPartAs(length, last, compress)),
        2 => sent().prop_map(|(length, compress)| Op::Prepared(length, compress)),
        3 => (0..10usize).prop_map(Op::PreparedAgain),
        2 => (0..=125usize).prop_map(Op::Ping),
        1 => (0..=123usize).prop_map(|length| Op::Close(CloseCode::NORMAL, length)),
        1 => Just(Op::Flush),
        9 => (prop_oneof![0..20usize, 0..500usize, 0..100_000usize], any::<bool>())
            .prop_map(|(bytes, flush_each)| Op::Receive { bytes, flush_each }),
    ]
}

fn any_way() -> impl Strategy<Value = Way> {
    (any::<bool>(), 9..=15u8)
}

fn any_deliveries() -> impl Strategy<Value = [Delivery; 2]> {
    let delivery = || select(vec![Delivery::Whole, Delivery::Parts]);
    [delivery(), delivery()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::support::cases(300)))]

    #[test]
    fn what_one_end_sends_the_other_receives_in_order_whatever_the_cuts(
        ways in [any_way(), any_way()],
        deliveries in any_deliveries(),
        ops in vec((select(vec![Role::Client, Role::Server]), any_op()), 0..OPS_MAX),
    ) {
        play_after(&agreed(ways), deliveries, ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::support::cases(60)))]

    #[test]
    fn senders_that_share_a_thread_do_not_get_in_each_others_way(
        levels in vec(prop_oneof![3 => Just(1u8), 1 => 1..=9u8], 1..3),
        ways in vec(any_way(), 1..3),
        count in 1..40usize,
        sends in vec((any::<Index>(), any_send(), length(), any_compress()), 0..200),
    ) {
        share_a_thread(&levels, &ways, count, &sends);
    }
}

/// What one of several senders does next.
#[derive(Clone, Copy, Debug)]
enum Send {
    /// Lines that all senders have in common, each with a number of its own.
    Lines,
    /// Bytes that do not compress.
    Noise,
    /// A part, and whether it is the last one.
    Part(bool),
    Prepared,
}

fn any_send() -> impl Strategy<Value = Send> {
    prop_oneof![
        6 => Just(Send::Lines),
        2 => Just(Send::Noise),
        2 => any::<bool>().prop_map(Send::Part),
        1 => Just(Send::Prepared),
    ]
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..40usize, 2 => 60..300usize, 2 => 1_000..6_000usize, 1 => 30_000..90_000usize]
}

/// Compressors go from one sender to the other. What each has sent is read by decoders that know of no other.
fn share_a_thread(
    levels: &[u8],
    ways: &[Way],
    count: usize,
    sends: &[(Index, Send, usize, Compress)],
) {
    let mut ends: Vec<_> = (0..count)
        .map(|i| {
            let mut deflate = both_ways(ways[i % ways.len()]);
            deflate.level = Level::new(levels[i % levels.len()]).unwrap();
            let [agreed, _] = negotiate(&[deflate], &Accept::new().deflate(deflate));
            let sender = sender(Role::Client, &agreed);
            (sender, agreed, Vec::new(), Vec::new(), Vec::new())
        })
        .collect();
    let mut prepared =
        Prepared::new("prepared once, and sent by all of them, and prepared but once");
    for (number, (which, send, length, compress)) in sends.iter().enumerate() {
        let (sender, _, out, expected, open) = which.get_mut(&mut ends);
        let compress = *compress;
        let lines: Vec<u8> = format!("line {number}, in which there is not much; ")
            .into_bytes()
            .into_iter()
            .cycle()
            .take(*length)
            .collect();
        let data = if let Send::Noise = send { noise(*length) } else { lines };
        let content = Message::Binary(&data);
        let unfinished = !open.is_empty();
        let result = match send {
            Send::Lines | Send::Noise => sender.send(Outgoing { content, compress }, out),
            Send::Prepared => sender.send_prepared(&mut prepared, out),
            Send::Part(last) => {
                let part = Part { data: content, last: *last };
                sender.send_part(Outgoing { content: part, compress }, out).unwrap();
                open.push(data.clone());
                if *last {
                    expected.push(Seen::binary(&open.concat()));
                    open.clear();
                }
                continue;
            }
        };
        assert_eq!(result.is_err(), unfinished);
        match (result, send) {
            (Err(_), _) => {}
            (Ok(()), Send::Prepared) => expected.push(Seen::Message(prepared.message().to_owned())),
            (Ok(()), _) => expected.push(Seen::binary(&data)),
        }
    }
    for (mut sender, agreed, mut out, mut expected, open) in ends {
        if !open.is_empty() {
            let part = Part { data: Message::Binary(b"the end"), last: true };
            sender.send_part(part, &mut out).unwrap();
            expected.push(Seen::binary(&[&open.concat()[..], b"the end"].concat()));
        }
        assert!(read_back(&out, Role::Client, &agreed) == expected);
    }
}
