//! Somebody who sends, reads, marks and comes back, and holds the relay to what it promises.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ledger::Ledger;
use crate::link::{Link, Lost};
use crate::random::Random;

/// What the people of a test share.
pub(crate) struct World {
    pub(crate) address: Mutex<SocketAddr>,
    pub(crate) ledger: Ledger,
    /// Nobody begins anything new any more.
    pub(crate) ends: AtomicBool,
    pub(crate) acknowledged: AtomicU64,
    deadline: Instant,
}

impl World {
    pub(crate) fn new(address: SocketAddr, within: Duration) -> Self {
        Self {
            address: Mutex::new(address),
            ledger: Ledger::default(),
            ends: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            deadline: Instant::now() + within,
        }
    }

    /// Waits until it is so.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        while !is_so() {
            assert!(Instant::now() < self.deadline, "it takes too long until {what}");
            sleep(Duration::from_millis(5));
        }
    }
}

/// Ends the others' work also when a test fails.
pub(crate) struct Ending<'a>(pub(crate) &'a World);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Draft {
    room: String,
    cid: String,
    body: Value,
}

/// What an answer is waited for.
enum Asked {
    Send(Draft),
    /// A message that was acknowledged with this number is sent once more.
    Again(Draft, u64),
    Get {
        room: String,
        from: u64,
        to: u64,
    },
    Members {
        room: String,
    },
    Ping,
}

pub(crate) struct Person<'a> {
    world: &'a World,
    name: String,
    token: Value,
    random: Random,
    /// Whether the person sends, or only reads.
    writes: bool,
    /// For each room its epoch, and the last message that arrived.
    rooms: BTreeMap<String, (Value, u64)>,
    /// For each room, the last message that arrived on this connection.
    heard: HashMap<String, u64>,
    /// The marks that were seen, by room and person.
    marks: HashMap<(String, String), (u64, u64)>,
    drafts: Vec<Draft>,
    acknowledged: Vec<(Draft, u64)>,
    cids: u64,
    ids: u64,
}

impl<'a> Person<'a> {
    /// A new person, in these rooms.
    pub(crate) fn new(
        world: &'a World,
        name: &str,
        rooms: &[&str],
        writes: bool,
        random: Random,
    ) -> Self {
        let mut link = Link::connect(*world.address.lock().unwrap()).unwrap();
        let hello = json!({"id": 1, "hello": {"v": 1, "name": name, "device": "d"}});
        let token = link.ask(&hello).unwrap()["ok"]["token"].take();
        let mut person = Self {
            world,
            name: name.to_owned(),
            token,
            random,
            writes,
            rooms: BTreeMap::new(),
            heard: HashMap::new(),
            marks: HashMap::new(),
            drafts: Vec::new(),
            acknowledged: Vec::new(),
            cids: 0,
            ids: 1,
        };
        for room in rooms {
            let joined = link.ask(&json!({"id": 2, "join": {"room": room}})).unwrap();
            person.rooms.insert((*room).to_owned(), (joined["ok"]["epoch"].clone(), 0));
        }
        person
    }

    /// Comes back until the work is done. Then everything is there, once.
    pub(crate) fn run(mut self) {
        while self.live().is_err() {
            assert!(Instant::now() < self.world.deadline, "{} comes to no end", self.name);
            sleep(Duration::from_millis(self.random.below(20)));
        }
        while self.check_all().is_err() {
            assert!(Instant::now() < self.world.deadline, "{} cannot check", self.name);
            sleep(Duration::from_millis(20));
        }
    }

    /// One connection, to the end of the work or of the connection.
    fn live(&mut self) -> Result<(), Lost> {
        let mut link = Link::connect(*self.world.address.lock().unwrap())?;
        // Some clients have lost some of what they had.
        let forgotten = if self.random.one_in(3) { self.random.below(50) } else { 0 };
        self.hello(&mut link, forgotten)?;
        while !self.world.ends.load(Ordering::SeqCst) || !self.drafts.is_empty() {
            self.turn(&mut link)?;
            sleep(Duration::from_millis(self.random.below(120)));
        }
        Ok(())
    }

