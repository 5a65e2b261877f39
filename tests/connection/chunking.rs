//! However the bytes are cut, the events, the output and the error are the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use tautline::frame::Role;
use tautline::{CloseCode, Delivery, Limits};

use super::support::drive::{Seen, assert_cuts_do_not_matter, gathered};
use super::support::frames::{close_body, frame};
use super::violations;

/// Something legal that a peer sends.
#[derive(Clone, Debug)]
enum Item {
    /// A message, the places where it is cut into fragments, and a pong after so many of them.
    Message {
        text: bool,
        data: Vec<u8>,
        cuts: Vec<Index>,
        pong_after: usize,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// How it all ends.
#[derive(Clone, Debug)]
enum End {
    Open,
    Close(Option<CloseCode>, String),
    Violation(Index),
    /// A byte of all that came is changed by this much; what comes of it is anybody's guess.
    Changed(Index, u8),
}

fn any_text() -> impl Strategy<Value = String> {
    let character =
        prop_oneof![select(vec!['a', 'é', '€', '😀', '\0', '\u{10FFFF}']), any::<char>()];
    vec(character, 0..40).prop_map(String::from_iter)
}

fn any_item() -> impl Strategy<Value = Item> {
    let payload = || vec(any::<u8>(), 0..=125);
    // Miri would go through 64 KiB byte by byte for an hour.
    let long = if cfg!(miri) { 120..130 } else { 0xFFF0..0x1_0010 };
    let data = prop_oneof![4 => vec(any::<u8>(), 0..200), 1 => vec(any::<u8>(), long)];
    let data = prop_oneof![
        any_text().prop_map(|text| (true, text.into_bytes())),
        data.prop_map(|data| (false, data)),
    ];
    prop_oneof![
        4 => (data, vec(any::<Index>(), 0..5), 0..6usize).prop_map(|((text, data), cuts, pong_after)| {
            Item::Message { text, data, cuts, pong_after }
        }),
        1 => payload().prop_map(Item::Ping),
        1 => payload().prop_map(Item::Pong),
    ]
}

fn any_end() -> impl Strategy<Value = End> {
    let code = select(vec![1000, 1001, 1011, 3000, 4999]).prop_map(CloseCode::new);
    let reason = any_text().prop_map(|text| text.chars().take(30).collect::<String>());
    prop_oneof![
        2 => Just(End::Open),
        1 => Just(End::Close(None, String::new())),
        2 => (code, reason).prop_map(|(code, reason)| End::Close(code, reason)),
        4 => any::<Index>().prop_map(End::Violation),
        2 => (any::<Index>(), 1..=255u8).prop_map(|(at, by)| End::Changed(at, by)),
    ]
}

/// The frames of an item, and what is to be seen of it in whole messages.
fn frames_of(item: &Item, sender: Role) -> (Vec<u8>, Vec<Seen>) {
    match item {
        Item::Ping(payload) => (frame(sender, 0x89, payload), vec![Seen::Ping(payload.clone())]),
        Item::Pong(payload) => (frame(sender, 0x8A, payload), vec![Seen::Pong(payload.clone())]),
        Item::Message { text, data, cuts, pong_after } => {
            let cuts = cuts.iter().map(|cut| cut.index(data.len() + 1));
            let fragments = super::support::drive::pieces(data, cuts);
            let (mut bytes, mut seen) = (Vec::new(), Vec::new());
            for (i, fragment) in fragments.iter().enumerate() {
                if i == *pong_after && i > 0 {
                    bytes.extend(frame(sender, 0x8A, b"between"));
                    seen.push(Seen::Pong(b"between".to_vec()));
                }
                let opcode = match (i, text) {
                    (0, true) => 0x1,
                    (0, false) => 0x2,
                    _ => 0x0,
                };
                let fin = if i + 1 == fragments.len() { 0x80 } else { 0 };
                bytes.extend(frame(sender, fin | opcode, fragment));
            }
            seen.push(match text {
                true => Seen::text(str::from_utf8(data).unwrap()),
                false => Seen::binary(data),
            });
            (bytes, seen)
        }
    }
}

/// Plays the items and the end, with every kind of cut.
fn check(role: Role, delivery: Delivery, items: &[Item], end: &End, cuts: &[Index]) {
    let sender = role.peer();
    let mut limits = Limits::default();
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    for item in items {
        let (frames, events) = frames_of(item, sender);
        bytes.extend(frames);
        seen.extend(events);
    }
    let mut expected_violation = None;
    match end {
        End::Open => {}
        End::Close(code, reason) => {
            let body = code.map(|code| close_body(code.get(), reason)).unwrap_or_default();
            bytes.extend(frame(sender, 0x88, &body));
            seen.push(Seen::Close(*code, reason.clone()));
        }
        End::Violation(index) => {
            let rows = violations::rows(sender);
            let row = index.get(&rows);
            limits = row.limits.clone();
            // The limits of the row are small; what came before may not cross them.
            (bytes, seen) = (row.before.clone(), Vec::new());
            bytes.extend(&row.shows);
            bytes.extend(frame(sender, 0x81, b"late"));
            expected_violation = Some(row.violation);
        }
        End::Changed(at, by) => {
            if let Some(byte) =
                (!bytes.is_empty()).then(|| at.index(bytes.len())).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= by;
            }
        }
    }
    let cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1));
    let outcome = assert_cuts_do_not_matter(role, &limits, delivery, &bytes, cuts);
    match end {
        End::Open | End::Close(..) => {
            assert_eq!(outcome.violation, None);
            assert_eq!(gathered(outcome.events), seen);
        }
        End::Violation(_) if delivery == Delivery::Whole => {
            assert_eq!(outcome.violation, expected_violation)
        }
        End::Violation(_) | End::Changed(..) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::support::cases(400)))]

    #[test]
    fn any_frames_cut_anywhere_give_the_same_events_the_same_output_and_the_same_error(
        role in select(vec![Role::Client, Role::Server]),
        delivery in select(vec![Delivery::Whole, Delivery::Parts]),
        items in vec(any_item(), 0..6),
        end in any_end(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        check(role, delivery, &items, &end, &cuts);
    }

    #[test]
    fn any_bytes_cut_anywhere_give_the_same_events_the_same_output_and_the_same_error(
        role in select(vec![Role::Client, Role::Server]),
        delivery in select(vec![Delivery::Whole, Delivery::Parts]),
        bytes in vec(prop_oneof![select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x85, 0x88, 0x89, 0xFE]), any::<u8>()], 0..80),
        cuts in vec(0..80usize, 0..6),
    ) {
        assert_cuts_do_not_matter(role, &Limits::default(), delivery, &bytes, cuts);
    }
}

#[test]
fn each_violation_is_the_same_at_every_cut() {
    for role in super::ROLES {
        for row in violations::rows(role.peer()) {
            let bytes = [&row.before[..], &row.shows, &[0x81, 0x80]].concat();
            for delivery in [Delivery::Whole, Delivery::Parts] {
                for cut in 0..=bytes.len() {
                    assert_cuts_do_not_matter(role, &row.limits, delivery, &bytes, [cut]);
                }
            }
        }
    }
}
