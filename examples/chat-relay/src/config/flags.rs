//! The command line: its flags, its help, and what is said to one that is not understood.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};
use tautline::handshake::Url;

use super::setting::{Given, Givens, Setting, Source, from_environment};
use super::{AdminAction, Command, Problem, Stop, file, resolve};

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");
const CONFIG_VARIABLE: &str = "CHAT_RELAY_CONFIG";

/// The command line as it was written.
#[derive(Parser)]
#[command(name = "chat-relay", version, override_help = HELP)]
#[command(disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
#[command(allow_negative_numbers = true)]
pub(super) struct CommandLine {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Other>,
}

/// The flags of a relay that runs. All are texts here: they are read together with those of the other places.
#[derive(Args)]
struct Flags {
    #[arg(long)]
    listen: Vec<String>,
    #[arg(long)]
    origin: Vec<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    metrics: Option<String>,
    #[arg(long)]
    connections_per_address: Option<String>,
    #[arg(long)]
    tls_cert: Option<String>,
    #[arg(long)]
    tls_key: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_self_signed: Option<String>,
    #[arg(long)]
    data: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    memory: Option<String>,
    #[arg(long)]
    data_bytes_max: Option<String>,
    #[arg(long)]
    keep_days: Option<String>,
    #[arg(long)]
    keep_messages: Option<String>,
    #[arg(long)]
    auth: Option<String>,
    #[arg(long)]
    registration: Option<String>,
    #[arg(long)]
    jwt_secret_file: Option<String>,
    #[arg(long)]
    jwt_public_key: Option<String>,
    #[arg(long)]
    jwt_issuer: Option<String>,
    #[arg(long)]
    jwt_audience: Option<String>,
    #[arg(long)]
    log: Option<String>,
    #[arg(long)]
    log_format: Option<String>,
    #[arg(long)]
    config: Option<String>,
    #[arg(long)]
    check_config: bool,
}

/// What else the program does.
#[derive(Subcommand)]
enum Other {
    /// Write a copy of the relay's data to a file, while it runs or not
    Backup {
        /// The file to write; it must not be there yet
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Ask a running relay for what only its owner may
    Admin {
        #[command(flatten)]
        place: Place,
        /// Where the relay is, if its data do not say: ws://127.0.0.1:8080/ws
        #[arg(long, global = true, value_parser = url)]
        url: Option<Url>,
        #[command(subcommand)]
        action: AdminAction,
    },
}

/// Which relay is meant.
#[derive(Args)]
struct Place {
    /// The folder of the relay's data
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<String>,
    /// The relay's configuration file, which says where its data are
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<String>,
}

/// Reads the arguments, but not yet what they mean.
pub(super) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<CommandLine, Stop> {
    let arguments = std::iter::once("chat-relay".to_owned()).chain(arguments);
    CommandLine::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Stop::Print(error.render().to_string())
        }
        _ => Stop::BadUsage(vec![Problem(said(&error))]),
    })
}

impl CommandLine {
    /// The command, with the environment and the file that is named.
    pub(super) fn command(
        self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Command, Stop> {
        let data = |place: Place| {
            let (givens, problems) = gather(place.data(), place.config, environment);
            resolve::data(givens, environment, problems).map_err(Stop::BadUsage)
        };
        match self.command {
            Some(Other::Backup { file, place }) => Ok(Command::Backup { file, data: data(place)? }),
            Some(Other::Admin { place, url, action }) => {
                Ok(Command::Admin { data: data(place)?, url, action })
            }
            None => {
                let (flags, check) = (self.flags.given(), self.flags.check_config);
                let (givens, problems) = gather(flags, self.flags.config, environment);
                let resolved = resolve::config(givens, environment, problems);
                let (config, sources) = resolved.map_err(Stop::BadUsage)?;
                Ok(if check { Command::CheckConfig(config, sources) } else { Command::Run(config) })
            }
        }
    }
}

/// What the three places say.
fn gather(
    flags: Vec<Given>,
    config: Option<String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Givens, Vec<Problem>) {
    let mut givens = Givens::default();
    let variable = || environment(CONFIG_VARIABLE).filter(|it| !it.is_empty());
    let named = config.map(|it| ("--config", it)).or_else(|| Some((CONFIG_VARIABLE, variable()?)));
    let (from_file, problems) = named.map_or_else(Default::default, |(name, path)| {
        file::read(std::path::Path::new(&path), name)
    });
    let places = [from_file, from_environment(environment), flags];
    places.into_iter().flatten().for_each(|given| givens.add(given));
    (givens, problems)
}

impl Flags {
    fn given(&self) -> Vec<Given> {
        let given = |setting| {
            let texts = self.texts(setting);
            (!texts.is_empty()).then_some(Given { setting, source: Source::Flag, texts })
        };
        Setting::ALL.into_iter().filter_map(given).collect()
    }

