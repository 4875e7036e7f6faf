//! Ids of ours for those whose servers give them others, or none.

use rtc_protocol::{CallId, Name, NameError, PeerId, Token};

/// Draws ids; a seed tells all of them.
#[derive(Clone, Debug)]
pub struct Ids {
    seed: [u8; 32],
    count: u64,
}

impl Ids {
    /// From random bytes.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// One that was not there before.
    pub fn peer(&mut self) -> PeerId {
        self.count += 1;
        let mut bytes = self.seed;
        for (byte, count) in bytes.iter_mut().zip(self.count.to_le_bytes()) {
            *byte ^= count;
        }
        Token::from_random(bytes).peer_id()
    }

    /// As [`Self::peer`], for a call.
    ///
    /// # Errors
    /// Never: ids of peers are short enough.
    pub fn call(&mut self) -> Result<CallId, NameError> {
        CallId::new(self.peer().as_str())
    }
}

/// A name for somebody whom a server calls so; what cannot be a name is shortened or replaced.
///
/// # Errors
/// Never: the last resort is a name.
pub fn name(text: &str) -> Result<Name, NameError> {
    let kept = text.chars().filter(|c| !c.is_control()).take(64);
    Name::new(&kept.collect::<String>()).or_else(|_| Name::new("other"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let mut ids = Ids::new([7; 32]);
        let all: HashSet<PeerId> = (0..1000).map(|_| ids.peer()).collect();
        assert_eq!(all.len(), 1000);
        assert!(ids.call().is_ok());
    }

    #[test]
    fn anybody_gets_a_name() {
        assert_eq!(name("Ann").unwrap().as_str(), "Ann");
        assert_eq!(name("").unwrap().as_str(), "other");
        assert_eq!(name("a\u{7}b").unwrap().as_str(), "ab");
        assert_eq!(name(&"x".repeat(100)).unwrap().as_str().len(), 64);
    }
}
