//! JSON messages come compressed, and go back compressed.
//!
//! The client's messages are compressed once, each without a history: the server does all it has to do under either
//! agreement, and the load costs next to nothing.

use super::{Better, Case, Note, Sample, Workload};
use crate::Result;
use crate::deflate::{self, Deflater, Negotiated};
use crate::echo::{Frames, Load};
use crate::handshake;
use crate::json;
use crate::options::Timing;
use crate::server::Server;
use crate::wire::text_frame;

const CONNECTIONS: usize = 32;
const SIZES: [(usize, &str); 3] = [(128, "128 B"), (1024, "1 KiB"), (16 * 1024, "16 KiB")];
const MESSAGES_MIN: usize = 64;
/// With takeover a server could refer to the last 32 KiB. No message comes again within them.
const CYCLE_BYTES_MIN: usize = 64 * 1024;

pub fn workload() -> Workload {
    let mut cases = Vec::new();
    for takeover in [false, true] {
        for (bytes, size) in SIZES {
            for in_flight in [1, 8] {
                cases.push(case(takeover, bytes, size, in_flight));
            }
        }
    }
    Workload {
        name: "compressed-echo",
        about: "JSON messages under permessage-deflate, sent back compressed",
        unit: "thousand messages per second of server CPU",
        scale: 1e3,
        better: Better::More,
        by_level: true,
        notes: &["answer, bytes", "compressed", "history used", "parameters of the answer"],
        left_out: Vec::new(),
        cases,
    }
}

fn case(takeover: bool, bytes: usize, size: &str, in_flight: usize) -> Case {
    let kind = if takeover { "takeover" } else { "no takeover" };
    let count = MESSAGES_MIN.max(CYCLE_BYTES_MIN / bytes);
    Case {
        title: format!("{size}, {kind}, {in_flight} in flight"),
        flags: if takeover { &["--deflate", "--takeover"] } else { &["--deflate"] },
        rare: false,
        probe: None,
        measure: Box::new(move |server, timing| {
            measure(server, timing, &json::messages(bytes, count), takeover, in_flight)
        }),
    }
}

fn measure(
    server: &Server,
    timing: &Timing,
    messages: &[String],
    takeover: bool,
    in_flight: usize,
) -> Result<Sample> {
    let verified = deflate::verify(server.address, messages, takeover)?;
    let frames = Frames::new(&compress(messages, verified.negotiated.client_bits)?);
    let streams = (0..CONNECTIONS).map(|_| {
        let offer = deflate::offer(takeover);
        let (stream, answer) = handshake::open(server.address, Some(offer))?;
        Negotiated::parse(answer.as_deref(), takeover)?;
        Ok(stream)
    });
    let mut load = Load::start(streams.collect::<Result<_>>()?, &frames, in_flight)?;
    let (counts, cpu) = load.measure(server, timing)?;
    let answers = counts.messages as f64;
    Ok(Sample {
        value: answers / cpu,
        notes: vec![
            Note::Number(counts.payload_bytes as f64 / answers),
            Note::Text(format!("{:.0} %", 100.0 * counts.compressed as f64 / answers)),
            Note::Text(if verified.history { "yes" } else { "no" }.into()),
            Note::Text(verified.negotiated.parameters),
        ],
    })
}

fn compress(messages: &[String], window_bits: u8) -> Result<Vec<Vec<u8>>> {
    let mut deflater = Deflater::new(window_bits);
    let frames = messages.iter().enumerate().map(|(number, message)| {
        let payload = deflater.alone(message.as_bytes())?;
        Ok(text_frame(&payload, true, (0x9E37_79B9 ^ number as u32).to_be_bytes()))
    });
    frames.collect()
}