    fn texts(&self, setting: Setting) -> Vec<String> {
        let one = match setting {
            Setting::Listen => return self.listen.clone(),
            Setting::Origin => return self.origin.clone(),
            Setting::Metrics => &self.metrics,
            Setting::ConnectionsPerAddress => &self.connections_per_address,
            Setting::TlsCert => &self.tls_cert,
            Setting::TlsKey => &self.tls_key,
            Setting::TlsSelfSigned => &self.tls_self_signed,
            Setting::Data => &self.data,
            Setting::Memory => &self.memory,
            Setting::DataBytesMax => &self.data_bytes_max,
            Setting::KeepDays => &self.keep_days,
            Setting::KeepMessages => &self.keep_messages,
            Setting::Auth => &self.auth,
            Setting::Registration => &self.registration,
            Setting::JwtSecretFile => &self.jwt_secret_file,
            Setting::JwtPublicKey => &self.jwt_public_key,
            Setting::JwtIssuer => &self.jwt_issuer,
            Setting::JwtAudience => &self.jwt_audience,
            Setting::Log => &self.log,
            Setting::LogFormat => &self.log_format,
        };
        one.iter().cloned().collect()
    }
}

impl Place {
    fn data(&self) -> Vec<Given> {
        let given = |text: &String| Given {
            setting: Setting::Data,
            source: Source::Flag,
            texts: vec![text.clone()],
        };
        self.data.iter().map(given).collect()
    }
}

fn url(text: &str) -> Result<Url, String> {
    text.parse().map_err(|error| format!("{error}; write it as in ws://127.0.0.1:8080/ws"))
}

/// What is said about a command line that is not understood: one line, with what to do.
fn said(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(list)) => list.first().cloned(),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    // As clap shows it, a flag has its value behind it: `--listen <LISTEN>`.
    let flag = argument.split([' ', '[', '=']).next().unwrap_or_default();
    let did_you_mean = context(ContextKind::SuggestedArg)
        .or_else(|| context(ContextKind::SuggestedSubcommand))
        .map_or_else(String::new, |it| format!("did you mean {it}? "));
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            format!("{argument:?} is not understood; {did_you_mean}--help lists what is")
        }
        ErrorKind::InvalidSubcommand => {
            let command = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("{command:?} is not understood; {did_you_mean}--help lists what is")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if value.is_empty() => {
            let setting = Setting::ALL.into_iter().find(|it| it.flag() == flag);
            let example = setting.map_or("FILE", Setting::example);
            format!("{flag} needs a value: {flag} {example}")
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            format!("{flag} {value:?} cannot be: {}", why.unwrap_or_default())
        }
        ErrorKind::TooManyValues => {
            format!("{flag} takes no value, and {value:?} is not understood")
        }
        ErrorKind::ArgumentConflict
            if context(ContextKind::PriorArg).is_some_and(|it| it == argument) =>
        {
            format!("{flag} is there twice: leave out one")
        }
        ErrorKind::ArgumentConflict if error.get(ContextKind::InvalidSubcommand).is_some() => {
            before_command(&context(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => {
            format!("{argument} is missing; add --help to see what is expected")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "admin needs an action; admin --help lists them".into()
        }
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            format!("{}; --help says more", line.trim_start_matches("error: "))
        }
    }
}

/// Flags stand before a word that is taken for a command.
fn before_command(word: &str) -> String {
    match word {
        "admin" | "backup" => {
            format!(
                "flags before {word} are not understood; {word} --help lists what may follow it"
            )
        }
        _ => format!("{word:?} is not understood; --help lists what is"),
    }
}
