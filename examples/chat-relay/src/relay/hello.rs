//! Who somebody is.

use std::fmt;

use super::then::{Asker, Step};
use super::{
    Compared, Key, Moment, NewAccount, Out, PasswordWork, Relay, Stage, ask_store, problem, refusal,
};
use crate::auth::password::Password;
use crate::names::PersonName;
use crate::protocol::{ErrorCode, Hello, Nothing, Problem};
use crate::store::job::{Answer, Job, PersonId, Refused};

/// Who gets in, and by what.
#[derive(Default)]
pub enum Admission {
    /// Who takes a free name, and then has its token.
    #[default]
    Open,
    /// Who has a name and its password.
    Accounts(Registration),
    /// Whom somebody else vouches for with a token.
    Vouched(Voucher),
}

/// Reads a token at a time in milliseconds since 1970, or says what is wrong with it.
pub type Voucher = Box<dyn Fn(&str, u64) -> Result<Vouched, String> + Send>;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Whose it is.
    pub name: String,
    /// Until when it is good, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Who can make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    #[default]
    Open,
    /// Who has an invitation.
    Invitation,
    /// Nobody.
    Off,
}

impl Admission {
    pub(super) fn expires(&self) -> bool {
        matches!(self, Self::Vouched(_))
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("Open"),
            Self::Accounts(registration) => f.debug_tuple("Accounts").field(registration).finish(),
            Self::Vouched(_) => f.write_str("Vouched"),
        }
    }
}

/// What a `hello` shows.
enum Credential {
    Token(String),
    Name(PersonName),
    Admin(String),
}

const DEVICE_BYTES_MAX: usize = 64;

impl<K: Key> Relay<K> {
    pub(super) fn hello(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        mut hello: Box<Hello>,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if hello.v != 1 {
            return Err(problem(ErrorCode::Version, "this relay speaks version 1"));
        }
        if let Some(device) = &hello.device {
            let fits = (1..=DEVICE_BYTES_MAX).contains(&device.len())
                && device.bytes().all(|b| b.is_ascii_graphic());
            if !fits {
                let text = "a device is 1 to 64 characters of ASCII that can be seen";
                return Err(problem(ErrorCode::Fields, text));
            }
        }
        match self.credential(&mut hello)? {
            Credential::Admin(secret) => self.hello_admin(now, asker, &secret, out),
            Credential::Token(token) => self.hello_token(now, asker, hello, token, out),
            Credential::Name(name) => self.hello_name(now, asker, hello, name, out),
        }
    }

    fn credential(&self, hello: &mut Hello) -> Result<Credential, Problem> {
        match (hello.token.take(), hello.name.take(), hello.admin.take()) {
            (Some(token), None, None) => Ok(Credential::Token(token)),
            (None, Some(name), None) => PersonName::new(&name, self.limits.name_chars_max)
                .map(Credential::Name)
                .map_err(|error| problem(ErrorCode::Name, error.to_string())),
            (None, None, Some(secret)) => Ok(Credential::Admin(secret)),
            _ => Err(problem(ErrorCode::Fields, "hello has a token, a name or the admin's secret")),
        }
    }

    fn hello_admin(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        secret: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        self.pay(now, asker.who, self.limits.hello_cost)?;
        if !self.admin_secret.as_ref().is_some_and(|it| same_secret(secret, it)) {
            return Err(problem(ErrorCode::Token, "this is not the secret of this relay"));
        }
        self.set_stage(asker.who, Stage::Admin);
        self.answer(out, asker, &Nothing {});
        Ok(())
    }

