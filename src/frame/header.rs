//! The frame header (RFC 6455 section 5.2).

use crate::error::Violation;

/// Which end of a connection an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that connected; it masks what it sends.
    Client,
    /// The end that accepted; it does not.
    Server,
}

impl Role {
    /// The role at the other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What the first reserved bit means on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rsv1 {
    /// Nothing: no frame may have it.
    #[default]
    Reserved,
    /// The first frame of a compressed message has it: permessage-deflate was agreed on (RFC 7692 section 6).
    Compressed,
}

/// What a frame is (RFC 6455 section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message that is open.
    Continuation = 0x0,
    /// The only or the first frame of a text message.
    Text = 0x1,
    /// The only or the first frame of a binary message.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A question whether the peer lives.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life that nobody asked for.
    Pong = 0xA,
}

impl Opcode {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# If an unknown
    //# opcode is received, the receiving endpoint MUST _Fail the
    //# WebSocket Connection_.
    #[inline]
    const fn parse(bits: u8) -> Result<Self, Violation> {
        match bits {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            reserved => Err(Violation::ReservedOpcode(reserved)),
        }
    }

    /// Whether the frame is about the connection and not part of a message.
    pub const fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
        }
    }
}

/// The header of a frame. One that was parsed is legal for the role that sent it.
///
/// ```
/// use tautline::frame::{FrameHeader, Opcode, Role, Rsv1};
///
/// let frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]; // a masked "Hello"
/// let (header, bytes) = FrameHeader::parse(&frame, Role::Client, Rsv1::Reserved)?.expect("enough bytes");
/// assert_eq!(bytes, 6);
/// assert_eq!(header.opcode, Opcode::Text);
/// assert_eq!(header.payload_bytes, 5);
/// # Ok::<(), tautline::Violation>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the frame is the last, or the only one, of its message.
    pub fin: bool,
    /// Whether the frame begins a compressed message (RFC 7692 section 6).
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, in the frames of a client.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload that follows.
    pub payload_bytes: u64,
}

/// The longest payload of a control frame.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0b1000_0000;
const RSV1: u8 = 0b0100_0000;
const RSV2_AND_RSV3: u8 = 0b0011_0000;
const OPCODE: u8 = 0b0000_1111;
const MASK: u8 = 0b1000_0000;
const LENGTH: u8 = 0b0111_1111;
/// The first byte of a text message in one frame.
const TEXT_MESSAGE: u8 = FIN | Opcode::Text as u8;
/// The first byte of a binary message in one frame.
const BINARY_MESSAGE: u8 = FIN | Opcode::Binary as u8;
/// In the place of a length: it follows as 16 bits.
const LENGTH_16: u8 = 126;
/// The same, in a frame that is masked.
const MASKED_16: u8 = MASK | LENGTH_16;
/// In the place of a length: it follows as 64 bits.
const LENGTH_64: u8 = 127;

impl FrameHeader {
    /// The longest header: two bytes, a 64-bit length, a masking key.
    pub const BYTES_MAX: usize = 14;

    /// Reads a header at the start of `bytes`, sent by `sender`: the header and its length, or `None` where bytes are
    /// missing. What RSV1 means is what was agreed on.
    ///
    /// # Errors
    ///
    /// The first violation in the order of the bytes, as soon as the byte that shows it is there. All are answered
    /// with close code 1002.
    pub fn parse(
        bytes: &[u8],
        sender: Role,
        rsv1: Rsv1,
    ) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let (fin, rsv1, opcode) = parse_first(first, rsv1)?;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let length = parse_second(second, opcode, sender)?;

