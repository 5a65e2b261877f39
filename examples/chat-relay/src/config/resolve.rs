//! From what was given to a [`Config`]: each value is read, and what does not fit together is refused.
//!
//! Two settings that exclude each other are refused where the same place gives both. Where one place is stronger, its
//! word counts, and what it makes pointless is left out: `--memory` wins over a `data` in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use super::setting::{Given, Givens, Kind, Setting, Source, Sources};
use super::types::{AuthWord, Word, size};
use super::{
    Auth, Certificate, Config, Jwt, JwtKey, ListenAddress, Log, LogFormat, LogLevel, Origin,
    Problem, Registration, Retention, Storage,
};
use crate::folders;

/// The configuration, and where it came from; or everything that is wrong.
pub(super) fn config(
    givens: Givens,
    environment: &dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
) -> Result<(Config, Sources), Vec<Problem>> {
    let mut it = Resolver { givens, problems };
    it.switches();
    let auth = it.auth();
    let config = Config {
        listen: it.listen(),
        origins: it.origins(),
        certificate: it.certificate(),
        connections_per_address: it.number(Setting::ConnectionsPerAddress),
        metrics: it.is_on(Setting::Metrics),
        storage: it.storage(environment, &auth),
        retention: Retention {
            days: it.number(Setting::KeepDays),
            messages: it.number(Setting::KeepMessages),
        },
        auth,
        log: Log {
            level: it.word(Setting::Log).unwrap_or(LogLevel::Info),
            format: it.word(Setting::LogFormat).unwrap_or(LogFormat::Text),
        },
    };
    let source = |(setting, given): (Setting, Given)| (setting, given.source);
    let sources = Sources(it.givens.0.into_iter().map(source).collect::<BTreeMap<_, _>>());
    if it.problems.is_empty() { Ok((config, sources)) } else { Err(it.problems) }
}

/// The folder of the data alone, for what works beside a relay.
pub(super) fn data(
    givens: Givens,
    environment: &dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
) -> Result<PathBuf, Vec<Problem>> {
    let mut it = Resolver { givens, problems };
    let data = it.path(Setting::Data).or_else(|| folders::data(environment, "chat-relay"));
    match data {
        Some(path) if it.problems.is_empty() => Ok(path),
        None if it.problems.is_empty() => {
            Err(vec![Problem("there is no home folder: name the relay's with --data DIR".into())])
        }
        _ => Err(it.problems),
    }
}

struct Resolver {
    givens: Givens,
    problems: Vec<Problem>,
}

impl Resolver {
    fn given(&self, setting: Setting) -> Option<Given> {
        self.givens.0.get(&setting).cloned()
    }

    fn is_given(&self, setting: Setting) -> bool {
        self.givens.0.contains_key(&setting)
    }

    fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The text of a setting, and where it stands. None that is empty is a value.
    fn text(&mut self, setting: Setting) -> Option<(Given, String)> {
        let given = self.given(setting)?;
        match given.texts.first() {
            Some(text) if !text.is_empty() => Some((given.clone(), text.clone())),
            _ => {
                self.refuse(given.problem(format!("needs a value: {}", given.example())));
                None
            }
        }
    }

    fn list<T>(&mut self, setting: Setting, read: fn(&str) -> Option<T>, advice: &str) -> Vec<T> {
        let Some(given) = self.given(setting) else { return Vec::new() };
        let mut list = Vec::new();
        for text in &given.texts {
            match read(text) {
                Some(it) => list.push(it),
                None if text.is_empty() => {
                    self.refuse(given.problem(format!("needs a value: {}", given.example())));
                }
                None => self.refuse(given.problem(format!("{text:?} {advice}"))),
            }
        }
        list
    }

    fn number<T: FromStr>(&mut self, setting: Setting) -> Option<T> {
        let (given, text) = self.text(setting)?;
        let number = text.parse().ok();
        if number.is_none() {
            let advice = format!("is no number from 1; write it as in {}", given.example());
            self.refuse(given.problem(format!("{text:?} {advice}")));
        }
        number
    }

    fn word<T: Word>(&mut self, setting: Setting) -> Option<T> {
        let (given, text) = self.text(setting)?;
        let word = T::parse(&text);
        if word.is_none() {
            self.refuse(given.problem(format!("{text:?} is none of {}", T::all())));
        }
        word
    }

    fn path(&mut self, setting: Setting) -> Option<PathBuf> {
        self.text(setting).map(|(given, text)| given.path(&text))
    }

    /// Switches that are off are as good as not given.
    fn switches(&mut self) {
        for setting in Setting::ALL.into_iter().filter(|it| it.kind() == Kind::Switch) {
            let Some((given, text)) = self.text(setting) else { continue };
            if text != "true" {
                self.givens.0.remove(&setting);
            }
            if !["true", "false"].contains(&text.as_str()) {
                self.refuse(given.problem(format!("{text:?} is neither true nor false")));
            }
        }
    }

    fn is_on(&self, setting: Setting) -> bool {
        self.is_given(setting)
    }

    /// Takes care that only one of two choices is given: the stronger one.
    fn exclude(&mut self, choice: Setting, others: &[Setting], why: &str) {
        let Some(given) = self.given(choice) else { return };
        let others: Vec<_> = others.iter().filter_map(|it| self.given(*it)).collect();
        let own = given.source.rank();
        if others.iter().any(|it| it.source.rank() > own) {
            self.givens.0.remove(&choice);
            return;
        }
        for other in others {
            if other.source.rank() == own {
                self.refuse(given.problem(format!("{why}: leave out that or {}", other.name())));
            }
            self.givens.0.remove(&other.setting);
        }
    }

