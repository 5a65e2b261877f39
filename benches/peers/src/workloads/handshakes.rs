//! Connections open and end.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Better, Case, Sample, Workload};
use crate::Result;
use crate::handshake;
use crate::options::Timing;
use crate::server::Server;

/// Opened at a time.
const BATCH: usize = 32;
/// What a browser says besides.
const BROWSER: &str = "Origin: http://localhost\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nSec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\n";

pub fn workload() -> Workload {
    let cases = [("only the fields that are needed", ""), ("the fields of a browser", BROWSER)];
    Workload {
        name: "handshakes",
        about: "Connections that are opened, 32 at a time, and reset after the handshake",
        unit: "thousand handshakes per second of server CPU",
        scale: 1e3,
        better: Better::More,
        by_level: false,
        notes: &[],
        left_out: Vec::new(),
        cases: cases.map(|(title, fields)| case(title, fields)).into(),
    }
}

fn case(title: &str, fields: &'static str) -> Case {
    Case {
        title: title.into(),
        flags: &[],
        rare: false,
        probe: None,
        measure: Box::new(move |server, timing| measure(server, timing, fields)),
    }
}

fn measure(server: &Server, timing: &Timing, fields: &str) -> Result<Sample> {
    let request = handshake::request(server.address, fields);
    run(server, &request, timing.warm_up)?;
    let cpu = server.cpu_seconds()?;
    let opened = run(server, &request, timing.measured)?;
    Ok(Sample { value: opened as f64 / (server.cpu_seconds()? - cpu), notes: Vec::new() })
}

/// Opens connections for so long, and says how many.
fn run(server: &Server, request: &str, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut opened = 0;
    while Instant::now() < end {
        let streams = (0..BATCH).map(|_| handshake::connect(server.address));
        let mut streams = streams.collect::<Result<Vec<_>>>()?;
        for stream in &mut streams {
            stream.write_all(request.as_bytes())?;
        }
        for stream in &mut streams {
            handshake::answer(stream)?;
        }
        opened += BATCH;
    }
    Ok(opened)
}
