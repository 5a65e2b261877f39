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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# The masking key needs to
    //# be unpredictable; thus, the masking key MUST be derived from a strong
    //# source of entropy, and the masking key for a given frame MUST NOT
    //# make it simple for a server/proxy to predict the masking key for a
    //# subsequent frame.
    #[test]
    fn masking_keys_neither_repeat_nor_go_on_by_equal_steps() {
        let keys: Vec<u32> =
            (0..2_000).map(|_| u32::from_ne_bytes(RandomKeys.next_key())).collect();
        let steps = keys.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        // Of 2^32 numbers, 2,000 have two pairs of equal ones once in 10 million times.
        assert!(keys.iter().collect::<HashSet<_>>().len() >= keys.len() - 2);
        assert!(steps.collect::<HashSet<_>>().len() >= keys.len() - 3);
    }
}