    /// Reads all logs from the beginning.
    fn check_all(&mut self) -> Result<(), Lost> {
        let mut link = Link::connect(*self.world.address.lock().unwrap())?;
        self.hello(&mut link, u64::MAX)
    }

    fn hello(&mut self, link: &mut Link, forgotten: u64) -> Result<(), Lost> {
        let cursor = |(epoch, last): &(Value, u64)| (epoch.clone(), last.saturating_sub(forgotten));
        let at: BTreeMap<_, _> =
            self.rooms.iter().map(|(room, it)| (room.clone(), cursor(it))).collect();
        self.heard = at.iter().map(|(room, (_, last))| (room.clone(), *last)).collect();
        let hello = json!({"v": 1, "token": self.token, "device": "d", "at": at});
        let ok = link.ask(&json!({"id": 0, "hello": hello}))?["ok"].take();
        assert_eq!(ok["user"], *self.name, "{ok}");
        assert_eq!(ok["refused"], Value::Null, "{ok}");
        let rooms = self.rooms.clone();
        for (room, (_, last)) in &rooms {
            let info = &ok["rooms"][room];
            self.world.ledger.epoch(room, &info["epoch"]);
            assert!(info["head"].as_u64().unwrap() >= *last, "{room} ends before {last}: {info}");
            let name = self.name.clone();
            self.see_mark(room, &name, info);
        }
        let mut missing = rooms.len();
        while missing > 0 {
            let line = link.hear()?;
            missing -= usize::from(line.get("live").is_some());
            self.hear(&line);
        }
        Ok(())
    }

    /// Says some lines in one frame, and waits for their answers.
    fn turn(&mut self, link: &mut Link) -> Result<(), Lost> {
        let mut asked = HashMap::new();
        let mut lines = Vec::new();
        for ask in self.plan() {
            self.ids += 1;
            lines.push(self.line(self.ids, &ask));
            asked.insert(self.ids, ask);
        }
        if self.random.one_in(2) {
            let room = self.any_room();
            let last = self.rooms[&room].1;
            let read = last.saturating_sub(self.random.below(3));
            lines.push(json!({"mark": {"room": room, "recv": last, "read": read}}));
        }
        link.say(&lines)?;
        while !asked.is_empty() {
            let line = link.hear()?;
            match line["id"].as_u64() {
                Some(id) => self.answered(asked.remove(&id).expect("an id of ours"), &line),
                None => self.hear(&line),
            }
        }
        Ok(())
    }

    fn plan(&mut self) -> Vec<Asked> {
        let mut plan = vec![Asked::Ping];
        if self.random.one_in(4) {
            plan.push(Asked::Members { room: self.any_room() });
        }
        let room = self.any_room();
        let last = self.rooms[&room].1;
        if last > 0 && self.random.one_in(6) {
            let from = 1 + self.random.below(last);
            plan.push(Asked::Get { room, from, to: last });
        }
        if !self.writes {
            return plan;
        }
        if !self.world.ends.load(Ordering::SeqCst) {
            for _ in 0..=self.random.below(3) {
                self.cids += 1;
                let (room, cid) = (self.any_room(), format!("{}-{}", self.name, self.cids));
                let text = "word ".repeat(usize::try_from(self.random.below(40)).unwrap());
                self.drafts.push(Draft { room, cid, body: json!({"text": text}) });
            }
        }
        plan.extend(self.drafts.iter().take(40).cloned().map(Asked::Send));
        let old = u64::try_from(self.acknowledged.len()).unwrap();
        if old > 0 && self.random.one_in(5) {
            let index = usize::try_from(self.random.below(old)).unwrap();
            let (draft, seq) = self.acknowledged[index].clone();
            plan.push(Asked::Again(draft, seq));
        }
        plan
    }

    fn any_room(&mut self) -> String {
        let rooms = u64::try_from(self.rooms.len()).unwrap();
        let index = usize::try_from(self.random.below(rooms)).unwrap();
        self.rooms.keys().nth(index).unwrap().clone()
    }

