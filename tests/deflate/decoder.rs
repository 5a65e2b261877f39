//! The decoder that these tests judge by, against flate2's.

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::deflate::{Deflater, Reader, TAIL};
use super::support::inflate::{Bad, inflate, inflate_message};

/// A stream that is flushed or ended so, at this level.
fn stream(text: &[u8], level: u32, bits: u8, flush: FlushCompress) -> Vec<u8> {
    let mut codec = Compress::new_with_window_bits(Compression::new(level), false, bits);
    let mut out = Vec::with_capacity(text.len() * 2 + 1024);
    codec.compress_vec(text, &mut out, flush).unwrap();
    assert_eq!(codec.total_in(), text.len() as u64);
    out
}

proptest! {
    #[test]
    fn it_decodes_what_flate2_encodes_at_every_level(
        text in prop_oneof![vec(any::<u8>(), 0..2000), vec(0..3u8, 0..6000)],
        level in 0..=9u32,
        bits in 9..=15u8,
    ) {
        for flush in [FlushCompress::Sync, FlushCompress::Full, FlushCompress::Finish] {
            let (inflated, outcome) = inflate(&stream(&text, level, bits, flush), &[]);
            prop_assert_eq!(outcome, Ok(()));
            prop_assert!(inflated.text == text);
            prop_assert_eq!(inflated.ended, flush == FlushCompress::Finish);
            prop_assert!(inflated.distance_max <= 1 << bits);
        }
    }

    /// flate2 does not say where a stream ends, and takes one that is cut short for a whole one. Nothing else may
    /// differ.
    #[test]
    fn it_judges_changed_payloads_as_flate2_does(
        text in prop_oneof![vec(any::<u8>(), 0..40), vec(0..3u8, 0..400)],
        level in 1..=9u32,
        changes in vec((any::<prop::sample::Index>(), 0..8u8), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut payload = Deflater::new(level, (false, 15)).message(&text);
        for (at, bit) in changes {
            let at = at.index(payload.len());
            payload[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len() + 1));
        }
        let ours = inflate_message(&payload, &[]);
        let theirs = Reader::new((false, 15)).message(&payload);
        match (ours, theirs) {
            // Behind a final block flate2 stops.
            (Ok(inflated), Some(_)) if inflated.final_blocks > 0 => {}
            (Ok(inflated), Some(text)) => prop_assert!(inflated.text == text),
            (Err(Bad::Wrong), None) | (Err(Bad::Short | Bad::TooManyFinalBlocks), _) => {}
            // It may be wrong behind a final block only.
            (Err(Bad::Wrong), Some(_)) => {
                payload.extend(TAIL);
                prop_assert!(inflate(&payload, &[]).0.final_blocks > 0);
            }
            (Ok(inflated), None) => prop_assert!(false, "{inflated:?}"),
        }
    }
}

#[test]
fn every_prefix_of_a_stream_is_too_short_unless_it_ends_between_two_blocks() {
    let text = b"some text, some more text, and then some more".as_slice();
    for level in [1, 6, 9] {
        let whole = stream(text, level, 15, FlushCompress::Finish);
        for cut in 1..whole.len() {
            assert_eq!(inflate(&whole[..cut], &[]).1, Err(Bad::Short));
        }
        let mut payload = Deflater::new(level, (false, 15)).message(text);
        while payload.pop().is_some() {
            assert!(inflate_message(&payload, &[]).is_err(), "{payload:02x?}");
        }
    }
}
