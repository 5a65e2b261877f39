//! The client that the Autobahn test suite tests: runs every case that the suite's server offers.
//!
//! `cargo run --release --example autobahn_client -- ws://127.0.0.1:9002`
//!
//! For wss://, `--tls-root FILE` after the URL names the certificates to trust (PEM).

use std::process::ExitCode;

use tautline::client::{Client, ClientError};
use tautline::handshake::ClientRequest;
use tautline::tls::ClientTls;
use tautline::{Deflate, Limits, OwnedMessage};

/// What the suite's reports call us.
const AGENT: &str = "tautline";

/// The suite's server, and whom to trust where that is asked.
struct Suite {
    url: String,
    tls: Option<ClientTls>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (url, root) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [url] => (url, None),
        [url, "--tls-root", root] => (url, Some(root)),
        _ => {
            eprintln!(
                "autobahn_client: wanted are the URL of the suite's server, such as ws://127.0.0.1:9002, and for \
                 wss:// --tls-root FILE"
            );
            return ExitCode::from(2);
        }
    };
    let tls = match root.map(ClientTls::trusting).transpose() {
        Ok(tls) => tls,
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&Suite { url: url.trim_end_matches('/').into(), tls }) {
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

fn run(suite: &Suite) -> Result<u32, ClientError> {
    let mut count = suite.connect("/getCaseCount")?;
    let cases = match count.read()? {
        Some(OwnedMessage::Text(text)) => text.trim().parse().unwrap_or(0),
        _ => 0,
    };
    for case in 1..=cases {
        // A case may end in any way: the suite judges it.
        let _ = suite.echo(&format!("/runCase?case={case}&agent={AGENT}"));
    }
    // The suite may end before it answers the last request.
    let _ = suite.echo(&format!("/updateReports?agent={AGENT}&shutdownOnComplete=true"));
    Ok(cases)
}

impl Suite {
    fn connect(&self, path: &str) -> Result<Client, ClientError> {
        let mut limits = Limits::default();
        limits.message_bytes_max = 64 * 1024 * 1024;
        let mut deflate = Deflate::default();
        deflate.sending.context_takeover = true;
        deflate.receiving.context_takeover = true;
        let url = format!("{}{path}", self.url);
        let request = ClientRequest::new(url.parse()?).deflate(deflate);
        match &self.tls {
            Some(tls) => Client::connect_tls(&request, limits, tls),
            None => Client::connect(&request, limits),
        }
    }

    /// Sends back what comes, until the server closes.
    fn echo(&self, path: &str) -> Result<(), ClientError> {
        let mut client = self.connect(path)?;
        while let Some(message) = client.read()? {
            client.send(message.as_message())?;
        }
        Ok(())
    }
}
