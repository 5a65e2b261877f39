//! The client that the Autobahn test suite tests: runs every case that the suite's server offers.
//!
//! `cargo run --release --example autobahn_client -- ws://127.0.0.1:9002`

use std::process::ExitCode;

use tautline::client::{Client, ClientError};
use tautline::handshake::ClientRequest;
use tautline::{Deflate, Limits, OwnedMessage};

/// What the suite's reports call us.
const AGENT: &str = "tautline";

fn main() -> ExitCode {
    let Some(server) = std::env::args().nth(1) else {
        eprintln!(
            "autobahn_client: the URL of the suite's server is missing, such as ws://127.0.0.1:9002"
        );
        return ExitCode::from(2);
    };
    match run(server.trim_end_matches('/')) {
        Ok(cases) => {
            println!("{cases} cases run");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(server: &str) -> Result<u32, ClientError> {
    let mut count = connect(&format!("{server}/getCaseCount"))?;
    let cases = match count.read()? {
        Some(OwnedMessage::Text(text)) => text.trim().parse().unwrap_or(0),
        _ => 0,
    };
    for case in 1..=cases {
        // A case may end in any way: the suite judges it.
        let _ = echo(&format!("{server}/runCase?case={case}&agent={AGENT}"));
    }
    // The suite may end before it answers the last request.
    let _ = echo(&format!("{server}/updateReports?agent={AGENT}&shutdownOnComplete=true"));
    Ok(cases)
}

fn connect(url: &str) -> Result<Client, ClientError> {
    let mut limits = Limits::default();
    limits.message_bytes_max = 64 * 1024 * 1024;
    let mut deflate = Deflate::default();
    deflate.sending.context_takeover = true;
    deflate.receiving.context_takeover = true;
    Client::connect(&ClientRequest::new(url.parse()?).deflate(deflate), limits)
}

/// Sends back what comes, until the server closes.
fn echo(url: &str) -> Result<(), ClientError> {
    let mut client = connect(url)?;
    while let Some(message) = client.read()? {
        client.send(message.as_message())?;
    }
    Ok(())
}
