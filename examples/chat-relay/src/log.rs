//! What is said of what happens, on stderr.

use crate::config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;

/// From now on things are said. Only the first call counts.
pub fn start(log: Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let said = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level);
    let _ = match log.format {
        LogFormat::Text => said.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => said.json().flatten_event(true).try_init(),
    };
}
