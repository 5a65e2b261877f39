//! permessage-deflate from outside: what two ends agree on, and a peer that compresses and inflates with flate2 alone.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use tautline::deflate::WindowBits;
use tautline::frame::Role;
use tautline::handshake::{
    Accept, Agreed, AnswerError, ClientRequest, Opening, Origins, Policy, Refusal, ServerHandshake,
};
use tautline::{Deflate, Limits, OwnedMessage};

use super::drive::Seen;
use super::frames::unmasked_compressed;
use super::inflate::inflate_message;

const NONCE: [u8; 16] = *b"the sample nonce";
const FIELD: &str = "Sec-WebSocket-Extensions: ";

/// What stands at the end of each compressed message, and is not sent.
pub const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Context takeover and window bits of one direction.
pub type Way = (bool, u8);

/// A configuration with these wishes for what is sent, and for what is received.
pub fn deflate(sending: Way, receiving: Way) -> Deflate {
    let mut deflate = Deflate::default();
    for (direction, (takeover, bits)) in
        [(&mut deflate.sending, sending), (&mut deflate.receiving, receiving)]
    {
        direction.context_takeover = takeover;
        direction.max_window_bits = WindowBits::new(bits).unwrap();
    }
    deflate
}

/// The same wishes in both directions.
pub fn both_ways(way: Way) -> Deflate {
    deflate(way, way)
}

/// What a server says to a request with these lines of extensions: the lines of extensions in its answer, and what it
/// takes for agreed.
pub fn answer(
    lines: &[impl AsRef<[u8]>],
    accept: &Accept,
) -> Result<(Vec<String>, Agreed), Refusal> {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    answer_to(&head(start, lines), accept)
}

