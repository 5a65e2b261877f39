//! From nothing to a connection that has said hello.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tautline::client::ClientError;
use tautline::handshake::{ClientRequest, Url};
use tautline::tls::{CertificateProblem, ClientTls, TlsError};
use tautline::{Client, Limits, OwnedMessage};

use super::flags::Options;
use super::text::neutral;
use super::{Environment, password, token};
use crate::folders;
use crate::protocol::SUBPROTOCOL;

/// How long the answer to `hello` may take: a password is compared slowly on purpose.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects, as often as it is asked to.
pub(super) struct Dialer {
    url: Url,
    tls: Option<ClientTls>,
    device: String,
    name: Option<String>,
    token: Option<String>,
    /// Where a new token is written; known when the name is.
    token_file: Option<PathBuf>,
    /// The file was named: what is in it may be somebody else's to renew.
    token_is_given: bool,
    password: Option<String>,
    register: bool,
    invitation: Option<String>,
    /// One was in before: who is asked for a password now would not expect it.
    was_in: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) text: String,
    /// It is worth another try.
    pub(super) temporary: bool,
}

/// A connection that has said hello.
pub(super) struct Link {
    pub(super) client: Client,
    /// The answer, without the token.
    pub(super) welcome: Value,
    /// Lines that came with it.
    pub(super) rest: Vec<String>,
}

/// What an answer to `hello` leads to.
enum Next {
    Welcome(Value),
    Again,
}

impl Dialer {
    /// Looks for the name and its token.
    pub(super) fn new(options: &Options, environment: Environment<'_>) -> Result<Self, String> {
        let relay = options.url.to_string();
        let folder = folders::data(environment, "chat-relay-client");
        let token_is_given = options.token_file.is_some();
        let mut name = options.name.clone();
        let mut token_file = options.token_file.clone();
        if token_file.is_none()
            && let Some(folder) = &folder
        {
            token_file = match &name {
                Some(name) => Some(token::file(folder, &relay, name)),
                None => token::only_file(folder, &relay).or_else(|| {
                    name = account(environment);
                    Some(token::file(folder, &relay, name.as_deref()?))
                }),
            };
        }
        let mut dialer = Self {
            url: options.url.clone(),
            tls: None,
            device: format!("chat-{:016x}", rand::random::<u64>()),
            name,
            token: None,
            token_file,
            token_is_given,
            password: password::given(options.password_file.as_deref(), environment)?,
            register: options.register,
            invitation: options.invitation.clone(),
            was_in: false,
        };
        if dialer.token_file.is_none() && folder.is_none() {
            return Err(
                "there is no home folder to keep the token in; name a file with --token-file"
                    .into(),
            );
        }
        dialer.read_token()?;
        if dialer.token.is_none() {
            dialer.name = dialer.name.take().or_else(|| account(environment));
        }
        if dialer.name.is_none() && dialer.token.is_none() {
            return Err("say who you are with --name NAME".into());
        }
        if let Some(ca) = &options.ca {
            let tls = ClientTls::trusting(ca).map_err(|error| format!("--ca: {error}"))?;
            dialer.tls = Some(tls);
        }
        Ok(dialer)
    }

    fn read_token(&mut self) -> Result<(), String> {
        let Some(path) = &self.token_file else { return Ok(()) };
        let found = token::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some((token, name)) = found {
            self.token = Some(token);
            self.name = self.name.take().or(name);
        }
        Ok(())
    }

    /// Connects and says hello, with the cursors.
    pub(super) fn open(&mut self, at: &Value) -> Result<Link, Failed> {
        let mut client = self.connect()?;
        client.set_read_timeout(Some(PATIENCE));
        if self.token_is_given {
            // It may have been renewed.
            self.read_token().map_err(fatal)?;
        }
        loop {
            let (hello, by_token) = self.hello(at);
            let line = json!({"id": 0, "hello": hello}).to_string();
            client.send(&*line).map_err(|error| temporary(&error))?;
            let (answer, rest) = answer(&mut client)?;
            match self.next(answer, by_token)? {
                Next::Welcome(welcome) => return Ok(Link { client, welcome, rest }),
                Next::Again => {}
            }
        }
    }

    fn connect(&self) -> Result<Client, Failed> {
        let named = |error: ClientError| Failed {
            text: format!("{}: {error}; {}", self.url, self.advice(&error)),
            temporary: true,
        };
        let request = ClientRequest::new(self.url.clone());
        let request = request.subprotocol(SUBPROTOCOL.to_owned());
        let request = request.map_err(|error| fatal(error.to_string()))?;
        match &self.tls {
            Some(tls) => Client::connect_tls(&request, Limits::default(), tls),
            None => Client::connect(&request, Limits::default()),
        }
        .map_err(named)
    }

