//! `kill -9` and SIGTERM at any moment.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::person::{Ending, Person, World};
use crate::process::{Folder, Relay};
use crate::random::Random;

/// Three kills; `CHAT_RELAY_KILLS=100` for as many as it says.
#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_relay_is_killed() {
    let kills = std::env::var("CHAT_RELAY_KILLS").map_or(3, |it| it.parse().unwrap());
    restart("kill", kills, drop);
}

#[cfg(unix)]
#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_relay_is_asked_to_stop() {
    restart("stop", 2, Relay::stop);
}

fn restart(name: &str, kills: u64, end: fn(Relay)) {
    let mut random = Random::of_this_run(name);
    let folder = Folder::new(name);
    let mut relay = Relay::start(folder.path(), &[]);
    let world = World::new(relay.address, Duration::from_secs(120 + 10 * kills));
    let people = people(&world, &mut random);
    let started = Instant::now();
    // The last one runs until everybody is done.
    let _relay = std::thread::scope(|scope| {
        let ending = Ending(&world);
        for person in people {
            scope.spawn(|| person.run());
        }
        for _ in 0..kills {
            let before = world.acknowledged.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(random.below(600)));
            if random.one_in(2) {
                // Otherwise it may come before anybody is back.
                world.wait_until("messages are stored", || {
                    world.acknowledged.load(Ordering::SeqCst) > before + 20
                });
            }
            end(relay);
            relay = Relay::start(folder.path(), &[]);
            *world.address.lock().unwrap() = relay.address;
        }
        drop(ending);
        relay
    });
    let total = world.acknowledged.load(Ordering::SeqCst);
    println!("{name}: {kills} times, {total} messages, {:.1} s", started.elapsed().as_secs_f64());
    assert!(total > 0);
    for room in ["all", "some"] {
        let (acknowledged, seen) = world.ledger.lengths(room);
        assert_eq!(acknowledged, seen, "{room}: all that was acknowledged was seen, and no more");
    }
}

/// Eight who write and two who only read; a room of all, and one of half of them.
pub(crate) fn people<'a>(world: &'a World, random: &mut Random) -> Vec<Person<'a>> {
    let rooms = |n: usize| if n.is_multiple_of(2) { &["all", "some"][..] } else { &["all"][..] };
    let person = |n| Person::new(world, &format!("p{n}"), rooms(n), n < 8, random.fork());
    (0..10).map(person).collect()
}
