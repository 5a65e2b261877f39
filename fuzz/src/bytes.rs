//! Frame header, masking and UTF-8: against a reference, and back.

use tautline::frame::{FrameHeader, Opcode, Role, Rsv1};
use tautline::utf8::Utf8;

/// What parses is written back as the same bytes; what is written parses back. A prefix asks for more until the byte
/// that decides.
pub fn frame_header(data: &[u8]) {
    for (sender, rsv1) in [
        (Role::Client, Rsv1::Reserved),
        (Role::Client, Rsv1::Compressed),
        (Role::Server, Rsv1::Reserved),
        (Role::Server, Rsv1::Compressed),
    ] {
        let parse = |bytes| FrameHeader::parse(bytes, sender, rsv1);
        let decided = parse(data);
        let needed = (0..=data.len()).find(|&cut| parse(&data[..cut]) != Ok(None));
        match (decided, needed) {
            (Ok(None), needed) => assert_eq!(needed, None),
            (Ok(Some((header, bytes))), needed) => {
                assert_eq!(needed, Some(bytes), "the header is whole with its last byte");
                assert!(bytes <= FrameHeader::BYTES_MAX);
                let mut out = Vec::new();
                header.write(&mut out);
                assert_eq!(out, data[..bytes]);
                assert!(!header.opcode.is_control() || header.fin && header.payload_bytes <= 125);
                assert_eq!(header.mask.is_some(), sender == Role::Client);
                let begins = matches!(header.opcode, Opcode::Text | Opcode::Binary);
                assert!(!header.rsv1 || (begins && rsv1 == Rsv1::Compressed));
            }
            (Err(violation), needed) => {
                let needed = needed.expect("the whole is refused");
                assert_eq!(parse(&data[..needed]), Err(violation));
                assert_eq!(violation.close_code().get(), 1002);
            }
        }
    }
    if let Some((header, sender)) = made_up(data) {
        let mut out = b"before".to_vec();
        header.write(&mut out);
        let bytes = &out[6..];
        let parsed = FrameHeader::parse(bytes, sender, Rsv1::Compressed);
        assert_eq!(parsed, Ok(Some((header, bytes.len()))));
    }
}

/// A legal header made of the first bytes, and who may send it.
fn made_up(data: &[u8]) -> Option<(FrameHeader, Role)> {
    let (&[choice, shift], rest) = data.split_first_chunk()?;
    let (&length, rest) = rest.split_first_chunk()?;
    let &key = rest.first_chunk()?;
    let opcodes = [
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ];
    let opcode = opcodes[usize::from(choice & 0x0F) % opcodes.len()];
    let length = u64::from_be_bytes(length) >> (1 + shift % 63);
    let payload_bytes = if opcode.is_control() { length % 126 } else { length };
    let fin = opcode.is_control() || choice & 0x80 != 0;
    let (mask, sender) = match choice & 0x40 {
        0 => (None, Role::Server),
        _ => (Some(key), Role::Client),
    };
    let rsv1 = choice & 0x20 != 0 && matches!(opcode, Opcode::Text | Opcode::Binary);
    Some((FrameHeader { fin, rsv1, opcode, mask, payload_bytes }, sender))
}

/// A key, an offset, a place to split, and a payload: masked at once and in two pieces as byte by byte.
pub fn mask(data: &[u8]) {
    let Some((&key, rest)) = data.split_first_chunk::<4>() else { return };
    let Some((&offset, rest)) = rest.split_first_chunk::<8>() else { return };
    let Some((&split, payload)) = rest.split_first_chunk::<2>() else { return };
    let offset = u64::from_be_bytes(offset);
    let split = usize::from(u16::from_be_bytes(split)) % (payload.len() + 1);

    let phase = offset % 4;
    let expected: Vec<u8> =
        (phase..).zip(payload).map(|(i, byte)| byte ^ key[(i % 4) as usize]).collect();
    let mut at_once = payload.to_vec();
    tautline::frame::mask(&mut at_once, key, offset);
    assert_eq!(at_once, expected);
    let mut in_two = payload.to_vec();
    let (first, second) = in_two.split_at_mut(split);
    tautline::frame::mask(first, key, offset);
    tautline::frame::mask(second, key, offset.wrapping_add(split as u64));
    assert_eq!(in_two, expected);
}

/// Bytes beyond these are left out: every split of all of them is tried.
const UTF8_BYTES_MAX: usize = 128;

/// The same text as std's, or refused where std refuses, at every split and byte by byte.
pub fn utf8(data: &[u8]) {
    let data = &data[..data.len().min(UTF8_BYTES_MAX)];
    let expected = std::str::from_utf8(data).ok();
    for split in 0..=data.len() {
        let (first, second) = data.split_at(split);
        assert_eq!(assemble([first, second]).as_deref(), expected, "split at {split}");
        // A piece of one byte between two others.
        let (middle, last) = second.split_at(second.len().min(1));
        assert_eq!(assemble([first, middle, last]).as_deref(), expected, "split at {split}");
    }
    assert_eq!(assemble(data.chunks(1)).as_deref(), expected);
    assert_refused_at_its_byte(data);
}

/// What the validator makes of a text that comes in these pieces.
fn assemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    let (mut utf8, mut text) = (Utf8::default(), String::new());
    for piece in pieces {
        let valid = utf8.feed(piece).ok()?;
        text.extend(valid.joined);
        text.push_str(valid.text);
    }
    utf8.is_complete().then_some(text)
}

/// Byte by byte, the first that no valid text could have there is the one that is refused, and what is missing is
/// known.
fn assert_refused_at_its_byte(data: &[u8]) {
    let mut utf8 = Utf8::default();
    for (i, byte) in data.chunks(1).enumerate() {
        let hopeful = match std::str::from_utf8(&data[..=i]) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        };
        assert_eq!(utf8.feed(byte).is_ok(), hopeful, "byte {i}");
        if !hopeful {
            return;
        }
        assert_eq!(utf8.missing() == 0, utf8.is_complete());
        assert!(utf8.missing() <= 3);
    }
}
