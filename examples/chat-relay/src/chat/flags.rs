//! The command line of `chat`.

use std::path::PathBuf;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use tautline::handshake::Url;

use super::Place;

const HELP: &str = include_str!("help.txt");

/// What was asked for.
#[derive(Debug, Parser)]
#[command(name = "chat", version, override_help = HELP)]
pub(super) struct Options {
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws", value_parser = url)]
    pub(super) url: Url,
    #[arg(long)]
    pub(super) name: Option<String>,
    #[arg(long)]
    pub(super) token_file: Option<PathBuf>,
    #[arg(long)]
    pub(super) ca: Option<PathBuf>,
    #[arg(long)]
    pub(super) register: bool,
    #[arg(long)]
    pub(super) invitation: Option<String>,
    #[arg(long)]
    pub(super) password_file: Option<PathBuf>,
    #[arg(long)]
    pub(super) json: bool,
    #[arg(long)]
    pub(super) stay: bool,
    #[arg(long)]
    pub(super) interactive: bool,
    #[arg(value_parser = Place::parse)]
    pub(super) place: Option<Place>,
}

/// Why nothing is started.
#[derive(Debug)]
pub(super) enum Stop {
    Print(String),
    BadUsage(String),
}

pub(super) fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, Stop> {
    let arguments = std::iter::once("chat".to_owned()).chain(arguments);
    let options = Options::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Stop::Print(error.render().to_string())
        }
        _ => Stop::BadUsage(said(&error)),
    })?;
    if options.json && options.interactive {
        return Err(Stop::BadUsage(
            "--json is for programs, --interactive for people: leave out one".into(),
        ));
    }
    if options.name.as_deref() == Some("") {
        return Err(Stop::BadUsage("--name needs a name".into()));
    }
    if options.invitation.is_some() && !options.register {
        return Err(Stop::BadUsage("--invitation goes with --register".into()));
    }
    Ok(options)
}

fn url(text: &str) -> Result<Url, String> {
    text.parse().map_err(|error| format!("{error}; write it as in ws://127.0.0.1:8080/ws"))
}

/// One line that says what is wrong, and what to do.
fn said(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(list)) => list.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    let value = context(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let meant = context(ContextKind::SuggestedArg);
            let meant = if meant.is_empty() { meant } else { format!("did you mean {meant}? ") };
            format!("{argument:?} is not understood; {meant}--help lists what is")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if value.is_empty() => {
            format!("{argument} needs a value; --help says which")
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            let flag = argument.split(' ').next().unwrap_or_default();
            format!("{flag} {value:?} cannot be: {}", why.unwrap_or_default())
        }
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            format!("{}; --help says more", line.trim_start_matches("error: "))
        }
    }
}
