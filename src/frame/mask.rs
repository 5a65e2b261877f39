//! Masking (RFC 6455 section 5.3).

use fearless_simd::{Level, Simd, dispatch};

/// So many bytes are worth asking which vectors there are.
const MANY_BYTES: usize = 256;

/// So many bytes are worth to begin with a line of the cache: vectors that lie in two lines take two accesses. How many
/// bytes come before it, no processor foresees, which costs more than it gains with fewer.
const LONG_BYTES: usize = 8 * 1024;

/// A line of the cache, and the widest vector that there is.
const LINE_BYTES: usize = 64;

/// Masks or unmasks `payload`, whose first byte stands `offset` bytes behind the start of the frame's payload.
///
/// Masking twice gives the same bytes again.
///
/// ```
/// use tautline::frame::mask;
///
/// let mut payload = *b"Hello";
/// mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# Octet i of the transformed data ("transformed-octet-i") is the XOR of
//# octet i of the original data ("original-octet-i") with octet at index
//# i modulo 4 of the masking key ("masking-key-octet-j"):
pub fn mask(payload: &mut [u8], key: [u8; 4], offset: u64) {
    mask_from_start(payload, rotate(key, offset));
}

/// Masks or unmasks bytes of which the first meets the first of the key.
#[inline(always)]
pub(crate) fn mask_from_start(payload: &mut [u8], key: [u8; 4]) {
    if payload.len() < MANY_BYTES { mask_few(payload, key) } else { mask_many(payload, key) }
}

/// The compiler turns this into vector instructions; of 128 bits at a time, it does not.
#[inline(always)]
fn mask_few(payload: &mut [u8], key: [u8; 4]) {
    let narrow = u32::from_ne_bytes(key);
    let wide = u64::from(narrow) << 32 | u64::from(narrow);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    let (half, rest) = rest.as_chunks_mut::<4>();
    for word in half {
        *word = (u32::from_ne_bytes(*word) ^ narrow).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The same, with the widest vectors that this processor has.
#[inline(never)]
fn mask_many(mut payload: &mut [u8], mut key: [u8; 4]) {
    if payload.len() >= LONG_BYTES {
        let before = payload.as_ptr().align_offset(LINE_BYTES).min(payload.len());
        let (start, lines) = payload.split_at_mut(before);
        mask_few(start, key);
        (payload, key) = (lines, rotate(key, before as u64));
    }
    dispatch!(Level::new(), simd => simd.vectorize(
        #[inline(always)]
        || mask_few(payload, key)
    ));
}

/// The key as the payload's byte `offset` meets it.
fn rotate(key: [u8; 4], offset: u64) -> [u8; 4] {
    let by = (offset % 4) as u32 * 8;
    u32::from_be_bytes(key).rotate_left(by).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# Octet i of the transformed data ("transformed-octet-i") is the XOR of
    //# octet i of the original data ("original-octet-i") with octet at index
    //# i modulo 4 of the masking key ("masking-key-octet-j"):
    #[test]
    fn masking_equals_the_byte_wise_reference_at_every_length_alignment_and_offset() {
        for start in 0..17 {
            for length in (0..150).chain(250..280).chain([511, 600]) {
                for offset in (0..9).chain([u64::MAX - 3, u64::MAX]) {
                    assert_equals_the_reference(start, length, offset);
                }
            }
        }
    }

    #[test]
    fn a_long_payload_may_begin_anywhere_in_a_line_of_the_cache() {
        for start in (0..LINE_BYTES).step_by(if cfg!(miri) { 9 } else { 1 }) {
            for (length, offset) in [(LONG_BYTES, 0), (LONG_BYTES + 61, 3)] {
                assert_equals_the_reference(start, length, offset);
            }
        }
    }

    fn assert_equals_the_reference(start: usize, length: usize, offset: u64) {
        let key = [0x12, 0x34, 0x56, 0x78];
        let source: Vec<u8> = (0..start + length + 9).map(|i| (i * 37 % 251) as u8).collect();
        let mut bytes = source.clone();
        mask(&mut bytes[start..start + length], key, offset);
        for (i, (&got, &was)) in bytes.iter().zip(&source).enumerate() {
            let within = (start..start + length).contains(&i);
            let at = (offset % 4) as usize + i.saturating_sub(start);
            let expected = if within { was ^ key[at % 4] } else { was };
            assert_eq!(got, expected, "byte {i} of {start}+{length} at {offset}");
        }
    }

    #[test]
    fn masking_twice_gives_the_payload_back() {
        let source: Vec<u8> = (0..=255).collect();
        let mut bytes = source.clone();
        mask(&mut bytes, [9, 8, 7, 6], 3);
        assert_ne!(bytes, source);
        mask(&mut bytes, [9, 8, 7, 6], 3);
        assert_eq!(bytes, source);
    }
}
