//! DEFLATE blocks made by hand (RFC 1951 section 3.2), so that a reference goes back exactly as far as a test wants.

use super::support::inflate::{Inflated, inflate_message};

/// What a block is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    Text(&'a [u8]),
    /// So many bytes (3 to 10, or 258), from so far back.
    Copy {
        length: usize,
        distance: usize,
    },
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn number(&mut self, number: usize, bits: usize) {
        for i in 0..bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (number >> i & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (self.used % 8);
            self.used += 1;
        }
    }

    /// Huffman codes stand with their first bit first.
    fn code(&mut self, code: usize, bits: usize) {
        (0..bits).rev().for_each(|i| self.number(code >> i & 1, 1));
    }

    fn symbol(&mut self, symbol: usize) {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xC0 + symbol - 280, 8),
        }
    }

    fn copy(&mut self, length: usize, distance: usize) {
        match length {
            3..=10 => self.symbol(254 + length),
            258 => self.symbol(285),
            _ => panic!("{length} is not needed"),
        }
        // Two codes for each number of further bits, which count from where the last one ended.
        let (mut code, mut base) = (0, 1);
        loop {
            let further = (code / 2usize).saturating_sub(1);
            if distance < base + (1 << further) {
                self.code(code, 5);
                return self.number(distance - base, further);
            }
            base += 1 << further;
            code += 1;
        }
    }
}

/// One block with fixed codes, final or not, up to a byte boundary: where it is not final, an empty block without
/// compression is begun behind it, as at the end of a message.
pub(crate) fn fixed(pieces: &[Piece<'_>], last: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.number(usize::from(last), 1);
    bits.number(1, 2);
    for piece in pieces {
        match *piece {
            Piece::Text(text) => text.iter().for_each(|byte| bits.symbol((*byte).into())),
            Piece::Copy { length, distance } => bits.copy(length, distance),
        }
    }
    bits.symbol(256);
    if !last {
        bits.number(0, 3);
    }
    bits.bytes
}

/// A message that copies so many bytes from so far back.
pub(crate) fn copy(length: usize, distance: usize) -> Vec<u8> {
    fixed(&[Piece::Copy { length, distance }], false)
}

/// A message of text without compression, which is part of what later ones refer to.
pub(crate) fn stored(text: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for block in text.chunks(0xFFFF) {
        let length = block.len() as u16;
        payload.push(0x00);
        payload.extend(length.to_le_bytes());
        payload.extend((!length).to_le_bytes());
        payload.extend(block);
    }
    payload.push(0x00);
    payload
}

/// Bytes that do not compress, and of which no three stand in two places near each other.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

#[test]
fn blocks_are_what_they_are_made_to_be() {
    let before = noise(40_000);
    for distance in
        [1, 2, 4, 5, 6, 8, 9, 250, 257, 512, 513, 1024, 4097, 24_576, 24_577, 32_767, 32_768]
    {
        for length in [3, 4, 10, 258] {
            let pieces =
                [Piece::Text(b"a\x90\xffz"), Piece::Copy { length, distance }, Piece::Text(b"b")];
            let Inflated { text, distance_max, .. } =
                inflate_message(&fixed(&pieces, false), &before).unwrap();
            assert_eq!(distance_max, distance);
            assert_eq!(text.len(), 5 + length);
            assert!(text.starts_with(b"a\x90\xffz") && text.ends_with(b"b"));
        }
    }
    assert_eq!(fixed(&[Piece::Text(b"Hello")], false), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(fixed(&[Piece::Text(b"Hello")], true), b"\xf3\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(stored(b"Hello"), b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");
    assert_eq!(inflate_message(&stored(&before.repeat(3)), &[]).unwrap().text, before.repeat(3));
}