        let (payload_bytes, rest, extended) = match length {
            LENGTH_16 => {
                let Some((&extended, rest)) = rest.split_first_chunk::<2>() else {
                    return Ok(None);
                };
                (parse_length_16(extended)?, rest, 2)
            }
            LENGTH_64 => {
                let Some((&extended, rest)) = rest.split_first_chunk::<8>() else {
                    return check_length_64(rest).map(|()| None);
                };
                (parse_length_64(extended)?, rest, 8)
            }
            short => (u64::from(short), rest, 0),
        };
        let (mask, key) = match sender {
            Role::Server => (None, 0),
            Role::Client => match rest.first_chunk::<4>() {
                Some(&key) => (Some(key), 4),
                None => return Ok(None),
            },
        };
        Ok(Some((Self { fin, rsv1, opcode, mask, payload_bytes }, 2 + extended + key)))
    }

    /// The same for a header that nearly all messages have: that of a message in one frame, not compressed, of at most
    /// 65,535 bytes. `None` is for [`parse`](Self::parse) to judge.
    #[inline]
    pub(crate) fn parse_message(bytes: &[u8], sender: Role) -> Option<(Self, usize)> {
        let [first, second, ..] = *bytes else { return None };
        let opcode = match first {
            TEXT_MESSAGE => Opcode::Text,
            BINARY_MESSAGE => Opcode::Binary,
            _ => return None,
        };
        let (payload_bytes, mask, header_bytes) = match (sender, second) {
            // Masked, and 0 to 125.
            (Role::Client, MASK..MASKED_16) => {
                let &[_, _, ref key @ ..] = bytes.first_chunk::<6>()?;
                (u64::from(second & LENGTH), Some(*key), 6)
            }
            (Role::Client, MASKED_16) => {
                let &[_, _, a, b, ref key @ ..] = bytes.first_chunk::<8>()?;
                (parse_length_16([a, b]).ok()?, Some(*key), 8)
            }
            (Role::Server, ..LENGTH_16) => (u64::from(second), None, 2),
            (Role::Server, LENGTH_16) => {
                let &[_, _, a, b] = bytes.first_chunk()?;
                (parse_length_16([a, b]).ok()?, None, 4)
            }
            (Role::Client | Role::Server, _) => return None,
        };
        Some((Self { fin: true, rsv1: false, opcode, mask, payload_bytes }, header_bytes))
    }

    /// Appends the header to `out`, in its shortest form.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# Note that in all cases, the minimal number of bytes MUST be used to encode
    //# the length
    #[inline(always)]
    pub fn write(&self, out: &mut Vec<u8>) {
        let fin = if self.fin { FIN } else { 0 };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
        //# A masked frame MUST have the field frame-masked set to 1, as defined
        //# in Section 5.2.
        let masked = if self.mask.is_some() { MASK } else { 0 };
        let rsv1 = if self.rsv1 { RSV1 } else { 0 };
        let first = fin | rsv1 | self.opcode as u8;
        match self.payload_bytes {
            short @ 0..=125 => out.extend_from_slice(&[first, masked | short as u8]),
            length @ 126..=0xFFFF => {
                let [a, b] = (length as u16).to_be_bytes();
                out.extend_from_slice(&[first, masked | LENGTH_16, a, b]);
            }
            length => {
                let [a, b, c, d, e, f, g, h] = length.to_be_bytes();
                out.extend_from_slice(&[first, masked | LENGTH_64, a, b, c, d, e, f, g, h]);
            }
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# MUST be 0 unless an extension is negotiated that defines meanings
//# for non-zero values.
#[inline]
fn parse_first(byte: u8, rsv1: Rsv1) -> Result<(bool, bool, Opcode), Violation> {
    let compressed = byte & RSV1 != 0;
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# If a nonzero value is received and none of
    //# the negotiated extensions defines the meaning of such a nonzero
    //# value, the receiving endpoint MUST _Fail the WebSocket
    //# Connection_.
    if byte & RSV2_AND_RSV3 != 0 || (compressed && rsv1 == Rsv1::Reserved) {
        return Err(Violation::ReservedBits);
    }
    let opcode = Opcode::parse(byte & OPCODE)?;
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
    //# An endpoint MUST NOT set the "Per-Message Compressed" bit of control
    //# frames and non-first fragments of a data message.  An endpoint
    //# receiving such a frame MUST _Fail the WebSocket Connection_.
    if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(Violation::ReservedBits);
    }
    let fin = byte & FIN != 0;
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
    //# All control frames MUST have a payload length of 125 bytes or less
    //# and MUST NOT be fragmented.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# Control frames themselves MUST NOT be
    //# fragmented.
    if opcode.is_control() && !fin {
        return Err(Violation::FragmentedControl);
    }
    Ok((fin, compressed, opcode))
}

/// The second byte's length, which may stand for a longer form.
#[inline]
fn parse_second(byte: u8, opcode: Opcode, sender: Role) -> Result<u8, Violation> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# The
    //# server MUST close the connection upon receiving a frame that is not
    //# masked.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# A client MUST close a connection if it detects a masked
    //# frame.
    match (sender, byte & MASK != 0) {
        (Role::Client, true) | (Role::Server, false) => {}
        (Role::Client, false) => return Err(Violation::Unmasked),
        (Role::Server, true) => return Err(Violation::Masked),
    }
    let length = byte & LENGTH;
    if opcode.is_control() && usize::from(length) > CONTROL_BYTES_MAX {
        return Err(Violation::LongControl);
    }
    Ok(length)
}