/// A head that starts so, with these lines of extensions.
fn head(start: &str, lines: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut head = start.as_bytes().to_vec();
    for line in lines {
        head.extend([FIELD.as_bytes(), line.as_ref(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

fn answer_to(head: &[u8], accept: &Accept) -> Result<(Vec<String>, Agreed), Refusal> {
    let (limits, origins) = (Limits::default(), Origins::Any);
    let policy = Policy { limits: &limits, origins: &origins, secure: false };
    let mut handshake = ServerHandshake::new();
    match handshake.receive(head, &policy)? {
        Some((_, Opening::Upgrade(request))) => {
            let mut out = Vec::new();
            let agreed = request.accept(accept, &mut out).unwrap();
            Ok((extensions_of(&out), agreed))
        }
        other => panic!("not an upgrade: {other:?}"),
    }
}

/// The values of the lines of extensions in a head.
fn extensions_of(head: &[u8]) -> Vec<String> {
    let head = str::from_utf8(head).unwrap();
    head.lines().filter_map(|line| line.strip_prefix(FIELD)).map(Into::into).collect()
}

/// What a client that has made these offers says to an answer with these lines of extensions.
pub fn judge(offers: &[Deflate], lines: &[impl AsRef<[u8]>]) -> Result<Agreed, AnswerError> {
    let start = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let mut handshake = request(offers).write(NONCE, &mut Vec::new());
    let received = handshake.receive(&head(start, lines), &Limits::default())?;
    Ok(received.expect("the head is whole").1)
}

fn request(offers: &[Deflate]) -> ClientRequest {
    let request = ClientRequest::new("ws://a/".parse().unwrap());
    offers.iter().fold(request, |request, offer| request.deflate(*offer))
}

/// What a client with these offers sends as lines of extensions.
pub fn offer(offers: &[Deflate]) -> Vec<String> {
    let mut head = Vec::new();
    request(offers).write(NONCE, &mut head);
    extensions_of(&head)
}

/// A client and a server after their handshake: what each takes for agreed.
pub fn negotiate(offers: &[Deflate], accept: &Accept) -> [Agreed; 2] {
    let mut head = Vec::new();
    request(offers).write(NONCE, &mut head);
    let (lines, server) = answer_to(&head, accept).unwrap();
    [judge(offers, &lines).unwrap(), server]
}

/// A client and a server that agree on these parameters, which are those of [`Way`] for what the client sends, and for
/// what the server sends.
pub fn agreed([client, server]: [Way; 2]) -> [Agreed; 2] {
    let accept = Accept::new().deflate(deflate(server, client));
    negotiate(&[deflate(client, server)], &accept)
}

/// What an end of this role has agreed on for both directions.
pub fn agreed_as(role: Role, way: Way) -> Agreed {
    let [client, server] = agreed([way; 2]);
    match role {
        Role::Client => client,
        Role::Server => server,
    }
}

/// How an end of this role compresses by what was agreed on.
pub fn way_of(agreed: &Agreed, sender: Role) -> Way {
    let parameters = agreed.deflate().unwrap().parameters();
    match sender {
        Role::Client => {
            let bits = parameters.client_max_window_bits.flatten();
            (!parameters.client_no_context_takeover, bits.unwrap_or(15))
        }
        Role::Server => {
            let bits = parameters.server_max_window_bits;
            (!parameters.server_no_context_takeover, bits.unwrap_or(15))
        }
    }
}

/// Compresses as the peer of a connection, by the procedure of RFC 7692 section 7.2.1.
pub struct Deflater {
    codec: Compress,
    takeover: bool,
}

impl Deflater {
    pub fn new(level: u32, (takeover, bits): Way) -> Self {
        let codec = Compress::new_with_window_bits(Compression::new(level), false, bits);
        Self { codec, takeover }
    }

    /// The payload of a message.
    pub fn message(&mut self, text: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.codec.reset();
        }
        let mut payload = self.part(text);
        payload.truncate(payload.len() - TAIL.len());
        payload
    }

    /// The payload of a part of a message.
    pub fn part(&mut self, text: &[u8]) -> Vec<u8> {
        if text.is_empty() {
            return vec![0x00, 0x00, 0x00, 0xff, 0xff];
        }
        self.run(text, FlushCompress::Sync)
    }

    /// The payload of a message that ends with a final block. With it the stream ends, and so does what later messages
    /// may refer to.
    pub fn final_message(&mut self, text: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.codec.reset();
        }
        let mut payload = self.run(text, FlushCompress::Finish);
        payload.push(0x00);
        self.codec.reset();
        payload
    }

    /// The payload of a part to which nothing that comes later refers.
    pub fn full_part(&mut self, text: &[u8]) -> Vec<u8> {
        self.run(text, FlushCompress::Full)
    }

    fn run(&mut self, text: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut payload = Vec::with_capacity(text.len() + text.len() / 8 + 1024);
        let before = self.codec.total_in();
        self.codec.compress_vec(text, &mut payload, flush).unwrap();
        assert_eq!(self.codec.total_in() - before, text.len() as u64);
        assert!(payload.len() < payload.capacity());
        payload
    }
}

/// The payload of a message that refers to nothing before it.
pub fn compressed(text: &[u8]) -> Vec<u8> {
    Deflater::new(6, (false, 15)).message(text)
}

/// Inflates as the peer of a connection, by the procedure of RFC 7692 section 7.2.2, with one stream for all messages
/// under context takeover.
pub struct Reader {
    codec: Decompress,
    takeover: bool,
}

impl Reader {
    pub fn new((takeover, bits): Way) -> Self {
        Self { codec: Decompress::new_with_window_bits(false, bits.max(9)), takeover }
    }

    /// The text of a message; `None` where it is no DEFLATE stream.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        if !self.takeover {
            self.codec.reset(false);
        }
        let input = [payload, &TAIL].concat();
        let (mut text, mut rest) = (Vec::new(), &input[..]);
        loop {
            text.reserve(64 * 1024);
            let (taken, written) = (self.codec.total_in(), text.len());
            let status = self.codec.decompress_vec(rest, &mut text, FlushDecompress::Sync).ok()?;
            rest = &rest[(self.codec.total_in() - taken) as usize..];
            match status {
                // What is behind a final block would be a stream of its own.
                Status::StreamEnd => return Some(text),
                _ if text.len() < text.capacity() && rest.is_empty() => return Some(text),
                _ if text.len() == written && rest.len() == input.len() => return None,
                _ => {}
            }
        }
    }
}

/// What a peer reads of all that an end of this role has sent. Each message is inflated by flate2 and by
/// [`inflate_message`]: they agree, and no reference goes further back than was agreed on.
pub fn read_back(bytes: &[u8], sender: Role, agreed: &Agreed) -> Vec<Seen> {
    let way = way_of(agreed, sender);
    let (mut reader, mut before) = (Reader::new(way), Vec::new());
    let (mut seen, mut open) = (Vec::new(), None);
    for (first, payload) in unmasked_compressed(bytes, sender) {
        match first & 0x0F {
            0x9 => seen.push(Seen::Ping(payload)),
            0xA => seen.push(Seen::Pong(payload)),
            0x8 => seen.push(Seen::Close(None, String::new())),
            0x0 => {
                let (_, gathered): &mut (u8, Vec<u8>) = open.as_mut().expect("a message is open");
                assert_eq!(first & 0x40, 0, "RSV1 on a continuation");
                gathered.extend(payload);
            }
            _ => assert!(open.replace((first, payload)).is_none(), "a message in a message"),
        }
        if first & 0x88 != 0x80 {
            continue;
        }
        let (first, payload) = open.take().expect("a message is open");
        let data = match first & 0x40 {
            0 => payload,
            _ => inflate_both_ways(&payload, way, &mut reader, &mut before),
        };
        seen.push(Seen::Message(match first & 0x0F {
            0x1 => OwnedMessage::Text(String::from_utf8(data).unwrap()),
            _ => OwnedMessage::Binary(data),
        }));
    }
    assert!(open.is_none(), "an unfinished message");
    seen
}

fn inflate_both_ways(
    payload: &[u8],
    (takeover, bits): Way,
    reader: &mut Reader,
    before: &mut Vec<u8>,
) -> Vec<u8> {
    let text = reader.message(payload).expect("what is sent inflates");
    let inflated = inflate_message(payload, before).expect("what is sent inflates");
    assert!(inflated.text == text, "flate2 and the decoder of these tests");
    assert!(inflated.distance_max <= 1 << bits, "{} bytes back", inflated.distance_max);
    if takeover {
        before.extend(&text);
        before.drain(..before.len().saturating_sub(1 << bits));
    }
    text
}
