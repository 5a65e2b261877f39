//! Prose that belongs to no single item.
//!
//! - [`vulnerabilities`]: what went wrong in other engines, why it cannot happen here, and which test says so.

pub mod vulnerabilities;
