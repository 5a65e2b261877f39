//! From the configuration to a server and its store.

use std::time::Duration;

use tautline::handshake::Origins;

use crate::config::{Auth, Config, Registration, Storage};
use crate::relay::{self, Admission, Retention, Settings, Vouched};
use crate::server::Setup;
use crate::store::{Store, StoreLimits};
use crate::{admin, auth};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a configuration asks for, with its store opened.
///
/// # Errors
///
/// A text that says what cannot be opened or read.
pub fn of(config: &Config) -> Result<(Setup, Store), String> {
    let further_origins = match &config.origins[..] {
        [] => None,
        list => Some(Origins::list(list).map_err(|error| error.to_string())?),
    };
    let (store, admin_secret) = open(&config.storage)?;
    let age_max = config.retention.days.map(|days| DAY.saturating_mul(days.get()));
    let messages_max = config.retention.messages.map(std::num::NonZeroU64::get);
    let relay = Settings {
        admission: admission(&config.auth)?,
        admin_secret,
        retention: Retention { age_max, messages_max },
        ..Settings::default()
    };
    let connections_per_address = config.connections_per_address.map(std::num::NonZeroUsize::get);
    let (tls, metrics) = (config.certificate.is_some(), config.metrics);
    let setup = Setup { relay, further_origins, tls, metrics, connections_per_address };
    Ok((setup, store))
}

fn open(storage: &Storage) -> Result<(Store, Option<String>), String> {
    let store = match storage {
        Storage::Memory => Store::in_memory(),
        Storage::Folder { path, bytes_max } => {
            let data_bytes_max = bytes_max.map(std::num::NonZeroU64::get);
            Store::open(path, &StoreLimits { data_bytes_max })
        }
    };
    let store = store.map_err(|error| error.to_string())?;
    let secret = match storage {
        Storage::Memory => None,
        Storage::Folder { path, .. } => {
            let named = |error| format!("{}: the admin's secret: {error}", path.display());
            Some(admin::new_secret(path, rand::random()).map_err(named)?)
        }
    };
    Ok((store, secret))
}

fn admission(auth: &Auth) -> Result<Admission, String> {
    Ok(match auth {
        Auth::Open => Admission::Open,
        Auth::Accounts(registration) => Admission::Accounts(match registration {
            Registration::Open => relay::Registration::Open,
            Registration::Invitation => relay::Registration::Invitation,
            Registration::Off => relay::Registration::Off,
        }),
        Auth::Jwt(jwt) => {
            let verifier = auth::verifier(jwt)?;
            Admission::Vouched(Box::new(move |token, now_ms| {
                let claims =
                    verifier.verify(token, now_ms / 1000).map_err(|error| error.to_string())?;
                Ok(Vouched { name: claims.name, expires_ms: claims.expires_ms })
            }))
        }
    })
}
