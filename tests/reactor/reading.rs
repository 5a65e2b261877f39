//! Reading: how much at a time, and to where.

use super::*;

/// Messages so long that they do not fit into the receive buffer, and short ones.
fn messages(lengths: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let payloads = lengths.iter().zip((0..=255).cycle()).map(|(&length, byte)| vec![byte; length]);
    payloads
        .map(|payload| (frame(0x82, &payload), plain(0x82, &payload)))
        .fold(Default::default(), |(sent, answered), (frame, answer)| {
            ([sent, frame].concat(), [answered, answer].concat())
        })
}

#[test]
fn little_is_read_only_where_a_long_message_is_likely_to_begin() {
    const LONG: usize = 700_000;
    for (lengths, reads, to_its_place, why) in [
        (vec![1_000; 600], 3, 0, "as much as the receive buffer holds, and the rest"),
        (vec![LONG], 2, LONG - 262_130, "a bufferful, and the rest"),
        (vec![LONG; 3], 4, 3 * LONG - 262_130 - 2 * 16_370, "the start comes with the end before"),
        ([vec![LONG], vec![1_000; 200]].concat(), 3, LONG - 262_130, "the second read finds out"),
        (vec![400_000; 3], 4, 3 * 400_000 - 262_130 - 2 * 16_370, "as long as it does not fit"),
        (vec![200_000; 4], 3, 75_754, "what fits is read with what is behind it"),
    ] {
        // Each in a thread of its own, as a thread keeps buffers to gather in; the first message makes some.
        let row = move || {
            let mut world = World::new(Limits::default());
            world.net.sim().capacity = 4 << 20;
            let (sent, answered) = messages(&lengths);
            let maker = world.open();
            maker.write(&frame(0x82, &[0; LONG]));
            world.run();
            let peer = world.open();
            let counts = |world: &World| {
                let sim = world.net.sim();
                (sim.reads, sim.read_first)
            };
            let before = counts(&world);
            peer.write(&sent);
            world.run();
            let after = counts(&world);
            assert_eq!((after.0 - before.0, after.1 - before.1), (reads, to_its_place), "{why}");
            assert!(peer.read() == answered, "{why}");
        };
        std::thread::spawn(row).join().unwrap();
    }
}

#[test]
fn long_messages_and_short_ones_are_answered_in_order_however_their_bytes_come() {
    let lengths = [700_000, 5, 300_000, 270_000, 16_370, 16_384, 900_000, 0, 262_130, 1_000_000, 7];
    let (sent, answered) = messages(&lengths);
    for seed in 0..16 {
        let mut world = World::with_seed(Limits::default(), seed);
        let peer = world.open();
        world.net.sim().odds = Odds { short_read: 300, ..Odds::ROUGH };
        world.net.sim().capacity = [30_000, 100_000, 300_000, 4 << 20][seed as usize % 4];
        let (mut to_send, mut got) = (&sent[..], Vec::new());
        for _ in 0..20_000 {
            if got.len() == answered.len() {
                break;
            }
            let count = world.net.sim().draw(400_000).min(to_send.len());
            let taken = peer.write_some(&to_send[..count]);
            to_send = &to_send[taken..];
            world.run_some(2);
            got.extend(peer.read());
            assert!(!world.journal().iter().any(|it| it.starts_with("close")), "seed {seed}");
        }
        assert!(got == answered, "seed {seed}: {} of {} bytes", got.len(), answered.len());
    }
}
