//! Runs seeds, and says which did not hold.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use simulator::{Options, run};

const USAGE: &str = "\
Runs the event loop of tautline in simulated worlds, and checks its promises.

Usage: simulator [--seeds N] [--from K] [--without-requests] [--without-pauses]
                 [--without-pings] [--without-asking]
       simulator --seed K [--without-...]

  --seeds N   how many worlds (default 1000)
  --from K    the seed of the first one (default 0)
  --seed K    this one only, with all that happens in it
  --without-requests
              with WebSockets only, and no other requests
  --without-pauses
              with applications that pause nothing
  --without-pings
              with peers that ask nobody whether it lives, and where a reset
              takes with it what had come
  --without-asking
              with sockets that tell of room to write before they are asked to
  --help      this text

The exit status is 0 when all promises held, 1 when one did not, and 2 when the
arguments are wrong.";

/// Lines of the trace that are shown of a run that failed.
const LINES_SHOWN: usize = 60;

enum Task {
    Help,
    Seeds { from: u64, count: u64, options: Options },
    One(u64, Options),
}

fn main() -> ExitCode {
    let task = match parse(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let held = match task {
        Task::Help => say(USAGE),
        Task::One(seed, options) => one(seed, options),
        Task::Seeds { from, count, options } => seeds(from, count, options),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Nobody reads on.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task, String> {
    let (mut from, mut count, mut only) = (0, 1000, None);
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or(format!("{name} needs a number"))?;
            value.parse().map_err(|_| format!("{name}: {value} is no number"))
        };
        match name.as_str() {
            "--help" | "-h" => return Ok(Task::Help),
            "--seeds" => count = number()?,
            "--from" => from = number()?,
            "--seed" => only = Some(number()?),
            "--without-requests" => options.without_requests = true,
            "--without-pauses" => options.without_pauses = true,
            "--without-pings" => options.without_pings = true,
            "--without-asking" => options.without_asking = true,
            other => return Err(format!("there is no option {other}")),
        }
    }
    Ok(match only {
        Some(seed) => Task::One(seed, options),
        None => Task::Seeds { from, count, options },
    })
}

fn say(what: impl fmt::Display) -> io::Result<bool> {
    writeln!(io::stdout().lock(), "{what}")?;
    Ok(true)
}

fn one(seed: u64, options: Options) -> io::Result<bool> {
    let outcome = run(seed, Options { lines_max: usize::MAX, ..options });
    say(format!("{:#?}", outcome.plan))?;
    say(&outcome)?;
    Ok(outcome.failure.is_none())
}

fn seeds(from: u64, count: u64, options: Options) -> io::Result<bool> {
    for seed in from..from.saturating_add(count) {
        let outcome = run(seed, Options { lines_max: LINES_SHOWN, ..options });
        if outcome.failure.is_some() {
            say(&outcome)?;
            return Ok(false);
        }
    }
    say(format!("{count} seeds from {from}: all held"))
}
