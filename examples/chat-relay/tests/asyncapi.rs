//! The committed AsyncAPI document says what the types say, and all of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::path::Path;

use chat_relay::asyncapi;
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn file() -> Value {
    serde_json::from_str(&read("docs/asyncapi.json")).unwrap()
}

#[test]
fn the_file_is_what_the_types_say() {
    assert!(
        read("docs/asyncapi.json") == asyncapi::text(),
        "the protocol has changed; write the file anew:\n\
         cargo run -p chat-relay --example asyncapi > examples/chat-relay/docs/asyncapi.json"
    );
}

#[test]
fn every_command_is_in_it_with_its_answer() {
    let refusal = chat_relay::protocol::parse(r#"{"no_such_command":{}}"#).unwrap_err();
    let listed = refusal.text.split("there are ").nth(1).unwrap().replace(" and ", ", ");
    let (file, mut count) = (file(), 0);
    for command in listed.split(", ").chain(["admin"]) {
        let messages = &file["channels"]["socket"]["messages"];
        assert!(messages[command]["payload"]["properties"][command].is_object(), "{command}");
        let answer = &messages[format!("{command}_ok")]["payload"]["properties"]["ok"];
        assert!(answer.is_object(), "{command} has no answer");
        assert_eq!(file["operations"][command]["action"], "receive", "{command}");
        count += 1;
    }
    // And `tell`, for what the relay says.
    assert_eq!(file["operations"].as_object().unwrap().len(), count + 1);
}

#[test]
fn every_error_code_is_in_it() {
    let source = read("src/protocol/problem.rs");
    let body = source.split("pub enum ErrorCode {").nth(1).unwrap().split("\n}").next().unwrap();
    let snake = |name: &str| {
        let lower = |c: char| match c.is_ascii_uppercase() {
            true => format!("_{}", c.to_ascii_lowercase()),
            false => c.to_string(),
        };
        name.chars().map(lower).collect::<String>().trim_start_matches('_').to_owned()
    };
    let lines = body.lines().map(str::trim).filter(|it| !it.starts_with("//"));
    let names: Vec<_> = lines.filter_map(|it| it.strip_suffix(',')).map(snake).collect();
    assert!(names.len() > 20);
    let file = file();
    let codes = file["components"]["schemas"]["ErrorCode"]["oneOf"].as_array().unwrap();
    let codes: Vec<_> = codes.iter().map(|it| it["const"].as_str().unwrap()).collect();
    assert_eq!(codes, names);
}

#[test]
fn every_close_code_is_in_it() {
    let source = read("src/protocol/mod.rs");
    let written = source.lines().filter_map(|it| it.split(": u16 = ").nth(1));
    let written: Vec<_> = written.map(|it| it.trim_end_matches(';').to_owned()).collect();
    let file = file();
    let codes = file["channels"]["socket"]["x-close-codes"].as_object().unwrap();
    assert_eq!(codes.keys().collect::<Vec<_>>(), written.iter().collect::<Vec<_>>());
}
