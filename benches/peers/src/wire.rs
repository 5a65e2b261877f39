//! Frames: those that are sent, built once, and those that come back, of which only the headers are looked at.

use std::io::Read;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const FIRST_CONTROL: u8 = 8;
const CLOSE: u8 = 8;

/// A whole text message in one masked frame.
pub fn text_frame(payload: &[u8], compressed: bool, mask: [u8; 4]) -> Vec<u8> {
    let rsv1 = if compressed { RSV1 } else { 0 };
    masked(FIN | rsv1 | TEXT, payload, mask)
}

/// A whole binary message in one masked frame.
pub fn binary_frame(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    masked(FIN | BINARY, payload, mask)
}

/// The header of a masked frame of a binary message: one that begins it or continues it, and one that ends it or not.
pub fn binary_header(first: bool, last: bool, payload_bytes: usize, mask: [u8; 4]) -> Vec<u8> {
    let fin = if last { FIN } else { 0 };
    header(fin | if first { BINARY } else { 0 }, payload_bytes, mask)
}

fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = header(first, payload.len(), mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn header(first: u8, payload_bytes: usize, mask: [u8; 4]) -> Vec<u8> {
    let mut header = vec![first];
    match payload_bytes {
        short @ 0..=125 => header.push(MASKED | short as u8),
        length @ 126..=0xFFFF => {
            header.push(MASKED | 126);
            header.extend((length as u16).to_be_bytes());
        }
        length => {
            header.push(MASKED | 127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header.extend(mask);
    header
}

/// The next data frame. Servers are expected not to fragment.
pub fn receive(stream: &mut impl Read) -> crate::Result<(Header, Vec<u8>)> {
    loop {
        let mut head = Vec::new();
        let header = loop {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
            if let Some(header) = Header::parse(&head) {
                break header;
            }
        };
        let mut payload = vec![0; header.payload_bytes];
        stream.read_exact(&mut payload)?;
        if header.is_close() {
            return Err("the server closed".into());
        }
        if header.is_data() {
            return if header.is_final() {
                Ok((header, payload))
            } else {
                Err("the answer is fragmented".into())
            };
        }
    }
}

/// What the headers of an unmasked stream of frames said.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub messages: u64,
    /// Those with RSV1 set.
    pub compressed: u64,
    pub payload_bytes: u64,
}

/// The first bytes of a frame up to its payload.
#[derive(Clone, Copy)]
pub struct Header {
    pub bytes: usize,
    pub payload_bytes: usize,
    first: u8,
}

impl Header {
    /// The header at the start of these bytes, if it is all there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        let (&second, rest) = rest.split_first()?;
        let (extended, payload_bytes) = match second & !MASKED {
            126 => (2, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            short => (0, usize::from(short)),
        };
        Some(Self { bytes: 2 + extended, payload_bytes, first })
    }

    pub fn is_data(&self) -> bool {
        self.first & 0x0F < FIRST_CONTROL
    }

    pub fn is_compressed(&self) -> bool {
        self.first & RSV1 != 0
    }

    pub fn is_final(&self) -> bool {
        self.first & FIN != 0
    }

    pub fn is_close(&self) -> bool {
        self.first & 0x0F == CLOSE
    }
}

/// Goes from header to header through what a server sends, however it is cut.
#[derive(Default)]
pub struct Walker {
    /// A header that was cut.
    cut: Vec<u8>,
    /// The frame whose payload is coming, and how much of it.
    frame: Option<Header>,
    payload_left: usize,
}

impl Walker {
    /// Counts the frames that end in these bytes. Fails where the server closes.
    pub fn walk(&mut self, mut bytes: &[u8], counts: &mut Counts) -> crate::Result<()> {
        loop {
            let skipped = self.payload_left.min(bytes.len());
            bytes = &bytes[skipped..];
            self.payload_left -= skipped;
            if self.payload_left == 0
                && let Some(frame) = self.frame.take()
            {
                counts.add(&frame)?;
            }
            let Some(header) = self.header(&mut bytes) else { return Ok(()) };
            self.payload_left = header.payload_bytes;
            self.frame = Some(header);
        }
    }

    /// Takes the next header from these bytes, or keeps what there is of it.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<Header> {
        if self.cut.is_empty() {
            let header = Header::parse(bytes);
            match &header {
                Some(header) => *bytes = &bytes[header.bytes..],
                None => self.cut.extend_from_slice(bytes),
            }
            return header;
        }
        while let Some((&first, rest)) = bytes.split_first() {
            self.cut.push(first);
            *bytes = rest;
            let header = Header::parse(&self.cut);
            if header.is_some() {
                self.cut.clear();
                return header;
            }
        }
        None
    }
}

impl Counts {
    fn add(&mut self, frame: &Header) -> crate::Result<()> {
        if frame.is_close() {
            return Err("the server closed".into());
        }
        if frame.is_data() {
            self.payload_bytes += frame.payload_bytes as u64;
            self.compressed += u64::from(frame.is_compressed());
            self.messages += u64::from(frame.is_final());
        }
        Ok(())
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            messages: self.messages - earlier.messages,
            compressed: self.compressed - earlier.compressed,
            payload_bytes: self.payload_bytes - earlier.payload_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of several lengths, a ping among them, as a server sends them.
    fn stream() -> Vec<u8> {
        let mut bytes = vec![FIN | RSV1 | TEXT, 3, 1, 2, 3, FIN | 9, 1, 0, FIN | TEXT, 0];
        bytes.extend([FIN | RSV1 | TEXT, 126, 1, 0]);
        bytes.extend([7; 256]);
        bytes.extend([FIN | TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        bytes.extend([7; 65536]);
        bytes
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let bytes = stream();
        for piece in [1, 2, 3, 5, 1000, bytes.len()] {
            let (mut walker, mut counts) = (Walker::default(), Counts::default());
            for part in bytes.chunks(piece) {
                walker.walk(part, &mut counts).unwrap();
            }
            let found = (counts.messages, counts.compressed, counts.payload_bytes);
            assert_eq!(found, (4, 2, 3 + 256 + 65536), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_message_counts_when_its_last_byte_is_there() {
        let (mut walker, mut counts) = (Walker::default(), Counts::default());
        walker.walk(&[FIN | TEXT, 2, 0], &mut counts).unwrap();
        assert_eq!(counts.messages, 0);
        walker.walk(&[0], &mut counts).unwrap();
        assert_eq!(counts.messages, 1);
    }

    #[test]
    fn a_close_is_an_error() {
        assert!(Walker::default().walk(&[FIN | CLOSE, 0], &mut Counts::default()).is_err());
    }
}
