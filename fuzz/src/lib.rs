//! What each fuzz target asserts. The targets call these with what the fuzzer makes up, `tests/fuzz_seeds.rs` with the
//! seeds, on stable Rust.

mod bytes;
mod compressed;
mod connections;
mod differential;
mod handshakes;
mod memory;
#[path = "../../tests/simulator/src/net/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the simulator uses the rest")]
mod net;
mod reactor;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tls;

pub use bytes::{frame_header, mask, utf8};
pub use compressed::{compressed_wire, inflate, negotiation};
pub use connections::{connection_client, connection_server, wire};
pub use differential::against_tungstenite;
pub use handshakes::{client_head, server_head};
pub use reactor::reactor;
pub use tls::tls;

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// All targets, by the name that their folder of seeds has too.
pub const TARGETS: [(&str, Target); 14] = [
    ("frame_header", frame_header),
    ("mask", mask),
    ("utf8", utf8),
    ("server_head", server_head),
    ("client_head", client_head),
    ("connection_server", connection_server),
    ("connection_client", connection_client),
    ("wire", wire),
    ("inflate", inflate),
    ("negotiation", negotiation),
    ("compressed_wire", compressed_wire),
    ("tls", tls),
    ("reactor", reactor),
    ("against_tungstenite", against_tungstenite),
];

/// Numbers without a pattern, all from one byte: the lengths of the runs in which bytes are given.
fn lengths(seed: u8) -> impl Iterator<Item = usize> {
    let mut state = u32::from(seed) << 8 | 1;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Mostly short ones, since what is short is cut most often.
        let bits = 1 + (state >> 28) % 9;
        1 + (state >> 8) as usize % (1 << bits)
    })
}

/// Where runs of these lengths end.
fn cuts(seed: u8, bytes: usize) -> Vec<usize> {
    let ends = lengths(seed).scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    ends.take_while(|end| *end < bytes).collect()
}
