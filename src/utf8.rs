//! UTF-8 validation of text that arrives in pieces (RFC 6455 section 8.1).
//!
//! Each byte is looked at once; what a piece leaves unfinished is at most three bytes. This module knows nothing of
//! frames.

/// The state between two pieces of a text: the bytes of a code point that is not whole yet.
///
/// A piece is refused at its first byte that no valid text could have there, also when that byte only begins a code
/// point that cannot be finished (RFC 3629 section 4).
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8 {
    carry: [u8; 4],
    carried: u8,
}

/// The text is not UTF-8, and no continuation could make it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// What a piece adds to a text: the character that an earlier piece began, then the text that lies whole in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Valid<'a> {
    /// The character whose first bytes came with earlier pieces.
    pub joined: Option<char>,
    /// The text that follows it.
    pub text: &'a str,
}

impl Utf8 {
    /// Takes the next piece, and keeps the start of a code point that it may end in.
    ///
    /// # Errors
    ///
    /// When no further bytes could make the text valid. The state is then of no more use.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
    //# When an endpoint is to interpret a byte stream as UTF-8 but finds
    //# that the byte stream is not, in fact, a valid UTF-8 stream, that
    //# endpoint MUST _Fail the WebSocket Connection_.
    pub fn feed<'a>(&mut self, piece: &'a [u8]) -> Result<Valid<'a>, InvalidUtf8> {
        let (joined, rest) = self.join(piece)?;
        let whole = rest.len() - unfinished(rest);
        let (whole, tail) = rest.split_at_checked(whole).ok_or(InvalidUtf8)?;
        let text = simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?;
        for &byte in tail {
            self.carry(byte)?;
        }
        Ok(Valid { joined, text })
    }

    /// Whether the text may end here: no code point is cut in half.
    pub fn is_complete(&self) -> bool {
        self.carried == 0
    }

    /// How many bytes the code point that is cut in half still needs: 0 to 3.
    pub fn missing(&self) -> usize {
        match self.carry.first() {
            Some(&first) if self.carried > 0 => {
                length(first).saturating_sub(usize::from(self.carried))
            }
            _ => 0,
        }
    }

    /// Finishes the code point that is carried, if the piece has enough bytes for it.
    fn join<'a>(&mut self, mut piece: &'a [u8]) -> Result<(Option<char>, &'a [u8]), InvalidUtf8> {
        while self.carried > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok((None, piece)) };
            piece = rest;
            if let Some(joined) = self.carry(byte)? {
                return Ok((Some(joined), piece));
            }
        }
        Ok((None, piece))
    }

    /// Adds one byte to the carry; the character, once it is whole.
    fn carry(&mut self, byte: u8) -> Result<Option<char>, InvalidUtf8> {
        let carried = usize::from(self.carried);
        *self.carry.get_mut(carried).ok_or(InvalidUtf8)? = byte;
        let bytes = self.carry.get(..=carried).ok_or(InvalidUtf8)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                self.carried = 0;
                Ok(text.chars().next())
            }
            Err(error) if error.error_len().is_none() => {
                self.carried += 1;
                Ok(None)
            }
            Err(_) => Err(InvalidUtf8),
        }
    }
}

/// How many bytes at the end of `bytes` begin a code point that needs more than is there: 0 to 3.
fn unfinished(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        if matches!(byte, 0b1000_0000..=0b1011_1111) {
            continue;
        }
        let there = back + 1;
        return if there < length(byte) { there } else { 0 };
    }
    0
}

/// How many bytes the code point has that `first` begins; 1 also where it begins none.
fn length(first: u8) -> usize {
    match first {
        0b0000_0000..=0b1011_1111 => 1,
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_1111 => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the validator makes of a text that comes in these pieces.
    fn assemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, InvalidUtf8> {
        let mut utf8 = Utf8::default();
        let mut text = String::new();
        for piece in pieces {
            let valid = utf8.feed(piece)?;
            text.extend(valid.joined);
            text.push_str(valid.text);
        }
        if utf8.is_complete() { Ok(text) } else { Err(InvalidUtf8) }
    }

    /// Whether `bytes` can still become valid text, by std.
    fn hopeful(bytes: &[u8]) -> bool {
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
    }

    #[test]
    fn every_sequence_of_up_to_3_bytes_is_judged_as_std_judges_it_whole_and_byte_by_byte() {
        let check = |bytes: &[u8]| {
            let expected = std::str::from_utf8(bytes).ok();
            assert_eq!(assemble([bytes]).ok().as_deref(), expected, "{bytes:02x?}");
            assert_eq!(assemble(bytes.chunks(1)).ok().as_deref(), expected, "{bytes:02x?}");
            assert_eq!(Utf8::default().feed(bytes).is_ok(), hopeful(bytes), "{bytes:02x?}");
        };
        let step = if cfg!(miri) { 51 } else { 1 };
        let bytes = || (0..=255).step_by(step);
        check(&[]);
        for a in bytes() {
            check(&[a]);
            for b in bytes() {
                check(&[a, b]);
                for c in bytes() {
                    check(&[a, b, c]);
                }
            }
        }
    }

    #[test]
    fn every_character_survives_every_cut() {
        let step = if cfg!(miri) { 7_001 } else { 7 };
        for character in (0..=0x10_FFFF).step_by(step).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            for at in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                assert_eq!(assemble([head, tail]).as_deref(), Ok(text.as_str()), "cut at {at}");
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
    //# When an endpoint is to interpret a byte stream as UTF-8 but finds
    //# that the byte stream is not, in fact, a valid UTF-8 stream, that
    //# endpoint MUST _Fail the WebSocket Connection_.
    #[test]
    fn a_bad_byte_is_refused_where_it_stands_also_inside_an_unfinished_code_point() {
        let starts: &[&[u8]] = &[
            b"\xc0",
            b"\xc1",
            b"\xf5",
            b"\xff",
            b"\x80",
            b"\xe0\x80",
            b"\xed\xa0",
            b"\xf0\x80",
            b"\xf4\x90",
            b"\xe2\x28",
            b"\xf0\x9f\x28",
        ];
        for bad in starts {
            let (last, before) = bad.split_last().unwrap();
            let mut utf8 = Utf8::default();
            assert!(utf8.feed(before).is_ok(), "{bad:02x?}: the bytes before are fine");
            assert!(utf8.feed(&[*last]).is_err(), "{bad:02x?}");
            assert!(Utf8::default().feed(bad).is_err(), "{bad:02x?}, whole");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_as_std_judges_them_at_any_cut(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                any::<String>().prop_map(String::into_bytes),
            ],
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(assemble(pieces).ok(), String::from_utf8(bytes.clone()).ok());
        }
    }

    #[test]
    fn a_piece_joins_only_what_was_begun_and_says_how_much_a_character_still_needs() {
        let mut utf8 = Utf8::default();
        for (piece, joined, text, missing) in [
            (&b"abc"[..], None, "abc", 0),
            (b"d\xC3", None, "d", 1),
            (b"\xA9e", Some('é'), "e", 0),
            (b"\xE2", None, "", 2),
            (b"\x82", None, "", 1),
            (b"\xAC", Some('€'), "", 0),
            (b"\xF0", None, "", 3),
            (b"\x9F\x98", None, "", 1),
            (b"\x80z\xF0\x9F", Some('😀'), "z", 2),
        ] {
            assert_eq!(utf8.feed(piece), Ok(Valid { joined, text }), "{piece:x?}");
            assert_eq!((utf8.missing(), utf8.is_complete()), (missing, missing == 0), "{piece:x?}");
        }
    }
}
