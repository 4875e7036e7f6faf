//! Tokens, good and bad.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::hmac;
use rtc_protocol::RoomId;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Made with `openssl genpkey -algorithm ed25519`, for these tests alone.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINgDM3AaT4g/F5Td3vkpi4eeDCqOlWqhUAX6btryGrHi
-----END PRIVATE KEY-----
";

/// Its public half.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAXSSVUeq63iLH5M1Z+jYyy+pHz3UCbrXeGpc1bnh1P1w=
-----END PUBLIC KEY-----
";

fn now() -> Moment {
    Moment {
        unix: 1_700_000_000.0,
        steady: Instant::now(),
    }
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

/// A token of these claims in JSON, with this header, signed with the secret whatever the header says.
fn forged(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const GOOD: &str = r#"{"room":"foo","exp":1700000100}"#;

fn hs256() -> Access {
    Access::new(vec![Key::secret(SECRET).unwrap()], None)
}

fn eddsa() -> Access {
    Access::new(vec![Key::public(PUBLIC, "public.pem").unwrap()], None)
}

fn check(claims: &str) -> Result<Rights, Denied> {
    hs256().check(Some(&forged(HS256, claims, SECRET)), now())
}

#[track_caller]
fn refused(access: &Access, token: &str, code: ErrorCode) {
    let denied = access.check(Some(token), now()).unwrap_err();
    assert_eq!(denied.code(), code, "{denied}");
}

#[test]
fn an_open_server_asks_for_nothing_and_gives_no_administrator() {
    let access = Access::default();
    let rights = access.check(None, now()).unwrap();
    assert!(rights.join(&room("any"), now().steady).is_ok());
    assert!(rights.publish());
    assert!(!rights.moderate(&room("any")));
    assert!(!rights.administrate(now().steady));
    assert_eq!(access.check(Some("whatever"), now()), Ok(Rights::open()));
}

#[test]
fn a_token_opens_its_room_and_no_other() {
    let rights = check(GOOD).unwrap();
    let at = now().steady;
    assert!(rights.join(&room("foo"), at).is_ok());
    let (code, _) = rights.join(&room("bar"), at).unwrap_err();
    assert_eq!(code, ErrorCode::NotAllowed);
    assert!(rights.publish() && !rights.moderate(&room("foo")) && !rights.administrate(at));
}

#[test]
fn rooms_are_one_or_a_list_or_all_and_none_where_it_does_not_say() {
    let at = now().steady;
    for (claim, foo, bar) in [
        (r#""room":"foo","#, true, false),
        (r#""room":["foo","bar"],"#, true, true),
        (r#""room":"*","#, true, true),
        (r#""room":["x","*"],"#, true, true),
        (r#""room":[],"#, false, false),
        ("", false, false),
    ] {
        let rights = check(&format!(r#"{{{claim}"exp":1700000100}}"#)).unwrap();
        assert_eq!(rights.join(&room("foo"), at).is_ok(), foo, "{claim}");
        assert_eq!(rights.join(&room("bar"), at).is_ok(), bar, "{claim}");
    }
}

#[test]
fn rights_are_those_named_and_only_in_the_rooms_named() {
    let rights = check(r#"{"room":"foo","rights":["moderate"],"exp":1700000100}"#).unwrap();
    assert!(rights.moderate(&room("foo")) && !rights.moderate(&room("bar")));
    assert!(rights.join(&room("foo"), now().steady).is_err() && !rights.publish());
    let rights = check(r#"{"rights":["admin"],"exp":1700000100}"#).unwrap();
    assert!(rights.administrate(now().steady));
}

#[test]
fn the_name_and_the_subject_are_the_tokens() {
    let rights = check(r#"{"name":"Ann","sub":"user-7","exp":1700000100}"#).unwrap();
    assert_eq!(rights.name().unwrap().as_str(), "Ann");
    assert_eq!(rights.subject(), Some("user-7"));
}

#[test]
fn no_token_is_refused() {
    let denied = hs256().check(None, now()).unwrap_err();
    assert_eq!(denied.code(), ErrorCode::NotAuthorized);
}

#[test]
fn no_algorithm_at_all_is_refused() {
    for alg in ["none", "None", "NONE", ""] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let bare = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(&header),
            URL_SAFE_NO_PAD.encode(GOOD)
        );
        for token in [bare, forged(&header, GOOD, SECRET)] {
            refused(&hs256(), &token, ErrorCode::TokenAlgorithm);
            refused(&eddsa(), &token, ErrorCode::TokenAlgorithm);
        }
    }
}

#[test]
fn other_algorithms_are_refused() {
    for alg in [
        "HS384", "HS512", "RS256", "ES256", "PS256", "hs256", "Ed448",
    ] {
        let token = forged(&format!(r#"{{"alg":"{alg}"}}"#), GOOD, SECRET);
        refused(&hs256(), &token, ErrorCode::TokenAlgorithm);
    }
    let token = forged(r#"{"alg":"EdDSA"}"#, GOOD, SECRET);
    refused(&hs256(), &token, ErrorCode::TokenAlgorithm);
    refused(&eddsa(), &token, ErrorCode::TokenSignature);
}

#[test]
fn a_public_key_is_no_secret() {
    let der: Vec<u8> = {
        let body: String = PUBLIC.lines().filter(|l| !l.starts_with('-')).collect();
        base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap()
    };
    let both = Access::new(
        vec![
            Key::public(PUBLIC, "public.pem").unwrap(),
            Key::secret(SECRET).unwrap(),
        ],
        None,
    );
    for secret in [
        PUBLIC.as_bytes(),
        PUBLIC.trim_end().as_bytes(),
        &der,
        &der[12..],
    ] {
        let token = forged(HS256, GOOD, secret);
        refused(&eddsa(), &token, ErrorCode::TokenAlgorithm);
        refused(&both, &token, ErrorCode::TokenSignature);
    }
}

#[test]
fn a_wrong_or_changed_signature_is_refused() {
    let token = forged(HS256, GOOD, b"another secret of thirty-two bytes");
    refused(&hs256(), &token, ErrorCode::TokenSignature);
    let good = forged(HS256, GOOD, SECRET);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    refused(&hs256(), &format!("{signed}."), ErrorCode::TokenSignature);
    refused(
        &hs256(),
        &format!("{signed}.{}", &signature[..20]),
        ErrorCode::TokenSignature,
    );
    let other = URL_SAFE_NO_PAD.encode(r#"{"room":"*","exp":1700000100}"#);
    let header = signed.split('.').next().unwrap();
    let changed = format!("{header}.{other}.{signature}");
    refused(&hs256(), &changed, ErrorCode::TokenSignature);
}

#[test]
fn time_is_counted_with_some_room_for_clocks() {
    let at = |claims: &str| check(claims).map_err(|denied| denied.code());
    assert!(at(r#"{"exp":1699999941}"#).is_ok(), "expired 59 s ago");
    assert_eq!(at(r#"{"exp":1699999940}"#), Err(ErrorCode::TokenExpired));
    assert_eq!(at(r#"{"exp":0}"#), Err(ErrorCode::TokenExpired));
    assert_eq!(at(r#"{"exp":-1e300}"#), Err(ErrorCode::TokenExpired));
    assert!(at(r#"{"exp":1e300}"#).is_ok());
    assert!(at(r#"{"exp":1700000000.5}"#).is_ok());
    assert!(at(r#"{"exp":1700000100,"nbf":1700000060}"#).is_ok());
    assert_eq!(
        at(r#"{"exp":1700000100,"nbf":1700000061}"#),
        Err(ErrorCode::TokenNotYetValid)
    );
}

#[test]
fn rights_run_out_and_then_open_no_room() {
    let now = now();
    let token = forged(HS256, GOOD, SECRET);
    let rights = hs256().check(Some(&token), now).unwrap();
    let soon = now.steady + Duration::from_secs(159);
    assert!(rights.join(&room("foo"), soon).is_ok());
    let late = now.steady + Duration::from_secs(160);
    let (code, _) = rights.join(&room("foo"), late).unwrap_err();
    assert_eq!(code, ErrorCode::TokenExpired);
}

#[test]
fn claims_of_another_kind_are_refused() {
    let long = format!(r#"{{"exp":1700000100,"sub":"{}"}}"#, "x".repeat(257));
    let many: BTreeSet<_> = (0..65).map(|n| format!("\"r{n}\"")).collect();
    let many: Vec<_> = many.into_iter().collect();
    let many = format!(r#"{{"exp":1700000100,"room":[{}]}}"#, many.join(","));
    for claims in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"room":"foo"}"#,
        r#"{"exp":"1700000100"}"#,
        r#"{"exp":null}"#,
        r#"{"exp":{}}"#,
        r#"{"exp":1700000100,"nbf":"soon"}"#,
        r#"{"exp":1700000100,"room":7}"#,
        r#"{"exp":1700000100,"room":{"foo":true}}"#,
        r#"{"exp":1700000100,"room":[["foo"]]}"#,
        r#"{"exp":1700000100,"room":""}"#,
        r#"{"exp":1700000100,"room":"a/b"}"#,
        r#"{"exp":1700000100,"name":7}"#,
        r#"{"exp":1700000100,"name":""}"#,
        r#"{"exp":1700000100,"rights":"moderate"}"#,
        r#"{"exp":1700000100,"rights":["fly"]}"#,
        r#"{"exp":1700000100,"rights":[1]}"#,
        r#"{"exp":1700000100,"sub":7}"#,
        r#"{"exp":1700000100,"aud":"another"}"#,
        r#"{"exp":1700000100,"aud":[]}"#,
        r#"{"exp":1700000100,"exp":1700000100}"#,
        r#"{"exp":1700000100,"room":"foo","room":"*"}"#,
        &long,
        &many,
    ] {
        let denied = check(claims).unwrap_err();
        assert_eq!(denied.code(), ErrorCode::TokenClaims, "{claims}: {denied}");
    }
    assert!(check(r#"{"exp":1700000100,"aud":["x","rtc-server"],"jti":{}}"#).is_ok());
}

#[test]
fn what_is_no_token_is_refused() {
    let good = forged(HS256, GOOD, SECRET);
    let padded = format!("{good}=");
    let long = format!("{good}{}", "x".repeat(4096));
    let crit = forged(
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        GOOD,
        SECRET,
    );
    let typ = forged(r#"{"alg":"HS256","typ":"at+jwt"}"#, GOOD, SECRET);
    let twice = forged(r#"{"alg":"none","alg":"HS256"}"#, GOOD, SECRET);
    let headless = forged("{}", GOOD, SECRET);
    let five = format!("{good}.a.b");
    for token in [
        "", ".", "..", "...", "a.b.c", "é.é.é", &padded, &long, &crit, &typ, &twice, &headless,
        &five,
    ] {
        refused(&hs256(), token, ErrorCode::TokenMalformed);
    }
}

#[test]
fn several_keys_are_tried_so_that_they_can_be_changed() {
    let old = b"the old secret of thirty-two bytes";
    let access = Access::new(
        vec![Key::secret(SECRET).unwrap(), Key::secret(old).unwrap()],
        None,
    );
    for secret in [SECRET, old] {
        assert!(
            access
                .check(Some(&forged(HS256, GOOD, secret)), now())
                .is_ok()
        );
    }
}

#[test]
fn what_we_sign_we_accept_in_both_ways() {
    let claims = Claims {
        room: Rooms::Named([room("foo")].into()),
        name: None,
        rights: [Power::Join, Power::Moderate].into(),
        exp: now().unix + 60.0,
        nbf: None,
        iat: Some(now().unix),
        sub: None,
        aud: None,
    };
    let private = SigningKey::private(PRIVATE, "private.pem").unwrap();
    let token = private.token(&claims);
    let rights = eddsa().check(Some(&token), now()).unwrap();
    assert!(rights.moderate(&room("foo")));
    refused(&hs256(), &token, ErrorCode::TokenAlgorithm);
    let token = SigningKey::secret(SECRET).unwrap().token(&claims);
    assert!(
        hs256()
            .check(Some(&token), now())
            .unwrap()
            .moderate(&room("foo"))
    );
    refused(&eddsa(), &token, ErrorCode::TokenAlgorithm);
}

#[test]
fn the_administrators_token_counts_with_and_without_keys() {
    let secret = "a long token for the administrator";
    let key = Key::secret(SECRET).unwrap();
    for keys in [Vec::new(), vec![key]] {
        let access = Access::new(keys, Some(AdminToken::new(secret).unwrap()));
        let rights = access.check(Some(secret), now()).unwrap();
        assert!(rights.administrate(now().steady) && rights.moderate(&room("any")));
        let other = access.check(Some("a long token for somebody else"), now());
        assert!(!other.is_ok_and(|rights| rights.administrate(now().steady)));
    }
    assert!(AdminToken::new("short").is_err());
}

#[test]
fn keys_that_cannot_be_one_are_refused_in_words() {
    assert!(matches!(
        Key::secret(b"short"),
        Err(KeyError::Short { found: 5, .. })
    ));
    for bad in [
        "",
        "MCow",
        PRIVATE,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(
            matches!(Key::public(bad, "k.pem"), Err(KeyError::Form { .. })),
            "{bad}"
        );
    }
    assert!(matches!(
        SigningKey::private(PUBLIC, "k.pem"),
        Err(KeyError::Form { .. })
    ));
    let error = Key::read_secret("/no/such/file").unwrap_err().to_string();
    assert!(error.contains("/no/such/file"), "{error}");
    let error = Key::read_secret("env:NO_SUCH_VARIABLE")
        .unwrap_err()
        .to_string();
    assert!(error.contains("NO_SUCH_VARIABLE"), "{error}");
}

#[test]
fn no_key_shows_in_a_log() {
    let token = AdminToken::new("a long token for the administrator").unwrap();
    let access = Access::new(vec![Key::secret(SECRET).unwrap()], Some(token.clone()));
    let text = format!("{access:?} {token:?} {:?}", Key::secret(SECRET).unwrap());
    assert!(!text.contains("0123") && !text.contains("long"), "{text}");
}

#[test]
fn a_bearer_is_found_in_the_header() {
    let with = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        bearer(&headers).map(str::to_owned)
    };
    assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
    assert_eq!(with("bearer  abc ").as_deref(), Some("abc"));
    assert_eq!(with("Basic abc"), None);
    assert_eq!(with("Bearer"), None);
    assert_eq!(with("Bearer "), None);
    assert_eq!(bearer(&HeaderMap::new()), None);
}

proptest! {
    #[test]
    fn any_text_is_refused(token in "\\PC{0,200}") {
        prop_assert!(hs256().check(Some(&token), now()).is_err());
    }

    #[test]
    fn any_bytes_in_three_parts_are_refused(
        header in prop::collection::vec(any::<u8>(), 0..64),
        payload in prop::collection::vec(any::<u8>(), 0..64),
        signature in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let token = [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        prop_assert!(hs256().check(Some(&token), now()).is_err());
        prop_assert!(eddsa().check(Some(&token), now()).is_err());
    }

    #[test]
    fn any_signed_bytes_are_claims_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&payload);
        let _ = check(&text);
    }

    #[test]
    fn one_changed_character_is_refused(at in 0usize..200, to in "[A-Za-z0-9_.-]") {
        let mut token = forged(HS256, GOOD, SECRET);
        let at = at % token.len();
        // The last character of the signature carries bits that are not there; those are another form of the same.
        prop_assume!(&token[at..=at] != to.as_str());
        token.replace_range(at..=at, &to);
        prop_assert!(hs256().check(Some(&token), now()).is_err());
    }

    #[test]
    fn claims_come_back_as_they_were_signed(
        rooms in prop::collection::btree_set("[a-z*]{1,8}", 0..5),
        exp in 1_700_000_100u32..,
        name in prop::option::of("[A-Za-z ]{1,64}"),
    ) {
        let claims = Claims {
            room: if rooms.contains("*") { Rooms::All } else {
                Rooms::Named(rooms.iter().map(|name| room(name)).collect())
            },
            name: name.map(|name| rtc_protocol::Name::new(&name).unwrap()),
            rights: Power::usual(),
            exp: exp.into(),
            nbf: None,
            iat: None,
            sub: None,
            aud: None,
        };
        let token = SigningKey::secret(SECRET).unwrap().token(&claims);
        let back = jwt::verify(&token, &[Key::secret(SECRET).unwrap()]);
        prop_assert_eq!(back, Ok(claims));
    }
}
