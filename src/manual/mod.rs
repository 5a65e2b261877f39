//! Prose that belongs to no single item.
//!
//! - [`promises`]: what is promised, within which limits, and which test says so.
//! - [`vulnerabilities`]: what went wrong in other engines, why it cannot happen here, and which test says so.

pub mod promises;
pub mod vulnerabilities;
