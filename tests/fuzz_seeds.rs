//! Replays the seeds of the fuzz targets: what fuzzing asserts, on stable Rust.

#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "what a fuzz target cannot go on without is a finding; the targets are a crate of their own"
)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_seed_of_every_fuzz_target_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in targets::TARGETS {
        let mut replayed = 0;
        for seed in fs::read_dir(seeds.join(name)).unwrap() {
            let path = seed.unwrap().path();
            let data = fs::read(&path).unwrap();
            println!("{}", path.display());
            target(&data);
            replayed += 1;
        }
        assert!(replayed >= 7, "{name} has {replayed} seeds");
    }
}

#[test]
fn every_folder_of_seeds_and_every_file_of_a_target_is_known() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).into()).collect();
    for folder in ["seeds", "fuzz_targets"] {
        let found: BTreeSet<String> = fs::read_dir(fuzz.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().into())
            .collect();
        assert_eq!(found, names, "{folder}");
    }
}

#[test]
fn all_short_inputs_hold() {
    for (_, target) in targets::TARGETS {
        for a in 0..=255 {
            target(&[a]);
            for b in [0x00, 0x03, 0x80, 0x81, 0x88, 0x89, 0xC3, 0xFF] {
                target(&[a, b]);
                target(&[0, 0, a, b, 0, 0]);
            }
        }
    }
}
