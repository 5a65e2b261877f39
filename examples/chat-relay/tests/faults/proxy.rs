//! A proxy that cuts connections after a random number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::random::Random;

/// Bytes after which a connection is cut at the latest: what the client says, and what it hears.
const SAID_BYTES_MAX: u64 = 4_000;
const HEARD_BYTES_MAX: u64 = 40_000;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    cutting: AtomicBool,
    cuts: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr, mut random: Random) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to,
            cutting: AtomicBool::new(true),
            cuts: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if of_thread.ended.load(Ordering::SeqCst) {
                    return;
                }
                let _ = carry(client.unwrap(), &of_thread, &mut random);
            }
        });
        Self { address, shared }
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// From now on, new connections are let be.
    pub(crate) fn heal(&self) {
        self.shared.cutting.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(client: TcpStream, shared: &Arc<Shared>, random: &mut Random) -> std::io::Result<()> {
    let relay = TcpStream::connect(shared.to)?;
    let (mut said, mut heard) = (random.below(SAID_BYTES_MAX), random.below(HEARD_BYTES_MAX));
    if !shared.cutting.load(Ordering::SeqCst) {
        (said, heard) = (u64::MAX, u64::MAX);
    }
    let there = (client.try_clone()?, relay.try_clone()?, said);
    for (from, to, bytes) in [there, (relay, client, heard)] {
        let shared = shared.clone();
        thread::spawn(move || {
            if copy(&from, &to, bytes) {
                shared.cuts.fetch_add(1, Ordering::SeqCst);
            }
            for stream in [from, to] {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
    Ok(())
}

/// Copies until an end, or so many bytes: returns whether it came to those.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut left: u64) -> bool {
    let mut buffer = [0; 4096];
    while left > 0 {
        let max = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match from.read(&mut buffer[..max]) {
            Ok(0) | Err(_) => return false,
            Ok(count) if to.write_all(&buffer[..count]).is_err() => return false,
            Ok(count) => left -= u64::try_from(count).unwrap(),
        }
    }
    true
}
