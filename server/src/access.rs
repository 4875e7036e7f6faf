//! Who may do what: room tokens and the rights they give. No socket, task or clock: time comes in as a [`Moment`].
//!
//! Without a key the server is open: everybody may join every room, and nobody is an administrator but who holds the
//! administrator's token. With a key a room token is needed, a JWT (RFC 7519) that names rooms and rights and is
//! signed with that key. Each transport hands the token it was given to [`Access::check`], and the [`Rights`] that
//! come back to the hub, which asks them at each join.

mod claims;
mod jwt;
mod key;
mod rights;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use axum::http::header::{AUTHORIZATION, HeaderMap};
use ring::digest::{Digest, SHA256, digest};
use rtc_protocol::ErrorCode;
use subtle::ConstantTimeEq;

pub use claims::{Claims, Rooms};
pub use key::{Key, KeyError, SigningKey, secret_text};
pub use rights::{Power, Rights};

/// How far the clocks of who makes tokens and who checks them may differ.
pub const SKEW: Duration = Duration::from_secs(60);

/// Shortest administrator's token: 16 characters drawn at random are not guessed.
const ADMIN_TOKEN_MIN: usize = 16;

/// A moment on both clocks: tokens speak of the calendar, rules count on a clock that never steps.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Seconds since 1970, as JWTs count (RFC 7519, section 2, `NumericDate`).
    pub unix: f64,
    /// The same moment on the steady clock.
    pub steady: Instant,
}

impl Moment {
    /// This one; for the edge of the program.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            unix: since.as_secs_f64(),
            steady: Instant::now(),
        }
    }
}

/// Why a token gives no rights. Nothing of the token is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There is none, and one is needed.
    #[error(
        "a token is needed here; ask whoever runs the server for one (`rtc-server token` makes it)"
    )]
    Missing,
    /// It is no JWT, or one too long.
    #[error("the token cannot be read: {0}; pass it on exactly as it was given")]
    Malformed(&'static str),
    /// Its header asks for an algorithm for which the server has no key, `none` among them.
    #[error(
        "the token is signed in a way that is not accepted here; use HS256 or EdDSA with the server's own key"
    )]
    Algorithm,
    /// Nobody who holds one of the server's keys has signed it.
    #[error(
        "the token's signature is wrong; it was made for another server, with an old key, or changed on its way"
    )]
    Signature,
    /// It is genuine, and says something that makes no sense here.
    #[error("the token's claims are wrong: {0}; make it anew with `rtc-server token`")]
    Claims(String),
    /// Its `nbf` is still to come.
    #[error("the token is not valid yet; use it later, or check both clocks")]
    NotYetValid,
    /// Its `exp` has passed.
    #[error("the token has expired; ask for a new one")]
    Expired,
}

impl Denied {
    /// The code that goes with it, in every dialect.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::NotAuthorized,
            Self::Malformed(_) => ErrorCode::TokenMalformed,
            Self::Algorithm => ErrorCode::TokenAlgorithm,
            Self::Signature => ErrorCode::TokenSignature,
            Self::Claims(_) => ErrorCode::TokenClaims,
            Self::NotYetValid => ErrorCode::TokenNotYetValid,
            Self::Expired => ErrorCode::TokenExpired,
        }
    }

    /// Whether who comes back to a session that still stands may do so all the same: it had a good token once, and its
    /// session's secret is as good.
    #[must_use]
    pub const fn forgiven_on_resume(&self) -> bool {
        matches!(self, Self::Missing | Self::Expired)
    }
}

/// What tokens are checked with. Shows no key in `Debug`.
#[derive(Clone, Default)]
pub struct Access {
    keys: Vec<Key>,
    administrator: Option<AdminToken>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("keys", &self.keys.len())
            .field("administrator", &self.administrator.is_some())
            .finish()
    }
}

impl Access {
    /// Room tokens signed with any of these keys; open to everybody where there is none. Beside them, perhaps, an
    /// administrator's token.
    #[must_use]
    pub const fn new(keys: Vec<Key>, administrator: Option<AdminToken>) -> Self {
        Self {
            keys,
            administrator,
        }
    }

    /// Whether everybody is let in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// What the holder of this token may do.
    ///
    /// # Errors
    /// When a token is needed and this is none that counts.
    pub fn check(&self, token: Option<&str>, now: Moment) -> Result<Rights, Denied> {
        if token.is_some_and(|token| self.is_administrator(token)) {
            return Ok(Rights::administrator());
        }
        if self.is_open() {
            return Ok(Rights::open());
        }
        let claims = jwt::verify(token.ok_or(Denied::Missing)?, &self.keys)?;
        let rights = Rights::from_claims(&claims, now)?;
        if claims
            .nbf
            .is_some_and(|nbf| now.unix + SKEW.as_secs_f64() < nbf)
        {
            return Err(Denied::NotYetValid);
        }
        if rights.expired(now.steady) {
            return Err(Denied::Expired);
        }
        Ok(rights)
    }

    fn is_administrator(&self, token: &str) -> bool {
        let known = self.administrator.as_ref();
        known.is_some_and(|known| known.is(token))
    }
}

/// The administrator's token: a secret that lets its holder do everything. Kept as its digest.
#[derive(Clone)]
pub struct AdminToken(Digest);

impl AdminToken {
    /// Takes one.
    ///
    /// # Errors
    /// When it is short enough to be guessed.
    pub fn new(token: &str) -> Result<Self, KeyError> {
        if token.len() < ADMIN_TOKEN_MIN {
            return Err(KeyError::Short {
                what: "administrator's token",
                found: token.len(),
                least: ADMIN_TOKEN_MIN,
            });
        }
        Ok(Self(digest(&SHA256, token.as_bytes())))
    }

    /// Reads `--admin-token`: a file, or a variable as `env:NAME`.
    ///
    /// # Errors
    /// When it cannot be read, or is too short.
    pub fn read(from: &str) -> Result<Self, KeyError> {
        Self::new(&secret_text(from)?)
    }

    /// Takes as long for any token: the digests are compared, and no difference ends that early.
    fn is(&self, token: &str) -> bool {
        let given = digest(&SHA256, token.as_bytes());
        self.0.as_ref().ct_eq(given.as_ref()).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1), where there is one.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}
