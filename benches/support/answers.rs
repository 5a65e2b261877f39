//! Frames of a server.
#![allow(clippy::indexing_slicing)] // a benchmark may panic

/// The payload and the length of the frame that `bytes` begin with, which a server sent, once it is whole.
pub(crate) fn first_frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (header, rest) = bytes.split_at_checked(2)?;
    let (length, extended) = match header[1] {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 8),
        short => (usize::from(short), 0),
    };
    Some((rest.get(extended..extended + length)?, 2 + extended + length))
}
