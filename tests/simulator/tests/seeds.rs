//! Some seeds in every run of the tests, those that once failed, and broken worlds that have to be noticed.
#![allow(clippy::panic)] // a test may panic

use std::collections::BTreeMap;

use simulator::net::Broken;
use simulator::{Options, Outcome, run};

/// Seeds that once failed, and what was wrong. They are worlds of WebSockets only, as they were then.
const REGRESSIONS: &[(u64, &str)] = &[
    (16, "a handler was told of room although something waited again"),
    (39, "a failed write to a connection that is ending was tried again without end"),
    (203, "the same, over TLS"),
    (63, "a peer that had answered a ping was not asked again in time"),
    (2511, "what was published before a close frame came was not sent before the answer"),
    (3283, "the same, before a violation"),
    (318, "who had been told to end because all hold too much was told so without end"),
];

/// The same, of worlds in which there are other requests too.
const REGRESSIONS_WITH_REQUESTS: &[(u64, &str)] =
    &[(5, "who was turned away for want of descriptors, and spoke TLS, was told so in the clear")];

/// The same, of worlds in which there are pauses too.
const REGRESSIONS_WITH_PAUSES: &[(u64, &str)] = &[
    (98, "a socket was held to be full although TLS had written all that waited for it"),
    (13895, "the same, where TLS had not taken all that there was"),
];

/// The same, of worlds in which there are pings too.
const REGRESSIONS_WITH_PINGS: &[(u64, &str)] = &[
    (10694, "a pong was owed on although its socket had room, of which no event told"),
    (7168, "such a pong, over TLS, went to another connection"),
];

/// The same, of worlds with all that there is.
const REGRESSIONS_WITH_ALL: &[(u64, &str)] =
    &[(12836, "a TLS stream that had failed was ended behind records that were lost")];

const WITHOUT_ASKING: Options = Options {
    broken: None,
    lines_max: 0,
    without_requests: false,
    without_pauses: false,
    without_pings: false,
    without_asking: true,
};
const WITHOUT_PINGS: Options = Options { without_pings: true, ..WITHOUT_ASKING };
const WITHOUT_PAUSES: Options = Options { without_pauses: true, ..WITHOUT_PINGS };
const WITHOUT_ALL: Options = Options { without_requests: true, ..WITHOUT_PAUSES };

/// Seeds that are run with each kind of damage, one of which at least has to show it.
const SEEDS_BROKEN: u64 = 40;

fn hold(seed: u64, without: Options) -> Outcome {
    let outcome = run(seed, Options { lines_max: 40, ..without });
    assert!(outcome.failure.is_none(), "{outcome}");
    outcome
}

/// Runs two hundred seeds, in which all of this has to happen.
fn hold_two_hundred(without: Options, happens: &[&str]) {
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..200 {
        for (what, count) in hold(seed, without).tally {
            *tally.entry(what).or_default() += count;
        }
    }
    println!("{tally:#?}");
    for what in happens {
        assert!(tally.contains_key(what), "nothing {what}");
    }
}

#[test]
fn all_promises_hold_for_two_hundred_seeds() {
    hold_two_hundred(
        Options::default(),
        &["is paused", "is resumed", "waits in a pause", "has its ping answered"],
    );
}

#[test]
fn all_promises_hold_for_two_hundred_seeds_without_pauses() {
    let of_requests = [
        "is asked",
        "is told to go on",
        "gets a whole answer",
        "begins a stream",
        "gets a chunk",
        "gets the end",
        "is told of room",
        "is held",
        "takes no more",
        "ends whole",
        "ends lost",
        "ends unread",
        "ends in overload",
    ];
    hold_two_hundred(WITHOUT_PAUSES, &of_requests);
}

#[test]
fn all_promises_hold_for_fifty_seeds_without_requests_and_pauses() {
    for seed in 0..50 {
        assert!(hold(seed, WITHOUT_ALL).tally.is_empty());
    }
}

#[test]
fn all_promises_hold_for_the_seeds_that_once_failed() {
    for (seed, _) in REGRESSIONS {
        hold(*seed, WITHOUT_ALL);
    }
    for (seed, _) in REGRESSIONS_WITH_REQUESTS {
        hold(*seed, WITHOUT_PAUSES);
    }
    for (seed, _) in REGRESSIONS_WITH_PAUSES {
        hold(*seed, WITHOUT_PINGS);
    }
    for (seed, _) in REGRESSIONS_WITH_PINGS {
        hold(*seed, WITHOUT_ASKING);
    }
    for (seed, _) in REGRESSIONS_WITH_ALL {
        hold(*seed, Options::default());
    }
}

#[test]
fn a_seed_has_one_trace_and_another_seed_another() {
    let trace = |seed| run(seed, Options::default()).trace;
    for seed in 0..60 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
        assert_ne!(trace(seed), trace(seed + 1), "seed {seed}");
    }
}

/// How many of some seeds notice a kind of damage.
fn noticed(how: Broken) -> usize {
    let broken =
        |seed: u64| Options { broken: Some((how, 1 + seed as usize % 7)), ..Options::default() };
    (0..SEEDS_BROKEN).filter(|seed| run(*seed, broken(*seed)).failure.is_some()).count()
}

#[test]
fn every_kind_of_broken_world_is_noticed() {
    for how in [
        Broken::WritableEdge,
        Broken::ReadableEdge,
        Broken::ByteLost,
        Broken::BytesSwapped,
        Broken::ByteTwice,
        Broken::Oversleeps,
        Broken::Early,
        Broken::StreamKept,
        Broken::MessageTwice,
        Broken::RequestTwice,
        Broken::BodyCut,
        Broken::RoomMissed,
        Broken::PauseMissed,
        Broken::ResumeMissed,
        Broken::CloseTwice,
        Broken::CloseMissed,
        Broken::PongMissed,
    ] {
        let count = noticed(how);
        println!("{how:?}: {count} of {SEEDS_BROKEN}");
        assert!(count > 0, "{how:?} is not noticed");
    }
}
