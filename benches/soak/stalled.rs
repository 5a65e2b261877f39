//! Those who do not behave: they stop in the middle of something, or do not read, and are gone after a while.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// What they send before they stall. Masking keys are 0.
const KINDS: [&str; 6] = [
    "half a request",
    "half a frame",
    "half a message in fragments",
    "silence",
    "a room, and reads nothing",
    "a close frame, and reads nothing",
];

/// So many at a time, until `stop`. The thread returns how many there were in all.
pub(super) fn start(server: SocketAddr, count: usize, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut stalled: Vec<(Instant, TcpStream)> = Vec::new();
        let mut all = 0;
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            // Where something was not read, this is a reset.
            stalled.retain(|(until, _)| *until > now);
            while stalled.len() < count {
                let stays = Duration::from_millis(1_000 + all * 7_919 % 40_000);
                stalled.push((now + stays, stall(server, all as usize)));
                all += 1;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        all
    })
}

fn stall(server: SocketAddr, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let kind = KINDS[number % KINDS.len()];
    if kind == "half a request" {
        stream.write_all(&REQUEST[..REQUEST.len() / 2]).unwrap();
        return stream;
    }
    stream.write_all(REQUEST).unwrap();
    let mut answer = [0; 129];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"\r\n\r\n"));
    let bytes: &[u8] = match kind {
        "half a frame" => &[&[0x82, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0][..], &[7; 30_000]].concat(),
        "half a message in fragments" => &[0x02, 0x81, 0, 0, 0, 0, 7].repeat(100)[..7],
        "a room, and reads nothing" => {
            let room = format!("join room-{}", number % 200);
            &[&[0x81, 0x80 | room.len() as u8, 0, 0, 0, 0][..], room.as_bytes()].concat()
        }
        "a close frame, and reads nothing" => &[0x88, 0x80, 0, 0, 0, 0],
        _ => &[],
    };
    stream.write_all(bytes).unwrap();
    stream
}
