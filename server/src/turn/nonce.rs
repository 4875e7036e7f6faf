//! Nonces that need no memory: the time they were made, and a proof that we made them for that address.

use std::net::IpAddr;
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;

/// How long one serves; RFC 8489 section 9.2 leaves it to the server, RFC 8656 section 5 suggests an hour at most.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Bytes of the proof that are sent.
const PROOF: usize = 12;

/// Makes and checks nonces.
#[derive(Debug)]
pub(super) struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    /// With a key of its own; none where the system has no randomness.
    pub(super) fn new() -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Self { key })
    }

    pub(super) fn make(&self, unix: Duration, client: IpAddr) -> String {
        let made = unix.as_secs();
        format!("{made:x}-{}", self.proof(made, client))
    }

    pub(super) fn serves(&self, unix: Duration, client: IpAddr, nonce: &str) -> bool {
        let Some((made, proof)) = nonce.split_once('-') else {
            return false;
        };
        let Ok(made) = u64::from_str_radix(made, 16) else {
            return false;
        };
        let age = unix.as_secs().checked_sub(made);
        // No secret is in it: whoever guesses one has gained what a request without a nonce gives away.
        age.is_some_and(|age| age < LIFETIME.as_secs()) && self.proof(made, client) == proof
    }

    fn proof(&self, made: u64, client: IpAddr) -> String {
        let tag = hmac::sign(&self.key, format!("{made} {client}").as_bytes());
        let bytes = tag.as_ref().iter().take(PROOF);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_nonce_serves_its_address_for_an_hour() {
        let nonces = Nonces::new().unwrap();
        let [here, there]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let noon = Duration::from_secs(1_700_000_000);
        let nonce = nonces.make(noon, here);
        assert!(nonces.serves(noon, here, &nonce));
        assert!(nonces.serves(noon + LIFETIME - Duration::from_secs(1), here, &nonce));
        assert!(!nonces.serves(noon + LIFETIME, here, &nonce));
        assert!(!nonces.serves(noon - Duration::from_secs(1), here, &nonce));
        assert!(!nonces.serves(noon, there, &nonce));
        assert!(!Nonces::new().unwrap().serves(noon, here, &nonce));
        for nonsense in ["", "-", "zz-", "6553f100-", &nonce[1..]] {
            assert!(!nonces.serves(noon, here, nonsense), "{nonsense}");
        }
    }
}
