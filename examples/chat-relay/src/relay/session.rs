//! Connections, and what may be spent on them.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::catch_up::Behind;
use super::{Key, Moment, Out, Problem, Relay, problem, refuse};
use crate::bucket::{Bucket, Rate};
use crate::protocol::{self, ErrorCode};
use crate::store::job::PersonId;

/// What the relay knows of a connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stage: Stage,
    pub(super) device: Option<Box<str>>,
    /// What it may spend before it is a person's.
    bucket: Bucket,
    refusals: Bucket,
    /// Until when the last refusal asked it to wait. A line after that is obedience, whatever comes of it.
    asked_to_wait: Duration,
    /// The rooms whose log it is still being sent.
    pub(super) behind: VecDeque<Behind>,
    /// The store has been asked for the next piece.
    pub(super) feeding: bool,
    /// When its token ends, in milliseconds since 1970.
    pub(super) expires_ms: Option<u64>,
    /// None where addresses do not count.
    pub(super) address: Option<Network>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not said `hello`.
    Greeting,
    /// Its `hello` is being looked at.
    Asking,
    /// It is a person's.
    Person(PersonId),
    /// It is of the one who runs the relay.
    Admin,
    /// The relay has asked for its end: nothing more is taken from it.
    Closing,
}

/// An IPv4 address, or an IPv6 network of 64 bits: what one household or machine has.
pub(super) type Network = Ipv6Addr;

fn network(address: IpAddr) -> Option<Network> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)),
    })
}

/// What all connections of a network have spent together.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    of: HashMap<Network, (Bucket, usize)>,
    tidied_at: Duration,
}

impl Addresses {
    fn enter(&mut self, network: Option<Network>, rate: Rate, now: Duration) {
        if let Some(network) = network {
            let full = || (Bucket::full(rate, now), 0);
            let (_, connections) = self.of.entry(network).or_insert_with(full);
            *connections = connections.saturating_add(1);
        }
    }

    pub(super) fn leave(&mut self, network: Option<Network>, _: Duration) {
        if let Some((_, connections)) = network.and_then(|it| self.of.get_mut(&it)) {
            *connections = connections.saturating_sub(1);
        }
    }

    fn take(
        &mut self,
        network: Option<Network>,
        cost: u32,
        rate: Rate,
        now: Duration,
    ) -> Result<(), Duration> {
        match network.and_then(|it| self.of.get_mut(&it)) {
            Some((bucket, _)) => bucket.take(cost, rate, now),
            None => Ok(()),
        }
    }

    fn charge(&mut self, network: Option<Network>, cost: u32) {
        if let Some((bucket, _)) = network.and_then(|it| self.of.get_mut(&it)) {
            bucket.charge(cost);
        }
    }

    /// Forgets networks that have no connection, and nothing to pay off: to come again is no way around the rate.
    pub(super) fn tidy(&mut self, rate: Rate, now: Duration) {
        if now >= self.tidied_at + Duration::from_secs(60) {
            self.tidied_at = now;
            self.of
                .retain(|_, (bucket, connections)| *connections > 0 || !bucket.is_full(rate, now));
        }
    }
}

impl<K: Key> Relay<K> {
    pub(super) fn new_session(&mut self, now: Moment, address: IpAddr) -> Session {
        let address = network(address);
        self.addresses.enter(address, self.address_rate(), now.clock);
        Session {
            stage: Stage::Greeting,
            device: None,
            bucket: Bucket::full(self.rate(), now.clock),
            refusals: Bucket::full(self.refusal_rate(), now.clock),
            asked_to_wait: Duration::ZERO,
            behind: VecDeque::new(),
            feeding: false,
            expires_ms: None,
            address,
        }
    }

    /// Whether something is still taken from it.
    pub(super) fn is_open(&self, who: K) -> bool {
        self.sessions.get(&who).is_some_and(|session| session.stage != Stage::Closing)
    }

    /// Whether its `hello` is awaited.
    pub(super) fn is_greeting(&self, who: K) -> bool {
        self.sessions.get(&who).is_some_and(|session| session.stage == Stage::Greeting)
    }

    /// The person whose connection it is.
    pub(super) fn person_of(&self, who: K) -> Option<PersonId> {
        match self.sessions.get(&who)?.stage {
            Stage::Person(person) => Some(person),
            Stage::Greeting | Stage::Asking | Stage::Admin | Stage::Closing => None,
        }
    }

