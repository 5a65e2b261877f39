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
    for (lengths, reads, why) in [
        (vec![1_000; 600], 3, "as much as the receive buffer holds, and the rest"),
        (vec![700_000], 2, "a bufferful, and the rest to where it is gathered"),
        (vec![700_000; 3], 4, "with the rest of each comes the start of the next"),
        ([vec![700_000], vec![1_000; 200]].concat(), 4, "two reads find out that they are short"),
    ] {
        let mut world = World::new(Limits::default());
        world.net.sim().capacity = 4 << 20;
        let peer = world.open();
        let before = world.net.sim().reads;
        let (sent, answered) = messages(&lengths);
        peer.write(&sent);
        world.run();
        assert_eq!(world.net.sim().reads - before, reads, "{why}");
        assert!(peer.read() == answered, "{why}");
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
        while got.len() < answered.len() {
            let count = world.net.sim().draw(400_000).min(to_send.len());
            let taken = peer.write_some(&to_send[..count]);
            to_send = &to_send[taken..];
            world.run_some(2);
            got.extend(peer.read());
            assert!(!world.journal().iter().any(|it| it.starts_with("close")), "seed {seed}");
        }
        assert!(got == answered, "seed {seed}");
    }
}
