//! Where a line or a name ends.

/// The place of the first of the wanted bytes: eight bytes are looked at together.
pub(crate) fn find<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (word, at) in words.iter().zip((0..).step_by(8)) {
        let word = u64::from_le_bytes(*word);
        let found = wanted.iter().fold(0, |found, byte| found | zeros(word ^ repeated(*byte)));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
    }
    let in_rest = rest.iter().position(|byte| wanted.contains(byte))?;
    Some(bytes.len() - rest.len() + in_rest)
}

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each byte that is zero, up to the first one. What is behind it may be wrong.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(repeated(0x01)) & !word & repeated(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_byte_is_found_at_each_place_and_no_other_is_taken_for_it() {
        for other in 0..=255 {
            let mut bytes = [other; 40];
            for length in 0..=bytes.len() {
                let expected = (other == b'\n' && length > 0).then_some(0);
                assert_eq!(find(&bytes[..length], [b'\n']), expected, "{other:#x}");
            }
            for at in 0..bytes.len() {
                bytes[at] = b'\n';
                let expected = if other == b'\n' { 0 } else { at };
                assert_eq!(find(&bytes, [b'\n']), Some(expected), "{other:#x} before {at}");
                bytes[at] = other;
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_look_at_each_byte_finds(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 8..16_u8], 0..64),
        ) {
            let first = |wanted: &[u8]| bytes.iter().position(|byte| wanted.contains(byte));
            prop_assert_eq!(find(&bytes, [b'\r', b'\n']), first(b"\r\n"));
            prop_assert_eq!(find(&bytes, [b':']), first(b":"));
        }
    }
}
