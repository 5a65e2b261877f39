//! `chat`: the terminal client.

use std::process::ExitCode;

fn main() -> ExitCode {
    // What is not UTF-8 fits nowhere, and is then named with marks in its place.
    let arguments = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
    let environment = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
    ExitCode::from(chat_relay::chat::main(arguments, &environment))
}
