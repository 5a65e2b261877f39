//! Unpredictable numbers, for what carries the core; the core itself takes them as arguments.

use crate::connection::MaskKeys;

/// Masking keys of the thread's cryptographically secure generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomKeys;

impl MaskKeys for RandomKeys {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# The masking key needs to be
    //# unpredictable; thus, the masking key MUST be derived from a strong
    //# source of entropy, and the masking key for a given frame MUST NOT
    //# make it simple for a server/proxy to predict the masking key for a
    //# subsequent frame.
    fn next_key(&mut self) -> [u8; 4] {
        rand::random()
    }
}
