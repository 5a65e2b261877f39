//! What is drawn for a run: limits, sizes, odds, and who takes part.

use std::time::Duration;

use tautline::deflate::WindowBits;
use tautline::{Deflate, Limits};

use crate::net::{Odds, Random};

/// A run, as its seed has it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Loops that listen.
    pub servers: usize,
    /// Loops that connect.
    pub clients: usize,
    /// Connections that the clients make, beside those that follow an end.
    pub connections: usize,
    /// Peers that misbehave, or at least are no loop of the engine.
    pub peers: usize,
    /// All goes over TLS.
    pub tls: bool,
    /// What the servers agree to.
    pub server_deflate: Option<Deflate>,
    /// What the clients offer.
    pub client_deflate: Option<Deflate>,
    /// The limits of all loops.
    pub limits: Limits,
    /// How many bytes a socket holds.
    pub capacity: usize,
    /// How few bytes wait in a socket that was full when it says that it has room.
    pub full_until: usize,
    /// What had come before a reset is still read, as on Linux.
    pub reads_after_reset: bool,
    /// How many streams a loop may have.
    pub descriptors_max: usize,
    /// How likely faults are.
    pub odds: Odds,
    /// Bytes of the longest message that is drawn.
    pub message_bytes_max: usize,
    /// Messages that are made in all.
    pub messages: usize,
    /// Bytes that are made in all.
    pub bytes: usize,
    /// How much an application does in one call.
    pub eagerness: usize,
    /// How often, in a thousand, an application closes or does something else that ends connections.
    pub wildness: u16,
    /// How often, in a thousand, the clock jumps.
    pub jumps: u16,
    /// Steps until the faults stop.
    pub steps: usize,
    /// Clients that send a request for no upgrade.
    pub requests: usize,
    /// Chunks that are made in all of their answers.
    pub chunks: usize,
    /// Bytes of the longest chunk that is drawn.
    pub chunk_bytes_max: usize,
    /// How often, in a thousand, an application pauses or resumes a connection in an event.
    pub pauses: u16,
    /// How often, in a thousand, a peer that is no engine sends a ping when it may speak.
    pub pings: u16,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(random: &mut Random) -> Self {
        let capacity = random.pick(&[30, 200, 1_000, 5_000, 70_000, 300_000]);
        let message_bytes_max = random.pick(&[20, 200, 3_000, 40_000, 150_000]);
        Self {
            servers: 1 + random.draw(2),
            clients: 1 + random.draw(2),
            connections: 1 + random.draw(10),
            peers: random.draw(5),
            tls: random.draw(7) == 0,
            server_deflate: deflate(random),
            client_deflate: deflate(random),
            limits: limits(random, message_bytes_max),
            capacity,
            full_until: usize::MAX,
            reads_after_reset: false,
            descriptors_max: if random.draw(4) == 0 { 2 + random.draw(8) } else { usize::MAX },
            odds: Odds::drawn(random),
            message_bytes_max,
            messages: 20 + random.draw(200),
            bytes: (capacity * 600).min(800_000),
            eagerness: 2 + random.draw(5),
            wildness: random.pick(&[0, 2, 10, 60]),
            jumps: random.pick(&[0, 0, 10, 50]),
            steps: 40 + random.draw(260),
            requests: 0,
            chunks: 0,
            chunk_bytes_max: 0,
            pauses: 0,
            pings: 0,
        }
    }

    /// Adds requests for no upgrade. What was drawn for the rest stays as it is.
    pub(crate) fn add_requests(&mut self, random: &mut Random) {
        // Some worlds have none, so that they stay what they were before there were any.
        if random.draw(5) == 0 {
            return;
        }
        self.requests = 1 + random.draw(14);
        self.chunks = 20 + random.draw(300);
        self.chunk_bytes_max = random.pick(&[20, 300, 5_000, 70_000]);
        let body_bytes_max = random.pick(&[0, 1, 100, 3_000, 20_000, 65_536]);
        // With small sockets, a long body would be all that the world has time for.
        self.limits.request_body_bytes_max = body_bytes_max.min(self.capacity * 100);
        if random.draw(4) == 0 {
            self.limits.outbox_bytes_max = random.pick(&[300, 3_000]);
        }
        self.limits.head_bytes_max = random.pick(&[16 * 1024, 16 * 1024, 2_000]);
    }
}

fn deflate(random: &mut Random) -> Option<Deflate> {
    if random.draw(3) > 0 {
        return None;
    }
    let mut deflate = Deflate::default();
    deflate.sending.context_takeover = random.draw(2) == 0;
    deflate.receiving.context_takeover = random.draw(2) == 0;
    let bits = WindowBits::new(9 + random.draw(7) as u8);
    deflate.receiving.max_window_bits = bits.unwrap_or(WindowBits::MAX);
    Some(deflate)
}

fn limits(random: &mut Random, message_bytes_max: usize) -> Limits {
    let mut limits = Limits::default();
    let mut time = |millis: &[u64]| Duration::from_millis(random.pick(millis));
    limits.handshake_within = time(&[10_000, 10_000, 500, 60]);
    limits.pong_within = time(&[20_000, 1_000, 50]);
    limits.close_within = time(&[5_000, 400, 30]);
    let ping_after = time(&[25_000, 2_000, 100]);
    limits.ping_after = (random.draw(5) > 0).then_some(ping_after);
    limits.idle_after = (random.draw(6) == 0).then_some(Duration::from_secs(40));
    if random.draw(2) == 0 {
        limits.outbox_bytes_max = random.pick(&[500, 20_000, 200_000]);
    }
    if random.draw(2) == 0 {
        limits.outbox_pause_bytes = random.pick(&[0, 100, 5_000]);
    }
    if random.draw(6) == 0 {
        limits.message_bytes_max = message_bytes_max / 2;
    }
    if random.draw(6) == 0 {
        limits.connections_max = 1 + random.draw(8);
    }
    if random.draw(6) == 0 {
        limits.handshakes_max = 1 + random.draw(4);
        limits.handshakes_per_address_max = 1 + random.draw(3);
    }
    if random.draw(6) == 0 {
        limits.unanswered_pings_max = random.draw(8) as u32;
    }
    admission(random.apart(), &mut limits);
    limits
}

/// Limits on all connections together, and on those of one address.
fn admission(mut random: Random, limits: &mut Limits) {
    if random.draw(6) == 0 {
        limits.connections_per_address_max = 1 + random.draw(4);
    }
    if random.draw(6) == 0 {
        limits.held_bytes_max = random.pick(&[2_000, 20_000, 200_000]);
    }
}
