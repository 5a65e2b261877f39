//! The program: what it prints, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::net::TcpListener;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-relay")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_is_printed_where_it_can_be_piped() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("--listen ADDR"));
    assert!(text(&output.stdout).lines().all(|line| line.chars().count() <= 80));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_command_line_that_cannot_be_followed_ends_with_2_and_says_what_to_do() {
    for arguments in [&["--port", "80"][..], &["--listen"], &["--listen", "80"], &["--origin", "x"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.starts_with("chat-relay: ") && error.lines().count() == 1, "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains(&format!("{address} is in use")) && error.contains("--listen"),
        "{error}"
    );
}

#[test]
fn an_address_that_is_nobodys_is_named() {
    let output = run(&["--listen", "192.0.2.1:8080"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("192.0.2.1:8080"), "{}", text(&output.stderr));
}

#[cfg(unix)]
#[test]
fn it_says_where_it_is_and_stops_when_it_is_asked_to() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    for signal in ["-INT", "-TERM"] {
        let mut relay = Command::new(env!("CARGO_BIN_EXE_chat-relay"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("http://127.0.0.1:") && !line.contains(":0/"), "{line}");
        let killed = Command::new("kill").args([signal, &relay.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(relay.wait().unwrap().code(), Some(0), "{signal}");
    }
}