    /// Pays for a line.
    pub(super) fn afford(&mut self, now: Moment, who: K, bytes: usize) -> Result<(), Problem> {
        self.pay(now, who, kibibytes(bytes).saturating_add(1))
    }

    /// Pays from the purse of the person, or of a connection that is nobody's yet, and from that of its address.
    pub(super) fn pay(&mut self, now: Moment, who: K, cost: u32) -> Result<(), Problem> {
        let (rate, address_rate) = (self.rate(), self.address_rate());
        let Some(session) = self.sessions.get_mut(&who) else { return Ok(()) };
        let bucket = match session.stage {
            Stage::Person(person) => self.people.get_mut(&person).map(|it| &mut it.bucket),
            Stage::Greeting | Stage::Asking | Stage::Admin | Stage::Closing => None,
        };
        let paid = bucket.unwrap_or(&mut session.bucket).take(cost, rate, now.clock);
        paid.and_then(|()| self.addresses.take(session.address, cost, address_rate, now.clock))
            .map_err(|wait| {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                problem(ErrorCode::Rate, "too much in too short a time").retry_after(wait_ms)
            })
    }

    /// An answer that is larger than its question is paid for too.
    pub(super) fn charge_for_answer(&mut self, who: K, bytes: usize) {
        let cost = kibibytes(bytes);
        if let Some(person) = self.person_of(who).and_then(|it| self.people.get_mut(&it)) {
            person.bucket.charge(cost);
        }
        let network = self.sessions.get(&who).and_then(|session| session.address);
        self.addresses.charge(network, cost);
    }

    /// Answers with the problem; a client that goes on although it was told to wait is closed.
    pub(super) fn refuse_or_close(
        &mut self,
        now: Moment,
        who: K,
        problem: Problem,
        out: &mut Vec<Out<K>>,
    ) {
        let rate = self.refusal_rate();
        refuse(out, who, &problem);
        let Some(session) = self.sessions.get_mut(&who).filter(|_| problem.code == ErrorCode::Rate)
        else {
            return;
        };
        let obedient = now.clock >= session.asked_to_wait;
        session.asked_to_wait = now.clock + Duration::from_millis(problem.retry_ms.unwrap_or(0));
        if !obedient && session.refusals.take(1, rate, now.clock).is_err() {
            self.end_session(now, who, protocol::FLOOD, "too much, and it went on", out);
        }
    }

    /// The relay's part of ending a connection; [`close`](Self::close) follows when it is gone.
    pub(super) fn end_session(
        &mut self,
        now: Moment,
        who: K,
        code: u16,
        reason: &'static str,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(session) = self.sessions.get_mut(&who) else { return };
        let stage = std::mem::replace(&mut session.stage, Stage::Closing);
        if stage == Stage::Closing {
            return;
        }
        session.behind.clear();
        self.lagging.remove(&who);
        if let Stage::Person(person) = stage {
            self.lose_device(now, who, person, out);
        }
        out.push(Out::Close { who, code, reason });
    }

    /// Closes connections that have not said `hello` in time.
    pub(super) fn close_the_silent(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        while let Some(&(since, who)) = self.greeting.front()
            && since + self.limits.hello_within <= now.clock
        {
            self.greeting.pop_front();
            if self.sessions.get(&who).is_some_and(|it| it.stage == Stage::Greeting) {
                self.end_session(now, who, protocol::HELLO_LATE, "say hello first", out);
            }
        }
    }

    /// Closes connections whose token has ended.
    pub(super) fn close_the_expired(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        if !self.admission.expires() {
            return;
        }
        let expired = |it: &Session| it.expires_ms.is_some_and(|at_ms| at_ms <= now.unix_ms);
        let mut all: Vec<K> =
            self.sessions.iter().filter(|(_, it)| expired(it)).map(|(who, _)| *who).collect();
        all.sort_unstable();
        for who in all {
            self.end_session(now, who, protocol::EXPIRED, "the token has expired", out);
        }
    }

    pub(super) fn rate(&self) -> Rate {
        Rate { burst: self.limits.burst, refill_per_s: self.limits.refill_per_s }
    }

    pub(super) fn address_rate(&self) -> Rate {
        let Rate { burst, refill_per_s } = self.rate();
        let factor = self.limits.address_factor;
        Rate {
            burst: burst.saturating_mul(factor),
            refill_per_s: refill_per_s.saturating_mul(factor),
        }
    }

    fn refusal_rate(&self) -> Rate {
        Rate { burst: self.limits.refusals_max, refill_per_s: 1 }
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX)
}
