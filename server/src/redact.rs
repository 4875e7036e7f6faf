//! What says where or who somebody is: in logs it is a pseudonym, unless the operator asked for the thing itself.
//!
//! The pseudonym of one thing is the same all through a process, so that lines can be told to belong together, and
//! another in the next process, so that nothing can be looked up by it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static SHOWN: AtomicBool = AtomicBool::new(false);
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Whether logs show addresses and names as they are (`--log-addresses`); for the whole process.
pub fn show(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
}

/// Displays a pseudonym; see the module.
#[derive(Clone, Copy)]
pub(crate) struct Redacted<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(&self.0, SHOWN.load(Ordering::Relaxed), f)
    }
}

impl<T: fmt::Display> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write(thing: &impl fmt::Display, shown: bool, f: &mut impl fmt::Write) -> fmt::Result {
    if shown {
        return write!(f, "{thing}");
    }
    // Half of the hash: enough to tell apart, too little to find what it was made of by trying.
    let hash = KEY.hash_one(thing.to_string()) & 0xffff_ffff;
    write!(f, "redacted-{hash:08x}")
}

/// An address without the user and password in it, which stand before its last `@`.
pub(crate) fn without_login(address: &str) -> String {
    let Some((before, host)) = address.rsplit_once('@') else {
        return address.to_owned();
    };
    let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
    format!("{scheme}{host}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::IpAddr;

    use super::*;

    fn text(thing: &str, shown: bool) -> String {
        let address: IpAddr = thing.parse().unwrap();
        let mut text = String::new();
        write(&address, shown, &mut text).unwrap();
        text
    }

    #[test]
    fn an_address_is_shown_without_its_login() {
        for (address, shown) in [
            ("redis://h:1/2", "redis://h:1/2"),
            ("redis://ann:secret@h", "redis://h"),
            ("eu=redis://:se@cret://@h:1", "eu=redis://h:1"),
            ("eu=redis:/:secret@h", "h"),
        ] {
            assert_eq!(without_login(address), shown);
        }
    }

    #[test]
    fn an_address_is_a_pseudonym_that_stays_the_same_unless_it_is_asked_for() {
        let one = text("192.0.2.1", false);
        // The whole of it is a prefix and a hash, whose digits may be anything: also those of the address.
        let hash = one.strip_prefix("redacted-").unwrap();
        assert!(
            hash.len() == 8 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()),
            "{one}"
        );
        assert_eq!(one, text("192.0.2.1", false));
        assert_ne!(one, text("192.0.2.2", false));
        assert_eq!(text("2001:db8::1", true), "2001:db8::1");
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(format!("{:?}", Redacted(address)), one);
    }
}
