//! Who may relay: names with passwords, and names that tell when they expire.
//!
//! The latter are the short-lived credentials that the TURN REST draft describes
//! (draft-uberti-behave-turn-rest-00, section 2.2) and coturn reads too: the name is `SECONDS:WHO`, the end of its life
//! in seconds since 1970, and the password `base64(HMAC-SHA1(secret, name))`. So whoever knows the secret makes and
//! checks them, without a list.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::access::{KeyError, secret_text};

/// Shortest secret: as long as the hash.
const SECRET_BYTES: usize = 20;

/// Somebody with a name and a password that do not expire.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A text that is no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a name and a password with a colon between them, as in ann:correct-horse")]
pub struct UserError;

impl FromStr for User {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => Ok(Self {
                name: name.to_owned(),
                password: password.to_owned(),
            }),
            _ => Err(UserError),
        }
    }
}

/// What short-lived credentials are made with.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, bytes))
    }

    /// One that nobody knows.
    #[must_use]
    pub fn random() -> Self {
        Self::new(&rand::random::<[u8; 32]>())
    }

    /// Reads `--turn-secret`.
    ///
    /// # Errors
    /// When it cannot be read, or is too short.
    pub fn read(from: &str) -> Result<Self, KeyError> {
        let text = secret_text(from)?;
        if text.len() < SECRET_BYTES {
            return Err(KeyError::Short {
                what: "secret of the relay",
                found: text.len(),
                least: SECRET_BYTES,
            });
        }
        Ok(Self::new(text.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Whom a relay serves.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    secret: Option<Secret>,
    users: Vec<User>,
}

impl Keys {
    /// Whoever has a credential made with `secret`, and `users`.
    #[must_use]
    pub fn new(secret: Option<&Secret>, users: Vec<User>) -> Self {
        let secret = secret.cloned();
        Self { secret, users }
    }

    /// A credential for `who` that serves for `lifetime`: name and password. None without a secret.
    #[must_use]
    pub fn mint(&self, unix: Duration, lifetime: Duration, who: &str) -> Option<User> {
        let secret = self.secret.as_ref()?;
        let name = format!("{}:{who}", (unix + lifetime).as_secs());
        Some(User {
            password: password(secret, &name),
            name,
        })
    }

    /// The password that belongs to `name`, if it serves at this time.
    #[must_use]
    pub fn password(&self, unix: Duration, name: &str) -> Option<String> {
        if let Some(user) = self.users.iter().find(|user| user.name == name) {
            return Some(user.password.clone());
        }
        let secret = self.secret.as_ref()?;
        let (until, _) = name.split_once(':').unwrap_or((name, ""));
        let until: u64 = until.parse().ok()?;
        (unix.as_secs() < until).then(|| password(secret, name))
    }
}

fn password(secret: &Secret, name: &str) -> String {
    STANDARD.encode(hmac::sign(&secret.0, name.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOON: Duration = Duration::from_secs(1_700_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_credential_serves_until_its_end_and_under_its_own_secret_alone() {
        let keys = Keys::new(Some(&Secret::new(b"north")), Vec::new());
        let user = keys.mint(NOON, HOUR, "p7wq2n5z").unwrap();
        assert_eq!(user.name, "1700003600:p7wq2n5z");
        assert_eq!(keys.password(NOON, &user.name), Some(user.password.clone()));
        let last = NOON + HOUR - Duration::from_secs(1);
        assert_eq!(keys.password(last, &user.name), Some(user.password.clone()));
        assert_eq!(keys.password(NOON + HOUR, &user.name), None);
        let other = Keys::new(Some(&Secret::new(b"south")), Vec::new());
        assert_ne!(other.password(NOON, &user.name), Some(user.password));
        assert_eq!(Keys::default().password(NOON, &user.name), None);
        assert_eq!(Keys::default().mint(NOON, HOUR, "x"), None);
    }

    /// Made with `printf 1700003600:ann | openssl dgst -sha1 -hmac north -binary | base64`.
    #[test]
    fn the_password_is_the_one_that_others_make() {
        let keys = Keys::new(Some(&Secret::new(b"north")), Vec::new());
        let password = keys.password(NOON, "1700003600:ann").unwrap();
        assert_eq!(password, "TwqKCcbzejRFa1sgGqGS7SEzCGg=");
    }

    #[test]
    fn names_with_passwords_serve_always() {
        let users = vec!["ann:correct:horse".parse().unwrap()];
        let keys = Keys::new(None, users);
        assert_eq!(keys.password(NOON, "ann"), Some("correct:horse".into()));
        assert_eq!(keys.password(NOON, "bob"), None);
        for bad in ["", "ann", "ann:", ":x"] {
            assert!(bad.parse::<User>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_nonsense_have_no_password() {
        let keys = Keys::new(Some(&Secret::new(b"north")), Vec::new());
        for name in ["", ":", "x:ann", "-1:ann", "99999999999999999999999:ann"] {
            assert_eq!(keys.password(NOON, name), None, "{name}");
        }
        assert!(!format!("{keys:?}").contains("north"));
    }
}
