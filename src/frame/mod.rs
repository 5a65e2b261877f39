//! Frames: header and masking (RFC 6455 section 5).
//!
//! This module knows the shape of a frame and nothing of what came before it: no messages, no roles beyond who masks.

mod header;
mod mask;

pub(crate) use header::CONTROL_BYTES_MAX;
pub use header::{FrameHeader, Opcode, Role, Rsv1};
pub use mask::mask;
pub(crate) use mask::mask_from_start;
