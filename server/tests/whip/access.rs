//! Who may publish and play where the server has a key.

use rtc_server::Config;
use rtc_server::access::{Access, Claims, Key, Moment, Power, Rooms, SigningKey};

use super::rig::{Http, RESTART, description, lonely, offer, server};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn token(room: &str, rights: &[Power], seconds: f64) -> String {
    let claims = Claims {
        room: Rooms::Named([room.parse().unwrap()].into()),
        name: None,
        rights: rights.iter().copied().collect(),
        exp: Moment::now().unix + seconds,
        nbf: None,
        iat: None,
        sub: None,
        aud: None,
    };
    SigningKey::secret(SECRET).unwrap().token(&claims)
}

#[tokio::test]
async fn a_token_is_asked_for_by_every_request() {
    let guarded = Config {
        access: Access::new(vec![Key::secret(SECRET).unwrap()], None),
        ..lonely()
    };
    let (_running, address) = server(guarded).await;
    let http = Http(address);
    let sdp = ("Content-Type", "application/sdp");
    let ask = async |method: &str, path: &str, token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [sdp, ("Authorization", &bearer)];
        http.ask(method, path, &headers, body.as_bytes()).await
    };
    let bare = http.post("/whip/r", &offer()).await;
    assert_eq!(bare.status, 401);
    assert_eq!(bare.header("www-authenticate"), "Bearer");
    for (method, path) in [
        ("DELETE", "/whip/r/x"),
        ("PATCH", "/whep/r/x"),
        ("GET", "/whip/r/x"),
    ] {
        let bare = http.ask(method, path, &[], RESTART.as_bytes()).await;
        assert_eq!(bare.status, 401, "{method}");
    }
    let both = [Power::Join, Power::Publish];
    for wrong in ["nonsense", &token("r", &both, -600.0)] {
        let refused = ask("POST", "/whip/r", wrong, &offer()).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        let challenge = refused.header("www-authenticate");
        assert_eq!(challenge, "Bearer error=\"invalid_token\"");
    }
    let good = token("r", &both, 600.0);
    let elsewhere = ask("POST", "/whip/other", &good, &offer()).await;
    assert_eq!(elsewhere.status, 403);
    // Let in, and nobody there to answer.
    assert_eq!(ask("POST", "/whip/r", &good, &offer()).await.status, 503);
    assert_eq!(ask("DELETE", "/whip/r/x", &good, "").await.status, 404);
    let viewer = token("r", &[Power::Join], 600.0);
    assert_eq!(ask("POST", "/whip/r", &viewer, &offer()).await.status, 403);
    let play = description("zjkk", "recvonly");
    assert_eq!(ask("POST", "/whep/r", &viewer, &play).await.status, 409);
    assert_eq!(http.ask("OPTIONS", "/whip/r", &[], b"").await.status, 200);
}
