//! How long an answer takes while a server is half as busy as it, or the slowest of those that matter, could be.
//!
//! Messages leave on a schedule that was fixed before, whatever has been answered, and an answer's time counts from when
//! its message was due. So a server that stands still delays all that was due meanwhile, and not only one message.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use super::{Better, Case, Note, Sample, Workload, echo};
use crate::echo::{Connection, Frames, Load};
use crate::options::Timing;
use crate::server::Server;
use crate::wire::Counts;
use crate::{Result, peers};

const PAYLOAD_BYTES: usize = 128;
const CONNECTIONS: usize = 100;
/// More than this many unanswered messages on one connection: the server does not keep up.
const FRAMES: usize = 1024;
const NANOSECONDS_MAX: u64 = 60_000_000_000;

/// The most messages per second, by the name of the peer.
type Peaks = Rc<RefCell<Vec<(&'static str, f64)>>>;

pub fn workload() -> Workload {
    let peaks = Peaks::default();
    let probed = Rc::clone(&peaks);
    Workload {
        name: "latency",
        about: "From when a message of 128 B was due to its answer, on 100 connections, at half of the peak load of the \
            slowest of ours, Bun and the fastest Rust peer (the peak: one message in flight on each)",
        unit: "microseconds that 99 % of the answers took at most",
        scale: 1e3,
        better: Better::Less,
        by_level: false,
        notes: &["50 %", "99.9 %", "messages per second"],
        left_out: Vec::new(),
        cases: vec![Case {
            title: "128 B, 100 connections".into(),
            flags: &[],
            rare: false,
            probe: Some(Box::new(move |server, timing| {
                let peak = peak(server, timing)?;
                probed.borrow_mut().push((server.peer.name, peak));
                Ok(())
            })),
            measure: Box::new(move |server, timing| {
                let rate = pace(&peaks.borrow()).ok_or("no peak is known")?;
                measure(server, timing, rate)
            }),
        }],
    }
}

/// Messages per second, one in flight on each connection.
fn peak(server: &Server, timing: &Timing) -> Result<f64> {
    let frames = echo::frames(PAYLOAD_BYTES, 2);
    let mut load = Load::start(echo::open(server, CONNECTIONS)?, &frames, 1)?;
    load.run(timing.warm_up)?;
    let (start, before) = (Instant::now(), load.counts);
    load.run(timing.measured)?;
    Ok((load.counts - before).messages as f64 / start.elapsed().as_secs_f64())
}

/// Half of the least of three peaks: ours, Bun's, and the best Rust peer's.
fn pace(peaks: &[(&str, f64)]) -> Option<f64> {
    let of = |name| peaks.iter().find(|it| it.0 == name).map(|it| it.1);
    let others =
        peaks.iter().filter(|it| !peers::is_ours(it.0) && !peers::NOT_RUST.contains(&it.0));
    let best = others.map(|it| it.1).max_by(f64::total_cmp);
    let three = [of(peers::OURS), of(peers::BUN), best];
    three.into_iter().flatten().min_by(f64::total_cmp).map(|it| it / 2.0)
}

fn measure(server: &Server, timing: &Timing, rate: f64) -> Result<Sample> {
    let frames = echo::frames(PAYLOAD_BYTES, FRAMES);
    let mut load = Paced::start(server, &frames, rate)?;
    load.run(timing.warm_up)?;
    load.times.reset();
    load.run(timing.measured)?;
    let at = |quantile| load.times.value_at_quantile(quantile) as f64;
    Ok(Sample {
        value: at(0.99),
        notes: vec![Note::Number(at(0.5) / 1e3), Note::Number(at(0.999) / 1e3), Note::Number(rate)],
    })
}

/// Message `n` is due `n / rate` seconds after the start, on connection `n` modulo their number.
struct Paced<'a> {
    frames: &'a Frames,
    poll: Poll,
    /// With the number of answers.
    connections: Vec<(Connection, u64)>,
    buffer: Vec<u8>,
    counts: Counts,
    start: Instant,
    interval: f64,
    sent: u64,
    times: Histogram<u64>,
}

impl<'a> Paced<'a> {
    fn start(server: &Server, frames: &'a Frames, rate: f64) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for (number, stream) in echo::open(server, CONNECTIONS)?.into_iter().enumerate() {
            connections.push((Connection::new(stream, number, frames, &poll)?, 0));
        }
        Ok(Self {
            frames,
            poll,
            connections,
            buffer: vec![0; 256 * 1024],
            counts: Counts::default(),
            start: Instant::now(),
            interval: 1.0 / rate,
            sent: 0,
            times: Histogram::new_with_bounds(1, NANOSECONDS_MAX, 3)?,
        })
    }

    fn run(&mut self, time: Duration) -> Result<()> {
        let mut events = Events::with_capacity(CONNECTIONS);
        let end = self.start.elapsed() + time;
        loop {
            let now = self.start.elapsed();
            if now >= end {
                return Ok(());
            }
            while self.due(self.sent) <= now.as_secs_f64() {
                let place = self.sent as usize % CONNECTIONS;
                let (connection, answered) = &mut self.connections[place];
                if self.sent / CONNECTIONS as u64 - *answered >= FRAMES as u64 - 1 {
                    return Err("does not keep up".into());
                }
                connection.send(self.frames, 1)?;
                self.sent += 1;
            }
            // To sleep until the next is due would take longer than that.
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                self.receive(event.token().0)?;
            }
        }
    }

    /// Seconds from the start.
    fn due(&self, message: u64) -> f64 {
        message as f64 * self.interval
    }

    fn receive(&mut self, place: usize) -> Result<()> {
        let before = self.counts.messages;
        let (connection, answered) = &mut self.connections[place];
        connection.receive(&mut self.buffer, &mut self.counts)?;
        // Goes on with what the socket did not take.
        connection.send(self.frames, 0)?;
        let first = *answered;
        *answered += self.counts.messages - before;
        let now = self.start.elapsed().as_secs_f64();
        for number in first..self.connections[place].1 {
            let due = self.due(number * CONNECTIONS as u64 + place as u64);
            self.times.record(((now - due) * 1e9) as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_half_of_the_least_of_ours_buns_and_the_best_rust_peers_peak() {
        let peaks =
            [("raw", 5.0), ("tautline", 90.0), ("yawc", 60.0), ("ratchet", 70.0), ("bun", 80.0)];
        assert_eq!(pace(&peaks), Some(35.0));
        assert_eq!(pace(&peaks[..2]), Some(45.0));
        assert_eq!(pace(&peaks[..1]), None);
    }
}
