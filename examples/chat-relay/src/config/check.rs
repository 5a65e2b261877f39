//! `--check-config`: whether what the configuration names is there, and how it reads.

use std::fmt::Write as _;

use toml::Value;

use super::setting::{Setting, Sources};
use super::types::{Word, written_size};
use super::{Auth, Certificate, Config, JwtKey, Problem, Storage};
use crate::{auth, certificate};

/// Reads every file that the configuration names, as a start would, and gives the whole as TOML. No secret is in it.
///
/// # Errors
///
/// One line for each thing that would prevent a start, with the flag, the variable, or the file and line that it came
/// from.
pub fn check(config: &Config, sources: &Sources) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut refuse = |setting, text: String| {
        problems.push(Problem(format!("{} {text}", sources.name(setting))));
    };
    if let Some(Certificate::Files { chain, key }) = &config.certificate {
        let files = [(Setting::TlsCert, chain), (Setting::TlsKey, key)];
        let gone = files.map(|(setting, path)| {
            let error = std::fs::read(path).err()?;
            Some((setting, format!("{}: {error}", path.display())))
        });
        let is_there = gone.iter().all(Option::is_none);
        gone.into_iter().flatten().for_each(|(setting, text)| refuse(setting, text));
        if let Some(Err(error)) = is_there.then(|| load(config)) {
            let is_key = error.starts_with(&*key.to_string_lossy());
            refuse(if is_key { Setting::TlsKey } else { Setting::TlsCert }, error);
        }
    }
    if let Auth::Jwt(jwt) = &config.auth
        && let Err(error) = auth::verifier(jwt)
    {
        let setting = match jwt.key {
            JwtKey::Secret(_) => Setting::JwtSecretFile,
            JwtKey::PublicKey(_) => Setting::JwtPublicKey,
        };
        refuse(setting, error);
    }
    if let Storage::Folder { path, .. } = &config.storage
        && path.exists()
        && !path.is_dir()
    {
        refuse(Setting::Data, format!("{} is no folder; name one", path.display()));
    }
    if problems.is_empty() { Ok(to_toml(config)) } else { Err(problems) }
}

fn load(config: &Config) -> Result<(), String> {
    config.certificate.as_ref().map_or(Ok(()), |it| certificate::load(it).map(drop))
}

/// The configuration as a file that gives it. What is not set is not there.
pub fn to_toml(config: &Config) -> String {
    let mut text = String::new();
    for setting in Setting::ALL {
        if let Some(value) = value(config, setting) {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{} = {value}", setting.key());
        }
    }
    text
}

/// The value of a setting, if it is set.
fn value(config: &Config, setting: Setting) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.into()));
    let path = |path: &std::path::Path| text(&path.to_string_lossy());
    let list = |list: Vec<String>| Value::Array(list.into_iter().map(Value::String).collect());
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let jwt = if let Auth::Jwt(jwt) = &config.auth { Some(jwt) } else { None };
    let (folder, bytes_max) = match &config.storage {
        Storage::Memory => (None, None),
        Storage::Folder { path, bytes_max } => (Some(path), *bytes_max),
    };
    let (chain, key) = match &config.certificate {
        Some(Certificate::Files { chain, key }) => (Some(chain), Some(key)),
        Some(Certificate::SelfSigned) | None => (None, None),
    };
    match setting {
        Setting::Listen => Some(list(config.listen.iter().map(ToString::to_string).collect())),
        Setting::Origin => {
            Some(list(config.origins.iter().map(|it| it.as_ref().to_owned()).collect()))
        }
        Setting::Metrics => Some(Value::Boolean(config.metrics)),
        Setting::ConnectionsPerAddress => {
            config.connections_per_address.map(|it| number(it.get() as u64))
        }
        Setting::TlsCert => path(chain?),
        Setting::TlsKey => path(key?),
        Setting::TlsSelfSigned => {
            (config.certificate == Some(Certificate::SelfSigned)).then_some(Value::Boolean(true))
        }
        Setting::Data => path(folder?),
        Setting::Memory => folder.is_none().then_some(Value::Boolean(true)),
        Setting::DataBytesMax => text(&written_size(bytes_max?)),
        Setting::KeepDays => config.retention.days.map(|it| number(it.get().into())),
        Setting::KeepMessages => config.retention.messages.map(|it| number(it.get())),
        Setting::Auth => text(match &config.auth {
            Auth::Open => "open",
            Auth::Accounts(_) => "accounts",
            Auth::Jwt(_) => "jwt",
        }),
        Setting::Registration => match &config.auth {
            Auth::Accounts(registration) => text(registration.word()),
            Auth::Open | Auth::Jwt(_) => None,
        },
        Setting::JwtSecretFile => match &jwt?.key {
            JwtKey::Secret(file) => path(file),
            JwtKey::PublicKey(_) => None,
        },
        Setting::JwtPublicKey => match &jwt?.key {
            JwtKey::PublicKey(file) => path(file),
            JwtKey::Secret(_) => None,
        },
        Setting::JwtIssuer => text(jwt?.issuer.as_ref()?),
        Setting::JwtAudience => text(jwt?.audience.as_ref()?),
        Setting::Log => text(config.log.level.word()),
        Setting::LogFormat => text(config.log.format.word()),
    }
}