    /// What may help where there is no connection.
    fn advice(&self, error: &ClientError) -> &'static str {
        match error {
            ClientError::Tls(TlsError::Certificate(CertificateProblem::UnknownIssuer))
                if self.tls.is_none() =>
            {
                "--ca names the certificate of a relay that has signed its own"
            }
            ClientError::Tls(TlsError::Certificate(_)) => "the relay needs another certificate",
            ClientError::Tls(_) => "does the relay speak TLS? If not, --url begins with ws://",
            ClientError::Answer(_) if !self.url.is_secure() => {
                "is it a chat relay that answers there, at /ws, and without TLS (else --url begins with wss://)?"
            }
            ClientError::Answer(_) => {
                "is it a chat relay that answers there, at /ws? --url says where it is"
            }
            _ => "is the relay running? --url says where it is",
        }
    }

    /// The fields of `hello`, and whether it shows a token.
    fn hello(&self, at: &Value) -> (Map<String, Value>, bool) {
        let mut hello = Map::new();
        hello.insert("v".into(), 1.into());
        hello.insert("device".into(), self.device.as_str().into());
        hello.insert("at".into(), at.clone());
        if let Some(token) = self.token.as_deref().filter(|_| !self.register) {
            hello.insert("token".into(), token.into());
            return (hello, true);
        }
        hello.insert("name".into(), self.name.as_deref().unwrap_or_default().into());
        if let Some(password) = &self.password {
            hello.insert("password".into(), password.as_str().into());
        }
        if self.register {
            hello.insert("register".into(), true.into());
        }
        if let Some(invitation) = &self.invitation {
            hello.insert("invitation".into(), invitation.as_str().into());
        }
        (hello, false)
    }

    fn next(&mut self, mut answer: Value, by_token: bool) -> Result<Next, Failed> {
        if let Some(ok) = answer.get_mut("ok") {
            let mut welcome = ok.take();
            self.keep(&mut welcome)?;
            return Ok(Next::Welcome(welcome));
        }
        let err = answer.get("err").unwrap_or(&Value::Null);
        let field = |key: &str| err.get(key).and_then(Value::as_str).unwrap_or_default();
        let said = neutral(field("text"));
        let name = self.name.clone().unwrap_or_default();
        let text = match field("code") {
            "token" if by_token && !self.token_is_given && self.name.is_some() => {
                // A relay that keeps nothing has been started anew, or one was signed out.
                self.token = None;
                return Ok(Next::Again);
            }
            "token" if by_token => format!("{said}; sign in again, with another token"),
            "token" => format!("{said}; name the file with the token with --token-file"),
            "password" if self.password.is_none() && self.was_in => {
                "you were signed out; start chat again, which asks for the password".into()
            }
            "password" if self.password.is_none() => {
                self.password = Some(password::ask(&name, self.register).map_err(fatal)?);
                return Ok(Next::Again);
            }
            "name_taken" => {
                format!(
                    "the name {} is taken on this relay; choose another with --name, or, where it is yours under \
                     another address, --token-file names the file with its key",
                    neutral(&name)
                )
            }
            "name" => format!("{said}; choose another name with --name"),
            "registration" => format!("{said} (--register, --invitation)"),
            _ => said,
        };
        Err(Failed { text, temporary: err.get("retry_ms").is_some() })
    }

    /// Takes the token out of the answer, and writes it to its file.
    fn keep(&mut self, welcome: &mut Value) -> Result<(), Failed> {
        (self.register, self.was_in) = (false, true);
        let user = welcome.get("user").and_then(Value::as_str).unwrap_or_default().to_owned();
        let new = welcome.as_object_mut().and_then(|it| it.remove("token"));
        if let Some(token) = new.as_ref().and_then(Value::as_str) {
            self.token = Some(token.to_owned());
            if let Some(path) = &self.token_file {
                token::write(path, token, &user).map_err(|error| {
                    fatal(format!("the token cannot be kept in {}: {error}", path.display()))
                })?;
            }
        }
        if !user.is_empty() {
            self.name = Some(user);
        }
        Ok(())
    }
}

/// The answer to `hello`, and the lines behind it.
fn answer(client: &mut Client) -> Result<(Value, Vec<String>), Failed> {
    loop {
        let text = match client.read() {
            Ok(Some(OwnedMessage::Text(text))) => text,
            Ok(Some(OwnedMessage::Binary(_))) => continue,
            Ok(None) => {
                let text = "the relay has closed the connection".into();
                return Err(Failed { text, temporary: true });
            }
            Err(error) => return Err(temporary(&error)),
        };
        let mut lines = text.split('\n');
        for line in lines.by_ref() {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            if value.get("ok").is_some() || value.get("err").is_some() {
                return Ok((value, lines.map(str::to_owned).collect()));
            }
        }
    }
}

fn temporary(error: &ClientError) -> Failed {
    Failed { text: error.to_string(), temporary: true }
}

fn fatal(text: String) -> Failed {
    Failed { text, temporary: false }
}

/// The name of this machine's account.
fn account(environment: Environment<'_>) -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(environment).filter(|it| !it.is_empty())
}