#[inline]
fn parse_length_16(bytes: [u8; 2]) -> Result<u64, Violation> {
    match u16::from_be_bytes(bytes) {
        0..=125 => Err(Violation::LengthNotMinimal),
        length => Ok(u64::from(length)),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If 127, the
//# following 8 bytes interpreted as a 64-bit unsigned integer (the
//# most significant bit MUST be 0) are the payload length.
fn parse_length_64(bytes: [u8; 8]) -> Result<u64, Violation> {
    match u64::from_be_bytes(bytes) {
        0..=0xFFFF => Err(Violation::LengthNotMinimal),
        length @ 0x1_0000..=0x7FFF_FFFF_FFFF_FFFF => Ok(length),
        0x8000_0000_0000_0000.. => Err(Violation::LengthOutOfRange),
    }
}

/// The first bytes of a 64-bit length: whether it can still become a legal one.
#[cold]
fn check_length_64(start: &[u8]) -> Result<(), Violation> {
    match start {
        [0x80..=0xFF, ..] => Err(Violation::LengthOutOfRange),
        [0, 0, 0, 0, 0, 0, ..] => Err(Violation::LengthNotMinimal),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rules of section 5.2 for the first two bytes, written once more as a table of conditions.
    fn expected(first: u8, second: u8, sender: Role, rsv1: Rsv1) -> Result<(), Violation> {
        let control = first & 0x08 != 0;
        if first & 0x30 != 0 || (first & 0x40 != 0 && rsv1 == Rsv1::Reserved) {
            return Err(Violation::ReservedBits);
        }
        if matches!(first & 0x0F, 3..=7 | 11..=15) {
            return Err(Violation::ReservedOpcode(first & 0x0F));
        }
        if first & 0x40 != 0 && !matches!(first & 0x0F, 1 | 2) {
            return Err(Violation::ReservedBits);
        }
        if control && first < 0x80 {
            return Err(Violation::FragmentedControl);
        }
        match (sender, second >= 0x80) {
            (Role::Client, false) => return Err(Violation::Unmasked),
            (Role::Server, true) => return Err(Violation::Masked),
            _ => {}
        }
        if control && second & 0x7F > 125 { Err(Violation::LongControl) } else { Ok(()) }
    }

    #[test]
    fn all_65_536_two_byte_headers_are_judged_as_section_5_2_says() {
        let [client, server] = [Role::Client, Role::Server];
        let [reserved, compressed] = [Rsv1::Reserved, Rsv1::Compressed];
        for (sender, rsv1) in
            [(client, reserved), (client, compressed), (server, reserved), (server, compressed)]
        {
            for (first, second) in
                (0..=255).flat_map(|it| (0..=255).map(move |second| (it, second)))
            {
                let parsed = FrameHeader::parse(&[first, second], sender, rsv1);
                let verdict = parsed.map(|_| ());
                let wanted = expected(first, second, sender, rsv1);
                assert_eq!(verdict, wanted, "{first:#x} {second:#x} {rsv1:?}");
                if let Ok(Some((header, bytes))) = parsed {
                    let mut out = Vec::new();
                    header.write(&mut out);
                    assert_eq!((out.as_slice(), bytes), (&[first, second][..], 2));
                }
            }
        }
    }

    #[test]
    fn the_quick_way_takes_just_the_whole_messages_below_64_kib_and_judges_them_alike() {
        for (first, second) in (0..=255).flat_map(|it| (0..=255).map(move |second| (it, second))) {
            for (sender, extended) in [
                (Role::Client, [0, 125]),
                (Role::Client, [0, 126]),
                (Role::Server, [255, 255]),
                (Role::Server, [0, 7]),
            ] {
                let frame = [&[first, second], &extended[..], &[3; 10]].concat();
                for cut in 0..frame.len() {
                    let bytes = &frame[..cut];
                    let all = FrameHeader::parse(bytes, sender, Rsv1::Compressed);
                    let wanted = all.ok().flatten().filter(|(header, _)| {
                        let data = matches!(header.opcode, Opcode::Text | Opcode::Binary);
                        header.fin && !header.rsv1 && data && header.payload_bytes <= 0xFFFF
                    });
                    assert_eq!(FrameHeader::parse_message(bytes, sender), wanted, "{bytes:02x?}");
                }
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# Note that
    //# in all cases, the minimal number of bytes MUST be used to encode
    //# the length
    #[test]
    fn every_length_has_one_form_and_the_longer_ones_are_refused() {
        let frame = |form: u8, length: u64| {
            let mut bytes = vec![0x82, form];
            let wide = length.to_be_bytes();
            bytes.extend_from_slice(if form == 126 { &wide[6..] } else { &wide });
            FrameHeader::parse(&bytes, Role::Server, Rsv1::Reserved)
                .map(|it| it.unwrap().0.payload_bytes)
        };
        for length in 0..=0xFFFF {
            let in_16 = if length < 126 { Err(Violation::LengthNotMinimal) } else { Ok(length) };
            assert_eq!(frame(126, length), in_16);
            assert_eq!(frame(127, length), Err(Violation::LengthNotMinimal));
        }
        for length in [0x1_0000, 0xFFFF_FFFF, 1 << 32, i64::MAX as u64] {
            assert_eq!(frame(127, length), Ok(length));
        }
        for length in [1 << 63, u64::MAX - 3, u64::MAX] {
            assert_eq!(frame(127, length), Err(Violation::LengthOutOfRange), "{length:#x}");
        }
    }

    fn any_header() -> impl Strategy<Value = FrameHeader> {
        let length = prop_oneof![0..=130u64, 0xFFF0..=0x1_0010u64, 0..=i64::MAX as u64];
        (0..6usize, any::<(bool, bool)>(), any::<Option<[u8; 4]>>(), length).prop_map(
            |(opcode, (fin, rsv1), mask, length)| {
                let opcode = [
                    Opcode::Continuation,
                    Opcode::Text,
                    Opcode::Binary,
                    Opcode::Close,
                    Opcode::Ping,
                    Opcode::Pong,
                ][opcode];
                let control = opcode.is_control();
                let payload_bytes = if control { length % 126 } else { length };
                let rsv1 = rsv1 && matches!(opcode, Opcode::Text | Opcode::Binary);
                FrameHeader { fin: fin || control, rsv1, opcode, mask, payload_bytes }
            },
        )
    }

    proptest! {
        #[test]
        fn a_written_header_is_read_back_and_each_prefix_of_it_asks_for_more(header in any_header()) {
            let mut bytes = Vec::new();
            header.write(&mut bytes);
            let sender = if header.mask.is_some() { Role::Client } else { Role::Server };
            prop_assert!(bytes.len() <= FrameHeader::BYTES_MAX);
            prop_assert_eq!(FrameHeader::parse(&bytes, sender, Rsv1::Compressed), Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                prop_assert_eq!(FrameHeader::parse(&bytes[..cut], sender, Rsv1::Compressed), Ok(None));
            }
        }
    }
}
