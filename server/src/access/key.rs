//! Keys of room tokens: where they are read from, and what they sign or check.

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::{Claims, jwt};

/// Shortest secret: as long as the hash (RFC 7518, section 3.2).
const SECRET_MIN: usize = 32;

/// A `SubjectPublicKeyInfo` of Ed25519 up to the key itself (RFC 8410, section 4).
const ED25519_INFO: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What cannot be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file, or the variable, is not there.
    #[error("{from} cannot be read: {why}; write a file's name, or env:NAME for a variable")]
    Unreadable {
        /// The file or variable.
        from: String,
        /// The system's words.
        why: String,
    },
    /// It could be guessed.
    #[error(
        "the {what} has {found} bytes, and {least} are needed; draw one with `openssl rand -hex 32`"
    )]
    Short {
        /// Which secret.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it must be.
        least: usize,
    },
    /// It is no key of Ed25519 in PEM.
    #[error("{from} holds no {what}; {next}")]
    Form {
        /// The file.
        from: String,
        /// What was looked for.
        what: &'static str,
        /// How to make one.
        next: &'static str,
    },
}

/// What a token is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// HMAC with SHA-256 (RFC 7518, section 3.2).
    Hs256,
    /// Ed25519 (RFC 8037, section 3.1).
    EdDsa,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            // The second is the newer, fully specified name (RFC 9864, section 2.2).
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// What a token is checked with.
#[derive(Clone)]
pub struct Key(Check);

#[derive(Clone)]
enum Check {
    Secret(hmac::Key),
    Public(UnparsedPublicKey<[u8; 32]>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm().as_str())
    }
}

impl Key {
    /// A secret shared with who makes tokens (HS256).
    ///
    /// # Errors
    /// When it is too short.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(Check::Secret(hmac_key(secret)?)))
    }

    /// Reads `--auth-secret`: a file, or a variable as `env:NAME`.
    ///
    /// # Errors
    /// When it cannot be read, or is too short.
    pub fn read_secret(from: &str) -> Result<Self, KeyError> {
        Self::secret(secret_text(from)?.as_bytes())
    }

    /// The public half of the key that tokens are made with (EdDSA), in PEM; `from` is for the error alone.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn public(pem: &str, from: &str) -> Result<Self, KeyError> {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok();
        let key = key.and_then(|der| der.strip_prefix(&ED25519_INFO)?.try_into().ok());
        let key = key.ok_or_else(|| KeyError::Form {
            from: from.to_owned(),
            what: "public key of Ed25519 in PEM",
            next: "make it with `openssl pkey -in private.pem -pubout`",
        })?;
        Ok(Self(Check::Public(UnparsedPublicKey::new(&ED25519, key))))
    }

    /// Reads `--auth-public-key`.
    ///
    /// # Errors
    /// When it cannot be read, or is no such key.
    pub fn read_public(from: &str) -> Result<Self, KeyError> {
        Self::public(&secret_text(from)?, from)
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Check::Secret(_) => Algorithm::Hs256,
            Check::Public(_) => Algorithm::EdDsa,
        }
    }

    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Check::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Check::Public(key) => key.verify(signed, signature).is_ok(),
        }
    }
}

/// What a token is made with.
#[derive(Clone)]
pub struct SigningKey(Sign);

#[derive(Clone)]
enum Sign {
    Secret(hmac::Key),
    Private(Arc<Ed25519KeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm().as_str())
    }
}

impl SigningKey {
    /// The secret that the server has, too (HS256).
    ///
    /// # Errors
    /// When it is too short.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(Sign::Secret(hmac_key(secret)?)))
    }

    /// Reads `--auth-secret`.
    ///
    /// # Errors
    /// When it cannot be read, or is too short.
    pub fn read_secret(from: &str) -> Result<Self, KeyError> {
        Self::secret(secret_text(from)?.as_bytes())
    }

    /// A private key (EdDSA), PKCS #8 in PEM; `from` is for the error alone.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn private(pem: &str, from: &str) -> Result<Self, KeyError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok();
        // What OpenSSL writes lacks the public half, which then has nothing to be checked against.
        let pair = key.and_then(|der| {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()
        });
        let pair = pair.ok_or_else(|| KeyError::Form {
            from: from.to_owned(),
            what: "private key of Ed25519 in PEM",
            next: "make one with `openssl genpkey -algorithm ed25519 -out private.pem`",
        })?;
        Ok(Self(Sign::Private(Arc::new(pair))))
    }

    /// Reads `--private-key`.
    ///
    /// # Errors
    /// When it cannot be read, or is no such key.
    pub fn read_private(from: &str) -> Result<Self, KeyError> {
        Self::private(&secret_text(from)?, from)
    }

    /// A token that says this.
    #[must_use]
    pub fn token(&self, claims: &Claims) -> String {
        jwt::sign(claims, self)
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Sign::Secret(_) => Algorithm::Hs256,
            Sign::Private(_) => Algorithm::EdDsa,
        }
    }

    pub(super) fn sign(&self, signed: &[u8]) -> Vec<u8> {
        match &self.0 {
            Sign::Secret(key) => hmac::sign(key, signed).as_ref().to_vec(),
            Sign::Private(pair) => pair.sign(signed).as_ref().to_vec(),
        }
    }
}

fn hmac_key(secret: &[u8]) -> Result<hmac::Key, KeyError> {
    if secret.len() < SECRET_MIN {
        return Err(KeyError::Short {
            what: "secret",
            found: secret.len(),
            least: SECRET_MIN,
        });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// Reads a file, or a variable as `env:NAME`. A line break at its end is an editor's, and no part of it.
///
/// # Errors
/// When there is no such file or variable, or it is not UTF-8.
pub fn secret_text(from: &str) -> Result<String, KeyError> {
    let text = match from.strip_prefix("env:") {
        Some(name) => std::env::var(name).map_err(|error| error.to_string()),
        None => std::fs::read_to_string(from).map_err(|error| error.to_string()),
    };
    let text = text.map_err(|why| KeyError::Unreadable {
        from: from.to_owned(),
        why,
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