    fn hello_token(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        mut hello: Box<Hello>,
        token: String,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let now_ms = now.unix_ms;
        let (job, expires_ms) = match &self.admission {
            Admission::Open | Admission::Accounts(_) => (Job::Resume { token, now_ms }, None),
            Admission::Vouched(voucher) => {
                let vouched =
                    voucher(&token, now_ms).map_err(|text| problem(ErrorCode::Token, text))?;
                let name = PersonName::new(&vouched.name, self.limits.name_chars_max)
                    .map_err(|error| problem(ErrorCode::Name, error.to_string()))?;
                if *name.shown != *vouched.name {
                    let text = "the name is not composed: normalization form C";
                    return Err(problem(ErrorCode::Name, text));
                }
                hello.name = Some(vouched.name);
                let job = Job::Vouched { key: name.key, shown: name.shown, now_ms };
                (job, Some(vouched.expires_ms))
            }
        };
        if let Some(session) = self.sessions.get_mut(&asker.who) {
            session.expires_ms = expires_ms;
        }
        self.set_stage(asker.who, Stage::Asking);
        out.push(ask_store(Step::SignIn { asker, hello, token: None }, job));
        Ok(())
    }

    fn hello_name(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        mut hello: Box<Hello>,
        name: PersonName,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        self.pay(now, asker.who, self.limits.hello_cost)?;
        let password = hello.password.take();
        match (&self.admission, password) {
            (Admission::Open, None) => {
                self.set_stage(asker.who, Stage::Asking);
                self.register(now, asker, hello, name, None, out);
            }
            (Admission::Open, Some(_)) => {
                return Err(problem(ErrorCode::Password, "there are no passwords here"));
            }
            (Admission::Vouched(_), _) => {
                return Err(problem(
                    ErrorCode::Token,
                    "sign in where this relay's tokens come from",
                ));
            }
            (Admission::Accounts(_), None) => {
                return Err(problem(ErrorCode::Password, "a name goes with its password here"));
            }
            (Admission::Accounts(registration), Some(password)) if hello.register => {
                may_register(*registration, &hello)?;
                let password = parse_password(&password)?;
                self.pay(now, asker.who, self.limits.password_cost)?;
                self.set_stage(asker.who, Stage::Asking);
                let then = NewAccount { asker, hello, name };
                out.push(Out::Password(PasswordWork::Hash { password, then }));
            }
            (Admission::Accounts(_), Some(password)) => {
                let password = parse_password(&password)?;
                self.pay(now, asker.who, self.limits.password_cost)?;
                self.set_stage(asker.who, Stage::Asking);
                let job = Job::PasswordHash { key: name.key };
                out.push(ask_store(Step::ComparePassword { asker, hello, password }, job));
            }
        }
        Ok(())
    }

    /// The store has looked for the hash of a password.
    pub(super) fn compare_password(
        &mut self,
        asker: Asker<K>,
        hello: Box<Hello>,
        password: Password,
        answer: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let (person, hash) = match answer {
            Answer::PasswordHash { person, hash } => (Some(person), hash),
            Answer::Refused(Refused::Unknown) => (None, None),
            answer => return Err(refusal(answer)),
        };
        let then = Compared { asker, hello, person };
        out.push(Out::Password(PasswordWork::Compare { password, hash, then }));
        Ok(())
    }

    /// The password of a new account was hashed, or could not be.
    pub fn password_hashed(
        &mut self,
        now: Moment,
        then: NewAccount<K>,
        hash: Option<String>,
        out: &mut Vec<Out<K>>,
    ) {
        let NewAccount { asker, hello, name } = then;
        match hash {
            Some(hash) => self.register(now, asker, hello, name, Some(hash), out),
            None => self.greeted(now, asker, Err(busy()), out),
        }
    }

    /// A password was compared: whether it is right, or `None` where there was no time for it.
    pub fn password_compared(
        &mut self,
        now: Moment,
        then: Compared<K>,
        right: Option<bool>,
        out: &mut Vec<Out<K>>,
    ) {
        let Compared { asker, hello, person } = then;
        let problem = match (right, person) {
            (Some(true), Some(person)) => return self.sign_in(now, asker, hello, person, out),
            (Some(_), _) => problem(ErrorCode::Password, "name and password do not go together"),
            (None, _) => busy(),
        };
        self.greeted(now, asker, Err(problem), out);
    }

    fn sign_in(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        hello: Box<Hello>,
        person: PersonId,
        out: &mut Vec<Out<K>>,
    ) {
        let token = self.secret();
        let device = self.device_of(&hello);
        let job = Job::SignIn { person, token: token.clone(), device, now_ms: now.unix_ms };
        out.push(ask_store(Step::SignIn { asker, hello, token: Some(token) }, job));
    }

