//! JSON Web Signature in its compact form (RFC 7515, section 7.1), for the two algorithms that are needed.
//!
//! The header is looked at for its algorithm alone, and that only chooses among the server's own keys, each of which
//! belongs to one algorithm (RFC 8725, section 3.1): a public key is never a secret, and `none` has no key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key::{Algorithm, Key, SigningKey};
use super::{Claims, Denied};

/// Longest token: it has to fit into a header of a request.
pub(super) const MOST_BYTES: usize = 4 * 1024;

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    /// Extensions that must be understood; there is none that is.
    crit: Option<IgnoredAny>,
}

/// The claims of a token that one of these keys has signed.
pub(super) fn verify(token: &str, keys: &[Key]) -> Result<Claims, Denied> {
    if token.len() > MOST_BYTES {
        return Err(Denied::Malformed("it is longer than 4096 bytes"));
    }
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or(Denied::Malformed("it has no three parts"))?;
    let (header, payload) = signed
        .split_once('.')
        .filter(|(_, payload)| !payload.contains('.'))
        .ok_or(Denied::Malformed("it has no three parts"))?;
    let header: Header = serde_json::from_slice(&decode(header)?)
        .map_err(|_| Denied::Malformed("its header is no JSON with an alg"))?;
    if header.crit.is_some() {
        return Err(Denied::Malformed("its header asks for an extension"));
    }
    let typed = header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if !typed {
        return Err(Denied::Malformed("it is a token of another type"));
    }
    let algorithm = Algorithm::named(&header.alg).ok_or(Denied::Algorithm)?;
    let mut fitting = keys.iter().filter(|key| key.algorithm() == algorithm);
    let signature = decode(signature)?;
    let mut any = false;
    let genuine = fitting.any(|key| {
        any = true;
        key.verifies(signed.as_bytes(), &signature)
    });
    if !any {
        return Err(Denied::Algorithm);
    }
    if !genuine {
        return Err(Denied::Signature);
    }
    // Only now is anything of it believed.
    Claims::parse(&decode(payload)?)
}

/// A token that says this.
pub(super) fn sign(claims: &Claims, key: &SigningKey) -> String {
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, key.algorithm().as_str());
    // Names, numbers and checked texts: there is nothing in it that cannot be written.
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

fn decode(part: &str) -> Result<Vec<u8>, Denied> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Denied::Malformed("a part of it is no base64url"))
}
