//! Prints the AsyncAPI document of `relay.v1`:
//!
//! `cargo run -p chat-relay --example asyncapi > examples/chat-relay/docs/asyncapi.json`

fn main() {
    print!("{}", chat_relay::asyncapi::text());
}