    /// Takes care that a setting is given only with what it is about.
    fn only_with(&mut self, settings: &[Setting], decided_by: Setting, wanted: &str) {
        for setting in settings {
            let Some(given) = self.givens.0.remove(setting) else { continue };
            if given.source.rank() >= self.givens.rank(decided_by) {
                let add = given.source.written(decided_by, wanted);
                self.refuse(given.problem(format!("needs {add}: add that, or leave it out")));
            }
        }
    }

    fn listen(&mut self) -> Vec<ListenAddress> {
        let advice = "is no address; write host:port, as in 127.0.0.1:8080 or [::1]:8080";
        let list = self.list(Setting::Listen, ListenAddress::parse, advice);
        if list.is_empty() { vec![ListenAddress::default()] } else { list }
    }

    fn origins(&mut self) -> Vec<Origin> {
        let advice = "is no origin; write scheme and host, without a path or a slash at the end, as in \
                      https://chat.example.com";
        self.list(Setting::Origin, Origin::parse, advice)
    }

    fn certificate(&mut self) -> Option<Certificate> {
        let files = [Setting::TlsCert, Setting::TlsKey];
        self.exclude(Setting::TlsSelfSigned, &files, "makes a certificate of its own");
        if self.is_on(Setting::TlsSelfSigned) {
            return Some(Certificate::SelfSigned);
        }
        let lone = match (self.given(Setting::TlsCert), self.given(Setting::TlsKey)) {
            (Some(chain), None) => (chain, Setting::TlsKey, "key"),
            (None, Some(key)) => (key, Setting::TlsCert, "certificate"),
            (None, None) | (Some(_), Some(_)) => {
                let (chain, key) = (self.path(Setting::TlsCert), self.path(Setting::TlsKey));
                return Some(Certificate::Files { chain: chain?, key: key? });
            }
        };
        let (given, missing, what) = lone;
        let add = given.source.written(missing, missing.example());
        self.refuse(given.problem(format!("needs its {what}: {add}")));
        None
    }

    fn storage(&mut self, environment: &dyn Fn(&str) -> Option<String>, auth: &Auth) -> Storage {
        let kept = [Setting::Data, Setting::DataBytesMax, Setting::KeepDays, Setting::KeepMessages];
        self.exclude(Setting::Memory, &kept, "keeps nothing");
        if let Some(memory) = self.given(Setting::Memory) {
            if let Auth::Accounts(Registration::Invitation | Registration::Off) = auth {
                let open = memory.source.written(Setting::Registration, "open");
                let text = "forgets all accounts, and nobody could make one: leave it out, or take";
                self.refuse(memory.problem(format!("{text} {open}")));
            }
            return Storage::Memory;
        }
        let bytes_max = self.text(Setting::DataBytesMax).and_then(|(given, text)| {
            let bytes = size(&text);
            if bytes.is_none() {
                let advice = format!("is no size; write it as in {}", given.example());
                self.refuse(given.problem(format!("{text:?} {advice}")));
            }
            bytes
        });
        let given = self.is_given(Setting::Data);
        let path = self.path(Setting::Data).or_else(|| folders::data(environment, "chat-relay"));
        if path.is_none() && !given {
            self.refuse(Problem(
                "there is no home folder to keep messages in: name one with --data DIR, or keep \
                 nothing with --memory"
                    .into(),
            ));
        }
        Storage::Folder { path: path.unwrap_or_default(), bytes_max }
    }

    fn auth(&mut self) -> Auth {
        let jwt = [
            Setting::JwtSecretFile,
            Setting::JwtPublicKey,
            Setting::JwtIssuer,
            Setting::JwtAudience,
        ];
        let is_known = self.problems.len();
        let word = self.word(Setting::Auth).unwrap_or(AuthWord::Open);
        if self.problems.len() > is_known {
            return Auth::Open;
        }
        if word != AuthWord::Accounts {
            self.only_with(&[Setting::Registration], Setting::Auth, "accounts");
        }
        if word != AuthWord::Jwt {
            self.only_with(&jwt, Setting::Auth, "jwt");
        }
        match word {
            AuthWord::Open => Auth::Open,
            AuthWord::Accounts => {
                Auth::Accounts(self.word(Setting::Registration).unwrap_or(Registration::Open))
            }
            AuthWord::Jwt => self.jwt().map_or(Auth::Open, Auth::Jwt),
        }
    }

    fn jwt(&mut self) -> Option<Jwt> {
        self.exclude(Setting::JwtSecretFile, &[Setting::JwtPublicKey], "is a key by itself");
        let issuer = self.text(Setting::JwtIssuer).map(|(_, text)| text);
        let audience = self.text(Setting::JwtAudience).map(|(_, text)| text);
        let (secret, public) = (Setting::JwtSecretFile, Setting::JwtPublicKey);
        if !self.is_given(secret) && !self.is_given(public) {
            let source = self.given(Setting::Auth).map_or(Source::Default, |it| it.source);
            let key = |setting| source.written(setting, "FILE");
            let text = format!("needs the key of the tokens: {} or {}", key(secret), key(public));
            self.refuse(Problem(format!("{} \"jwt\" {text}", source.name(Setting::Auth))));
            return None;
        }
        let secret = self.path(secret).map(JwtKey::Secret);
        let key = secret.or_else(|| self.path(public).map(JwtKey::PublicKey))?;
        Some(Jwt { key, issuer, audience })
    }
}
