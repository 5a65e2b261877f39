//! Connections that end anywhere: in a handshake, in a frame, between a commit and its answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::kill::people;
use crate::person::{Ending, World};
use crate::process::{Folder, Relay};
use crate::proxy::Proxy;
use crate::random::Random;

#[test]
fn nothing_is_lost_or_doubled_when_connections_are_cut_at_any_byte() {
    let cuts = std::env::var("CHAT_RELAY_CUTS").map_or(100, |it| it.parse().unwrap());
    let mut random = Random::of_this_run("cut");
    let folder = Folder::new("cut");
    let relay = Relay::start(folder.path(), &[]);
    let world = World::new(relay.address, Duration::from_secs(120 + cuts));
    let people = people(&world, &mut random);
    let proxy = Proxy::start(relay.address, random.fork());
    *world.address.lock().unwrap() = proxy.address;
    std::thread::scope(|scope| {
        let ending = Ending(&world);
        for person in people {
            scope.spawn(|| person.run());
        }
        world.wait_until("connections were cut", || proxy.cuts() >= cuts);
        drop(ending);
        proxy.heal();
    });
    let total = world.acknowledged.load(Ordering::SeqCst);
    println!("{} cuts, {total} messages", proxy.cuts());
    for room in ["all", "some"] {
        let (acknowledged, seen) = world.ledger.lengths(room);
        assert_eq!(acknowledged, seen, "{room}: all that was acknowledged was seen, and no more");
    }
}