    fn line(&self, id: u64, asked: &Asked) -> Value {
        match asked {
            Asked::Send(Draft { room, cid, body }) | Asked::Again(Draft { room, cid, body }, _) => {
                json!({"id": id, "send": {"room": room, "cid": cid, "body": body}})
            }
            Asked::Get { room, from, to } => {
                json!({"id": id, "get": {"room": room, "from": from, "to": to}})
            }
            Asked::Members { room } => json!({"id": id, "members": {"room": room}}),
            Asked::Ping => json!({"id": id, "ping": {}}),
        }
    }

    fn answered(&mut self, asked: Asked, line: &Value) {
        if let Some(error) = line.get("err") {
            return wait(error);
        }
        let ok = &line["ok"];
        match asked {
            Asked::Send(draft) => {
                let seq = ok["seq"].as_u64().unwrap();
                self.world.ledger.acknowledge(&draft.room, &self.name, &draft.cid, seq);
                self.world.acknowledged.fetch_add(1, Ordering::SeqCst);
                self.drafts.retain(|it| it.cid != draft.cid);
                self.acknowledged.push((draft, seq));
            }
            Asked::Again(draft, seq) => {
                assert_eq!((&ok["seq"], &ok["dup"]), (&json!(seq), &json!(true)), "{}", draft.cid);
            }
            Asked::Get { room, from, to } => {
                let msgs = ok["msgs"].as_array().unwrap();
                let seen: Vec<_> = msgs.iter().map(|it| self.world.ledger.see(it)).collect();
                let end = from + u64::try_from(seen.len()).unwrap();
                assert!(!seen.is_empty() && end <= to + 1, "{from} to {to}: {} came", seen.len());
                assert!(seen.into_iter().eq((from..end).map(|seq| (room.clone(), seq))));
            }
            Asked::Members { room } => {
                for member in ok["members"].as_array().unwrap() {
                    self.see_mark(&room, member["user"].as_str().unwrap(), member);
                }
            }
            Asked::Ping => {}
        }
    }

    /// An event.
    fn hear(&mut self, line: &Value) {
        if let Some(msg) = line.get("msg") {
            let (room, seq) = self.world.ledger.see(msg);
            let heard = self.heard.get_mut(&room).unwrap();
            assert_eq!(seq, *heard + 1, "{}: {room} has a hole, or something twice", self.name);
            *heard = seq;
            let last = &mut self.rooms.get_mut(&room).unwrap().1;
            *last = seq.max(*last);
        } else if let Some(live) = line.get("live") {
            let room = live["room"].as_str().unwrap();
            assert_eq!(live["head"], self.heard[room], "{}: {room} is not whole", self.name);
            assert!(self.heard[room] >= self.rooms[room].1, "{}: {room} has lost", self.name);
        } else if let Some(mark) = line.get("mark") {
            self.see_mark(mark["room"].as_str().unwrap(), mark["user"].as_str().unwrap(), mark);
        } else if let Some(error) = line.get("err") {
            // Of a mark, which has no id.
            wait(error);
        } else {
            let known = ["presence", "member"].iter().any(|it| line.get(it).is_some());
            assert!(known, "{}: {line}", self.name);
        }
    }

    fn see_mark(&mut self, room: &str, user: &str, mark: &Value) {
        let new = (mark["recv"].as_u64().unwrap(), mark["read"].as_u64().unwrap());
        let seen = self.marks.entry((room.to_owned(), user.to_owned())).or_default();
        assert!(new.0 >= seen.0 && new.1 >= seen.1, "{user} in {room}: {seen:?} became {new:?}");
        *seen = new;
    }
}

/// Only to wait is ever asked for, and it is done.
fn wait(error: &Value) {
    assert!(matches!(error["code"].as_str(), Some("rate" | "busy")), "{error}");
    sleep(Duration::from_millis(error["retry_ms"].as_u64().unwrap()));
}
