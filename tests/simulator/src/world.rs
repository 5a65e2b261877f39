//! A world: loops, peers and a clock, and what happens to them, step by step.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tautline::Reactor;
use tautline::reactor::Hub;

use crate::Options;
use crate::app::{App, Session};
use crate::checks::{Checks, TICK, check_sleep};
use crate::net::{Odds, Random, SimNet};
use crate::oracle::{CLIENT, EndId, Phase, SERVER, Shared};
use crate::peers::Raw;
use crate::plan::Plan;
use crate::requests::Phase as Answering;
use crate::requests::client::Client;
use crate::secure;

/// Turns in which all has to come to rest where the clock stands still.
const TURNS_TO_REST: usize = 60_000;
/// How long a shutdown may take to close all, one after the other.
const SHUTDOWN_WITHIN: Duration = Duration::from_millis(700);

/// Nothing, or the promise that did not hold, in words.
pub(crate) type Held = Result<(), String>;

/// All that takes part in a run.
pub(crate) struct World {
    net: SimNet,
    loops: Vec<Loop>,
    servers: Vec<SocketAddr>,
    peers: Vec<Raw>,
    oracle: Shared,
    random: Random,
    plan: Rc<Plan>,
    connections_left: usize,
    peers_left: usize,
    /// Clients that send requests for no upgrade, and the source of chance for them.
    clients: Vec<Client>,
    chance: Random,
    clients_left: usize,
    /// The source of chance for pauses.
    pausing: Random,
    /// The source of chance for pings.
    pinging: Random,
}

