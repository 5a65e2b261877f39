//! Two connections wired together: what one sends the other receives, in order, whatever the cuts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use tautline::frame::Role;
use tautline::{CloseCode, Delivery};

use super::support::wire::{Op, play};

fn any_op() -> impl Strategy<Value = Op> {
    let length = || prop_oneof![4 => 0..40usize, 1 => 100..300usize];
    let code = select(vec![CloseCode::NORMAL, CloseCode::GOING_AWAY, CloseCode::INTERNAL_ERROR]);
    prop_oneof![
        4 => length().prop_map(Op::Text),
        4 => prop_oneof![9 => length(), 1 => 65_500..65_600usize].prop_map(Op::Binary),
        4 => (length(), any::<bool>()).prop_map(|(length, last)| Op::TextPart(length, last)),
        4 => (length(), any::<bool>()).prop_map(|(length, last)| Op::BinaryPart(length, last)),
        3 => prop_oneof![0..=125usize, 120..=130usize].prop_map(Op::Ping),
        1 => (code, prop_oneof![0..=123usize, 120..=130usize]).prop_map(|(code, length)| Op::Close(code, length)),
        2 => Just(Op::Flush),
        9 => (prop_oneof![0..20usize, 0..500usize], any::<bool>())
            .prop_map(|(bytes, flush_each)| Op::Receive { bytes, flush_each }),
        1 => prop_oneof![0..5u64, 20..60u64].prop_map(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::support::cases(600)))]

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# Message fragments MUST be delivered to the recipient in the order
    //# sent by the sender.
    #[test]
    fn what_one_end_sends_the_other_receives_in_order_whatever_the_cuts(
        deliveries in select(vec![
            [Delivery::Whole, Delivery::Whole],
            [Delivery::Parts, Delivery::Whole],
            [Delivery::Parts, Delivery::Parts],
        ]),
        ops in vec((select(vec![Role::Client, Role::Server]), any_op()), 0..60),
    ) {
        play(deliveries, ops);
    }
}
