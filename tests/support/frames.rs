//! Frames as bytes, legal and illegal, written independently of the crate.

use tautline::frame::{FrameHeader, Role, Rsv1, mask};

/// The key of every frame that [`frame`] masks: that of RFC 6455 section 5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The bit of the second byte that says that a frame is masked, as frames of `sender` have it.
pub fn mask_bit(sender: Role) -> u8 {
    match sender {
        Role::Client => 0x80,
        Role::Server => 0,
    }
}

/// A header in its shortest form. `first` is the first byte whole: FIN, RSV and opcode.
pub fn header(sender: Role, first: u8, payload_bytes: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload_bytes {
        0..=125 => bytes.push(payload_bytes as u8),
        126..=0xFFFF => {
            bytes.push(126);
            bytes.extend((payload_bytes as u16).to_be_bytes());
        }
        0x1_0000.. => {
            bytes.push(127);
            bytes.extend(payload_bytes.to_be_bytes());
        }
    }
    bytes[1] |= mask_bit(sender);
    if sender == Role::Client {
        bytes.extend(KEY);
    }
    bytes
}

/// A frame of which only the start of the payload is there.
pub fn begun(sender: Role, first: u8, announced: u64, start: &[u8]) -> Vec<u8> {
    let mut bytes = header(sender, first, announced);
    match sender {
        Role::Client => {
            bytes.extend(start.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key))
        }
        Role::Server => bytes.extend(start),
    }
    bytes
}

/// A whole frame.
pub fn frame(sender: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    begun(sender, first, payload.len() as u64, payload)
}

/// The body of a close frame.
pub fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A frame taken apart: its first byte, its masking key, and its payload.
pub type Parsed = (u8, Option<[u8; 4]>, Vec<u8>);

/// The frames that `bytes` are made of, which `sender` wrote.
///
/// Panics where a frame is illegal or cut in half: what the crate writes never is.
pub fn parse_all(bytes: &[u8], sender: Role) -> Vec<Parsed> {
    parse_all_where(Rsv1::Reserved, bytes, sender)
}

/// The same where RSV1 means this.
pub fn parse_all_where(rsv1: Rsv1, mut bytes: &[u8], sender: Role) -> Vec<Parsed> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, header_bytes) = FrameHeader::parse(bytes, sender, rsv1).unwrap().unwrap();
        let end = header_bytes + header.payload_bytes as usize;
        let mut payload = bytes[header_bytes..end].to_vec();
        if let Some(key) = header.mask {
            mask(&mut payload, key, 0);
        }
        frames.push((bytes[0], header.mask, payload));
        bytes = &bytes[end..];
    }
    frames
}

/// The same without the keys.
pub fn unmasked(bytes: &[u8], sender: Role) -> Vec<(u8, Vec<u8>)> {
    parse_all(bytes, sender).into_iter().map(|(first, _, payload)| (first, payload)).collect()
}

/// The same where messages may be compressed.
pub fn unmasked_compressed(bytes: &[u8], sender: Role) -> Vec<(u8, Vec<u8>)> {
    let frames = parse_all_where(Rsv1::Compressed, bytes, sender);
    frames.into_iter().map(|(first, _, payload)| (first, payload)).collect()
}
