//! Some seeds in every run of the tests, those that once failed, and broken worlds that have to be noticed.
#![allow(clippy::panic)] // a test may panic

use simulator::net::Broken;
use simulator::{Options, run};

/// Seeds that once failed, and what was wrong.
const REGRESSIONS: &[(u64, &str)] = &[
    (16, "a handler was told of room although something waited again"),
    (39, "a failed write to a connection that is ending was tried again without end"),
    (203, "the same, over TLS"),
    (63, "a peer that had answered a ping was not asked again in time"),
    (2511, "what was published before a close frame came was not sent before the answer"),
    (3283, "the same, before a violation"),
    (318, "who had been told to end because all hold too much was told so without end"),
];

/// Seeds that are run with each kind of damage, one of which at least has to show it.
const SEEDS_BROKEN: u64 = 40;

fn hold(seed: u64) {
    let outcome = run(seed, Options { lines_max: 40, ..Options::default() });
    assert!(outcome.failure.is_none(), "{outcome}");
}

#[test]
fn all_promises_hold_for_two_hundred_seeds() {
    (0..200).for_each(hold);
}

#[test]
fn all_promises_hold_for_the_seeds_that_once_failed() {
    for (seed, _) in REGRESSIONS {
        hold(*seed);
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
    let broken = |seed: u64| Options { broken: Some((how, 1 + seed as usize % 7)), lines_max: 0 };
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
        Broken::CloseTwice,
        Broken::CloseMissed,
    ] {
        let count = noticed(how);
        println!("{how:?}: {count} of {SEEDS_BROKEN}");
        assert!(count > 0, "{how:?} is not noticed");
    }
}
