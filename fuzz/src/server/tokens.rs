//! Room tokens.

use std::sync::OnceLock;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use rtc_server::access::{Access, Key, Moment};

const SECRET: &[u8] = b"a secret that nobody knows but us";

/// Any text is refused. What is signed with our own key is read, and gives rights that count now, or none: the first
/// line is the header, the rest the claims.
pub fn token(data: &[u8]) {
    static START: OnceLock<Instant> = OnceLock::new();
    let access = Access::new(vec![Key::secret(SECRET).expect("a key")], None);
    let steady = *START.get_or_init(Instant::now);
    let now = Moment {
        unix: 1_800_000_000.0,
        steady,
    };
    if let Ok(text) = std::str::from_utf8(data) {
        let denied = access.check(Some(text), now).expect_err("it is not signed");
        assert!(denied.to_string().len() < 500, "{denied}");
    }
    let (header, claims) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (br#"{"alg":"HS256"}"#.as_slice(), data),
    };
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = BASE64.encode(hmac::sign(&key, signed.as_bytes()));
    match access.check(Some(&format!("{signed}.{signature}")), now) {
        Ok(rights) => assert!(!rights.expired(steady), "what has expired gives none"),
        Err(denied) => assert!(denied.to_string().len() < 500, "{denied}"),
    }
}
