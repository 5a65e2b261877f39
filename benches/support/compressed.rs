//! A message under permessage-deflate.
#![allow(clippy::unwrap_used)] // a benchmark may panic

use flate2::{Compress, Compression, FlushCompress};

use super::common;

/// What a client offers.
pub(crate) const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// A frame with a compressed text of so many bytes, which refers back by no more than the smallest window.
pub(crate) fn frame(bytes: usize) -> Vec<u8> {
    let text: String = (0..)
        .flat_map(|n: u32| format!("{{\"id\":{}}}", n * 7919).into_bytes())
        .take(bytes)
        .map(char::from)
        .collect();
    let mut payload = Vec::with_capacity(bytes + 1024);
    Compress::new_with_window_bits(Compression::fast(), false, 9)
        .compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync)
        .unwrap();
    common::masked(0xC1, payload.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap())
}