struct Loop {
    reactor: Reactor<App, SimNet>,
    net: SimNet,
    checks: Checks,
    /// It was given something to do from outside of a turn.
    poked: bool,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let mut random = Random::new(seed.wrapping_add(0x5EED));
        random.number();
        let mut plan = Plan::new(&mut random);
        // Another source of chance, so that all else stays what it is without them.
        let mut chance = random.apart();
        let mut pausing = chance.apart();
        if !options.without_requests {
            plan.add_requests(&mut chance);
        }
        if !options.without_pauses {
            plan.add_pauses(&mut pausing);
            // Drawn apart from the rest too.
            if pausing.apart().draw(3) == 0 {
                plan.full_until = plan.capacity / 3 * 2;
            }
        }
        let mut pinging = pausing.apart();
        if !options.without_pings {
            let pings = pinging.pick(&[0, 100, 300, 1000]);
            plan.pings = if plan.limits.unanswered_pings_max > 0 { pings } else { 0 };
            plan.reads_after_reset = pinging.draw(2) == 0;
        }
        let plan = Rc::new(plan);
        let net = SimNet::new(random.number());
        {
            let mut sim = net.sim();
            (sim.shared, sim.capacity, sim.odds) = (true, plan.capacity, plan.odds);
            sim.full_until = plan.full_until;
            sim.reads_after_reset = plan.reads_after_reset;
            sim.tells_room_unasked = options.without_asking;
            (sim.descriptors_max, sim.broken) = (plan.descriptors_max, options.broken);
            sim.trace.lines_max = options.lines_max;
        }
        let address = |number: usize| SocketAddr::from(([127, 0, 0, 1], 80 + number as u16));
        let mut world = Self {
            oracle: Shared::new(net.clone(), &plan),
            servers: (0..plan.servers).map(address).collect(),
            connections_left: plan.connections,
            peers_left: plan.peers,
            clients: Vec::new(),
            chance,
            clients_left: plan.requests,
            pausing,
            pinging,
            net,
            loops: Vec::new(),
            peers: Vec::new(),
            random,
            plan,
        };
        for number in 0..world.plan.servers + world.plan.clients {
            world.add_loop(number);
        }
        world
    }

    fn add_loop(&mut self, number: usize) {
        let net = if number == 0 { self.net.clone() } else { self.net.another() };
        let seed = self.random.number();
        let app = App::new(number, &self.oracle, seed, &self.plan, &self.servers);
        let mut reactor = Reactor::with_net(app, net.clone()).limits(self.plan.limits.clone());
        if self.plan.tls {
            reactor = reactor.client_tls(secure::client()).server_tls(secure::server());
        }
        if let Some(deflate) = self.plan.server_deflate {
            reactor = reactor.deflate(deflate);
        }
        if let Some(address) = self.servers.get(number) {
            reactor = reactor.listen(address).expect("nobody else listens");
        }
        self.loops.push(Loop { reactor, net, checks: Checks::new(number), poked: true });
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn tally(&self) -> BTreeMap<&'static str, usize> {
        self.oracle.get().tally.clone()
    }

    pub(crate) fn net(&self) -> &SimNet {
        &self.net
    }

    /// Runs it all, to the end.
    pub(crate) fn run(&mut self) -> Held {
        for _ in 0..self.plan.steps {
            self.step()?;
            if self.plan.requests > 0 {
                self.step_of_clients()?;
            }
            if self.plan.pauses > 0 {
                self.step_of_pauses();
            }
            if self.plan.pings > 0 {
                self.step_of_pings();
            }
        }
        self.calm_down()?;
        self.shut_down()
    }

    /// Lets one thing happen.
    fn step(&mut self) -> Held {
        match self.random.draw(100) {
            0..=39 => self.turn_any()?,
            40..=59 => self.peer_acts(),
            60..=69 if self.connections_left > 0 => {
                self.connections_left -= 1;
                let number = self.plan.servers + self.random.draw(self.plan.clients);
                self.on_loop(number, App::connect);
            }
            60..=74 => {
                let number = self.random.draw(self.loops.len());
                self.on_loop(number, App::poke);
            }
            75..=79 if self.peers_left > 0 => self.add_peer(),
            75..=89 => self.advance(Duration::ZERO, Duration::from_millis(20)),
            90..=93 => self.advance(Duration::ZERO, Duration::from_secs(3)),
            94 if self.random.happens(self.plan.jumps * 10) => {
                self.advance(Duration::from_secs(60), Duration::from_secs(20_000));
            }
            95..=96 => self.rest()?,
            _ => self.wait_for_next(),
        }
        Ok(())
    }

    /// Lets one thing happen that has to do with requests for no upgrade.
    fn step_of_clients(&mut self) -> Held {
        match self.chance.draw(60) {
            0..=19 if !self.clients.is_empty() => {
                let at = self.chance.draw(self.clients.len());
                self.clients[at].act(&mut self.chance);
            }
            20..=24 if self.clients_left > 0 => {
                self.clients_left -= 1;
                let address = self.chance.pick(&self.servers);
                if let Some(peer) = self.net.try_connect(address) {
                    let client = Client::new(peer, &self.oracle, &mut self.chance, &self.plan);
                    self.clients.push(client);
                }
            }
            25..=34 => {
                let number = self.chance.draw(self.servers.len());
                self.on_loop(number, App::write_from_outside);
            }
            35..=44 => self.turn_any()?,
            45 => self.rest()?,
            _ => {}
        }
        Ok(())
    }

    /// Lets something be paused or resumed from outside of any event.
    fn step_of_pauses(&mut self) {
        let number = self.pausing.draw(self.loops.len());
        match self.pausing.draw(60) {
            0 | 1 => self.on_loop(number, App::pause_any),
            2..=5 => self.on_loop(number, App::resume_any),
            _ => {}
        }
    }

    /// Lets a peer that is no engine ask whether the other end lives.
    fn step_of_pings(&mut self) {
        if !self.peers.is_empty() && self.pinging.happens(self.plan.pings) {
            let at = self.pinging.draw(self.peers.len());
            self.peers[at].ping();
            self.peers[at].act(&mut self.pinging);
        }
    }

    /// Posts a task to a loop, as another thread does.
    fn on_loop(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut App, &mut Hub<'_, Session>) + Send + 'static,
    ) {
        let posted = self.loops[number].reactor.handle().post(act);
        if let Err(error) = posted {
            self.oracle.get().fail(format!("a task cannot be posted: {error}"));
        }
    }

    fn add_peer(&mut self) {
        self.peers_left -= 1;
        let address = self.random.pick(&self.servers);
        if let Some(peer) = self.net.try_connect(address) {
            self.peers.push(Raw::new(peer, &self.oracle, &mut self.random));
        }
    }

    fn peer_acts(&mut self) {
        if self.peers.is_empty() {
            return;
        }
        let at = self.random.draw(self.peers.len());
        self.peers[at].speak(&mut self.random, &self.plan);
        self.peers[at].act(&mut self.random);
    }

    /// Lets some time pass, from this much to that much.
    fn advance(&mut self, from: Duration, to: Duration) {
        let micros = self.random.draw((to - from).as_micros() as usize);
        self.net.advance(from + Duration::from_micros(micros as u64));
    }

    /// A turn of a loop, mostly of one that has a reason for it.
    fn turn_any(&mut self) -> Held {
        let due = self.due();
        if due.is_empty() || self.random.draw(10) == 0 {
            let any = self.random.draw(self.loops.len());
            return self.turn(any);
        }
        let number = self.random.pick(&due);
        self.turn(number)
    }

    /// The loops whose polls would return now.
    fn due(&self) -> Vec<usize> {
        (0..self.loops.len()).filter(|it| self.is_due(*it)).collect()
    }

    fn is_due(&self, number: usize) -> bool {
        let it = &self.loops[number];
        let now = self.net.sim().now;
        let sleeps_until = self.net.sim().of_loop(number).sleeps_until;
        it.poked || sleeps_until.is_some_and(|at| at <= now) || it.net.has_events()
    }

    fn turn(&mut self, number: usize) -> Held {
        let it = &mut self.loops[number];
        it.poked = false;
        it.reactor.turn(None).map_err(|error| format!("a turn fails: {error}"))?;
        let open = it.reactor.handler().open().to_vec();
        let mut hub = it.reactor.hub();
        let waiting: Vec<(EndId, usize)> = open
            .iter()
            .map(|(end, id)| (*end, hub.connection(*id).map_or(0, |cx| cx.waiting_bytes())))
            .collect();
        let streams = it.reactor.handler().answers.streams().to_vec();
        let mut hub = it.reactor.hub();
        let of_streams: Vec<(usize, usize)> = streams
            .iter()
            .map(|(exchange, id)| {
                (*exchange, hub.connection(*id).map_or(0, |cx| cx.waiting_bytes()))
            })
            .collect();
        let held = hub.held_bytes();
        let mut oracle = self.oracle.get();
        it.checks.after_turn(&self.net, &mut oracle, &waiting);
        oracle.check_streams(number, &of_streams);
        oracle.check_held(&self.net, number, held);
        oracle.held()
    }

    /// Lets all happen that happens while the clock stands still. Whatever was sent has arrived then.
    fn rest(&mut self) -> Held {
        for _ in 0..TURNS_TO_REST {
            let due = self.due();
            let busy = (0..self.peers.len()).filter(|it| self.peers[*it].can_act());
            let busy: Vec<_> = busy.collect();
            let clients = (0..self.clients.len()).filter(|it| self.clients[*it].can_act());
            let clients: Vec<_> = clients.collect();
            let (due_or_busy, all) =
                (due.len() + busy.len(), due.len() + busy.len() + clients.len());
            if all == 0 {
                return self.check_rest();
            }
            match self.random.draw(all) {
                at if at < due.len() => self.turn(due[at])?,
                at if at < due_or_busy => self.peers[busy[at - due.len()]].act(&mut self.random),
                at => self.clients[clients[at - due_or_busy]].act(&mut self.chance),
            }
        }
        Err("it does not come to rest".into())
    }

    /// Everything that was accepted has arrived, where both ends are open, and no loop sleeps for too long. Only where
    /// each waits for the other to read do they wait, until one of them is cut: both are peers that do not read.
    fn check_rest(&self) -> Held {
        if let Some(peer) = self.peers.iter().find(|it| !it.has_all()) {
            return Err(format!("{peer} does not get what was sent to it"));
        }
        for client in &self.clients {
            client.check_rest()?;
        }
        let oracle = self.oracle.get();
        for number in 0..self.loops.len() {
            let until = self.net.sim().of_loop(number).sleeps_until;
            check_sleep(&oracle, number, until)?;
            oracle.check_sleep_of_requests(number, until)?;
        }
        let pause_bytes = self.plan.limits.outbox_pause_bytes;
        for link in &oracle.links {
            let open =
                link.ends.iter().all(|it| it.phase == Phase::Open && it.closing_at.is_none());
            // With TLS, what waits may be encrypted already.
            let is_full = oracle.secure && link.pipe.is_some_and(|it| self.net.sim().is_full(it));
            if !open || is_full || link.ends.iter().all(|it| it.waiting > pause_bytes) {
                continue;
            }
            for side in [CLIENT, SERVER] {
                let (end, other) = (&link.ends[side], &link.ends[1 - side]);
                // Who is paused takes nothing, and may keep its peer from sending, which then reads no further.
                if other.pause.lasts || end.pause.lasts && other.waiting > pause_bytes {
                    continue;
                }
                if let Some(next) = link.ends[side].ledger.next() {
                    return Err(format!("all is at rest, and {next:?} has not arrived"));
                }
            }
        }
        if let Some(id) = oracle.closes_without_end(|end| end.ledger.closed) {
            return Err(format!("all is at rest, and {id:?} has closed and not ended"));
        }
        oracle.held()
    }

    /// Moves the clock to the next time at which something happens by itself.
    fn wait_for_next(&mut self) {
        let sim = &mut self.net.sim();
        let loops = (0..self.loops.len()).filter_map(|it| sim.of_loop(it).sleeps_until);
        if let Some(next) = loops.chain(sim.next_late()).min() {
            sim.now = next.max(sim.now);
        }
    }

    /// The faults stop: all comes to rest.
    fn calm_down(&mut self) -> Held {
        self.net.sim().odds = Odds::CALM;
        for number in 0..self.loops.len() {
            self.on_loop(number, App::finish_parts);
            if self.plan.pauses > 0 {
                self.on_loop(number, App::resume_all);
            }
        }
        self.rest()?;
        for _ in 0..20 {
            self.wait_for_next();
            self.rest()?;
        }
        Ok(())
    }

    /// All loops end, and nothing is left.
    fn shut_down(&mut self) -> Held {
        if self.plan.pauses > 0 {
            (0..self.loops.len()).for_each(|number| self.on_loop(number, App::pause_some));
            self.rest()?;
        }
        self.oracle.get().shutting_down = true;
        for it in &mut self.loops {
            it.reactor.hub().shutdown(SHUTDOWN_WITHIN);
            it.poked = true;
        }
        let limits = &self.plan.limits;
        let within = limits.handshake_within + 2 * limits.close_within + SHUTDOWN_WITHIN;
        // A stream that its client takes nothing of is cut only then; what was taken last may be found out as late.
        let within = within + limits.pong_within * 2 * u32::from(self.plan.requests > 0);
        let all_closed_at = self.net.sim().now + SHUTDOWN_WITHIN + TICK;
        let until = self.net.sim().now + within + 10 * TICK;
        while !self.loops.iter().all(|it| it.reactor.is_finished()) {
            if self.net.sim().now > until {
                return Err("a shutdown takes too long".into());
            }
            self.rest()?;
            let before = self.net.sim().now;
            if before >= all_closed_at
                && let Some(id) = self.oracle.get().closes_without_end(|_| true)
            {
                return Err(format!("{id:?} is shut down, and does not end"));
            }
            self.wait_for_next();
            let finished = self.loops.iter().all(|it| it.reactor.is_finished());
            if !finished && self.net.sim().now == before {
                return Err("a shutdown does not end".into());
            }
        }
        self.check_end()
    }

    fn check_end(&mut self) -> Held {
        // By then all would have been closed.
        self.net.advance(SHUTDOWN_WITHIN);
        for number in 0..self.loops.len() {
            self.turn(number)?;
            self.turn(number)?;
            if let Some(timeout) = self.net.sim().of_loop(number).timeout {
                return Err(format!("loop {number} is finished, and has a timer of {timeout:?}"));
            }
        }
        let (streams, listeners) = (self.net.open_streams(), self.net.sim().listeners());
        if streams + listeners > 0 {
            return Err(format!("{streams} streams and {listeners} listeners are left"));
        }
        self.check_end_of_requests()?;
        for (number, link) in self.oracle.get().links.iter().enumerate() {
            for (side, end) in link.ends.iter().enumerate() {
                let begun = end.phase == Phase::Open || side == CLIENT;
                if begun && end.phase != Phase::Closed && end.at.is_some() {
                    return Err(format!("the end of {:?} was not told", (number, side)));
                }
            }
        }
        Ok(())
    }

    /// All requests have come to an end, and what was counted of them is what there was.
    fn check_end_of_requests(&mut self) -> Held {
        for client in &mut self.clients {
            client.check_end()?;
        }
        for (number, it) in self.loops.iter_mut().enumerate() {
            let hub = it.reactor.hub();
            let left = (hub.connections(), hub.handshakes(), hub.held_bytes());
            if left != (0, 0, 0) {
                return Err(format!("loop {number} is finished, and has {left:?}"));
            }
            let counters = hub.counters();
            let oracle = self.oracle.get();
            let mine = || oracle.exchanges.iter().filter(|it| it.at == Some(number));
            let streams = mine().filter(|it| it.phase != Answering::Answered).count();
            let counted = (counters.requests, counters.streams);
            if counted != (mine().count() as u64, streams as u64) {
                return Err(format!("loop {number} has counted {counted:?} requests and streams"));
            }
        }
        let oracle = self.oracle.get();
        let streaming = oracle.exchanges.iter().position(|it| it.phase == Answering::Streaming);
        let untold = |it| Err(format!("the end of the stream of request {it} was not told"));
        streaming.map_or(Ok(()), untold)
    }
}
