//! The client's side of permessage-deflate (RFC 7692), and the proof that a server does it.

use std::io::Write;
use std::net::SocketAddr;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::wire::{receive, text_frame};
use crate::{Result, handshake};

/// What a sync flush ends with; it is not sent.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// What is offered.
pub fn offer(takeover: bool) -> &'static str {
    if takeover {
        "permessage-deflate; client_max_window_bits"
    } else {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    }
}

/// What was agreed on.
pub struct Negotiated {
    server_bits: u8,
    pub client_bits: u8,
    /// The parameters of the answer, as they were sent.
    pub parameters: String,
}

impl Negotiated {
    /// Reads the answer to `offer(takeover)`. Fails where it is not a legal one, or does not do what is to be measured.
    pub fn parse(answer: Option<&str>, takeover: bool) -> Result<Self> {
        let answer = answer.ok_or("compression was declined")?;
        let illegal = || format!("an illegal answer: {answer}");
        let parameters = answer.strip_prefix("permessage-deflate").ok_or_else(illegal)?;
        let parameters = parameters.trim_start_matches([';', ' ']);
        let mut negotiated =
            Self { server_bits: 15, client_bits: 15, parameters: parameters.into() };
        let (mut server_takeover, mut client_takeover) = (true, true);
        for parameter in parameters.split(';').map(str::trim).filter(|it| !it.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let bits = value.parse().ok().filter(|bits| (9..=15).contains(bits));
            match name {
                "server_no_context_takeover" => server_takeover = false,
                "client_no_context_takeover" => client_takeover = false,
                "server_max_window_bits" => negotiated.server_bits = bits.ok_or_else(illegal)?,
                // Only the offer with takeover lets the server say this.
                "client_max_window_bits" if takeover => {
                    negotiated.client_bits = bits.ok_or_else(illegal)?;
                }
                _ => return Err(illegal().into()),
            }
        }
        if (server_takeover, client_takeover) != (takeover, takeover) {
            return Err(format!("not what is measured: {answer}").into());
        }
        Ok(negotiated)
    }
}

/// Compresses messages.
pub struct Deflater(Compress);

impl Deflater {
    pub fn new(window_bits: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::default(), false, window_bits))
    }

    /// A message that needs no other.
    pub fn alone(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        self.0.reset();
        self.next(message)
    }

    /// A message that may refer to those before it.
    fn next(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(message.len() + 64);
        self.0.compress_vec(message, &mut out, FlushCompress::Sync)?;
        if !out.ends_with(&TAIL) {
            return Err("a message grew".into());
        }
        out.truncate(out.len() - TAIL.len());
        Ok(out)
    }
}

/// Inflates messages.
struct Inflater(Decompress);

impl Inflater {
    fn new(window_bits: u8) -> Self {
        Self(Decompress::new_with_window_bits(false, window_bits))
    }

    fn alone(&mut self, payload: &[u8], message_bytes: usize) -> Result<Vec<u8>> {
        self.0.reset(false);
        self.next(payload, message_bytes)
    }

    /// Inflates a message that is expected to have so many bytes.
    fn next(&mut self, payload: &[u8], message_bytes: usize) -> Result<Vec<u8>> {
        let input = [payload, &TAIL].concat();
        let mut out = Vec::with_capacity(message_bytes + 64);
        let status = self.0.decompress_vec(&input, &mut out, FlushDecompress::Sync)?;
        // A server may end its stream with the message, and begin a new one with the next.
        if status == Status::StreamEnd {
            self.0.reset(false);
        }
        Ok(out)
    }
}

/// What was found out about a server.
pub struct Verified {
    pub negotiated: Negotiated,
    /// Whether an answer referred to the ones before it.
    pub history: bool,
}

/// Sends each message once, compressed as was agreed on, and compares what comes back.
///
/// A server may send a message as it is, but not all of them.
pub fn verify(address: SocketAddr, messages: &[String], takeover: bool) -> Result<Verified> {
    let (mut stream, answer) = handshake::open(address, Some(offer(takeover)))?;
    let negotiated = Negotiated::parse(answer.as_deref(), takeover)?;
    let mut deflater = Deflater::new(negotiated.client_bits);
    let mut inflater = Inflater::new(negotiated.server_bits);
    let mut alone = Inflater::new(negotiated.server_bits);
    let (mut compressed, mut history) = (0, false);
    for (number, message) in messages.iter().enumerate() {
        let message = message.as_bytes();
        let sent = if takeover { deflater.next(message)? } else { deflater.alone(message)? };
        stream.write_all(&text_frame(&sent, true, [number as u8, 1, 2, 3]))?;
        let (header, payload) = receive(&mut stream)?;
        let received = if header.is_compressed() {
            compressed += 1;
            history |= !alone.alone(&payload, message.len()).is_ok_and(|it| it == message);
            let bytes = message.len();
            if takeover { inflater.next(&payload, bytes) } else { inflater.alone(&payload, bytes) }
        } else {
            Ok(payload)
        };
        if received.map_err(|error| format!("answer {number}: {error}"))? != message {
            return Err(format!("answer {number} is not what was sent").into());
        }
    }
    if compressed == 0 {
        return Err("no answer is compressed".into());
    }
    Ok(Verified { negotiated, history })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_legal_and_does_what_is_measured_or_it_is_refused() {
        let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for (takeover, answer, fine) in [
            (false, Some(both), true),
            (false, Some("permessage-deflate; server_no_context_takeover"), false),
            (false, Some("permessage-deflate"), false),
            (false, Some("permessage-deflate; client_max_window_bits=12"), false),
            (true, Some("permessage-deflate"), true),
            (true, Some("permessage-deflate; client_max_window_bits=12"), true),
            (true, Some("permessage-deflate; client_max_window_bits"), false),
            (true, Some(both), false),
            (true, Some("x-webkit-deflate-frame"), false),
            (true, None, false),
        ] {
            let parsed = Negotiated::parse(answer, takeover);
            assert_eq!(parsed.is_ok(), fine, "{answer:?}, takeover: {takeover}");
        }
    }

    #[test]
    fn what_was_deflated_is_inflated() {
        let (mut deflater, mut inflater) = (Deflater::new(15), Inflater::new(15));
        let message = br#"{"id":17,"text":"the order has left our store"}"#;
        let first = deflater.next(message).unwrap();
        let second = deflater.next(message).unwrap();
        assert!(second.len() < first.len());
        assert_eq!(inflater.next(&first, message.len()).unwrap(), message);
        assert_eq!(inflater.next(&second, message.len()).unwrap(), message);
        assert!(Inflater::new(15).alone(&second, message.len()).is_err());
        assert_eq!(deflater.alone(message).unwrap(), first);
    }
}