    /// The device that a new token is for. One without a name is like no other: its token drops none.
    fn device_of(&mut self, hello: &Hello) -> String {
        hello.device.clone().unwrap_or_else(|| self.secret())
    }

    fn register(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        mut hello: Box<Hello>,
        name: PersonName,
        password_hash: Option<String>,
        out: &mut Vec<Out<K>>,
    ) {
        let token = self.secret();
        let device = self.device_of(&hello);
        let invited = matches!(self.admission, Admission::Accounts(Registration::Invitation));
        let job = Job::Register {
            key: name.key,
            shown: name.shown,
            token: token.clone(),
            device,
            password_hash,
            invitation: hello.invitation.take().filter(|_| invited),
            now_ms: now.unix_ms,
        };
        out.push(ask_store(Step::SignIn { asker, hello, token: Some(token) }, job));
    }

    /// The store knows who it is.
    pub(super) fn signed_in(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        hello: &Hello,
        token: Option<&str>,
        answer: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let known = match answer {
            Answer::Person(known) => known,
            Answer::Refused(Refused::Unknown) => {
                return Err(problem(ErrorCode::Token, "this token is not good, or not any more"));
            }
            answer => return Err(refusal(answer)),
        };
        if self.sessions.get(&asker.who).is_none_or(|it| it.stage != Stage::Asking) {
            // It has gone in the meantime, and nobody will ever know this token.
            if !self.people.contains_key(&known.person) && token.is_some() {
                self.forget(known.person, out);
            }
            return Ok(());
        }
        // Who signs tokens may tell names apart by case. Here they would be one person, who is not both of them.
        if hello.name.as_ref().is_some_and(|name| **name != *known.shown) {
            let text = "somebody has this name in another case";
            return Err(problem(ErrorCode::NameTaken, text));
        }
        if !self.people.contains_key(&known.person) && self.people.len() >= self.limits.people_max {
            if token.is_some() {
                self.forget(known.person, out);
            }
            return Err(super::relay_full());
        }
        self.meet(&known, now.clock);
        if !hello.live {
            self.take_quiet(asker.who, known.person);
            self.welcome(asker, known.person, token, &hello.at, out);
            return Ok(());
        }
        self.take_device(now, asker.who, known.person, hello.device.as_deref(), out);
        self.welcome(asker, known.person, token, &hello.at, out);
        self.catch_up(now, asker.who, known.person, &hello.at, out);
        Ok(())
    }

    /// A `hello` has come to an end; if not to a good one, there can be another.
    pub(super) fn greeted(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        done: Result<(), Problem>,
        out: &mut Vec<Out<K>>,
    ) {
        let asking = |it: &super::Session| it.stage == Stage::Asking;
        if let Err(problem) = done
            && self.sessions.get(&asker.who).is_some_and(|it| asking(it))
        {
            self.set_stage(asker.who, Stage::Greeting);
            self.greeting.push_back((now.clock, asker.who));
            super::refuse(out, asker.who, &problem.with_id(asker.id));
        }
    }

    fn set_stage(&mut self, who: K, stage: Stage) {
        if let Some(session) = self.sessions.get_mut(&who) {
            session.stage = stage;
        }
    }
}

fn may_register(registration: Registration, hello: &Hello) -> Result<(), Problem> {
    let text = match (registration, &hello.invitation) {
        (Registration::Open, _) | (Registration::Invitation, Some(_)) => return Ok(()),
        (Registration::Invitation, None) => "an account is made with an invitation here",
        (Registration::Off, _) => "no accounts are made here; ask the one who runs this relay",
    };
    Err(problem(ErrorCode::Registration, text))
}

fn parse_password(password: &str) -> Result<Password, Problem> {
    Password::parse(password).map_err(|error| problem(ErrorCode::Password, error.to_string()))
}

fn busy() -> Problem {
    refusal(Answer::Refused(Refused::Busy))
}

/// Compares in a time that does not tell how much of a guess was right.
fn same_secret(guess: &str, secret: &str) -> bool {
    let pairs = guess.bytes().zip(secret.bytes());
    guess.len() == secret.len() && pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
