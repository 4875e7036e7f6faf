//! Texts of `rtc.v1`, alone, and what nodes of a cluster tell each other of their holders.

use rtc_protocol::{
    CallId, ClientFrame, Name, PeerId, Raw, RoomId, ServerFrame, Signal, Token, limits,
};
use rtc_server::cluster::holdings::told::{MOST, Told};

/// What a client says: read, written and read again it is the same, and a refusal is short.
pub fn client_frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match ClientFrame::parse(text) {
        Ok(frame) => {
            let again = ClientFrame::parse(&frame.to_json());
            assert_eq!(again.as_ref(), Ok(&frame), "{text}");
        }
        Err(rejected) => assert!(rejected.error.to_string().len() < 2_000, "{text}"),
    }
}

/// The same for what a server says.
pub fn server_frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match ServerFrame::parse(text) {
        Ok(frame) => {
            let again = ServerFrame::parse(&frame.to_json());
            assert_eq!(again.as_ref(), Ok(&frame), "{text}");
        }
        Err(rejected) => assert!(rejected.error.to_string().len() < 2_000, "{text}"),
    }
}

/// JSON that is passed on: what is taken is valid, flat enough for any parser, and keeps its text.
pub fn raw(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(raw) = Raw::parse(text) {
        assert_eq!(raw.get(), text.trim_matches([' ', '\n', '\r', '\t']));
        let frame = format!(r#"{{"type":"message","room":"r","data":{text}}}"#);
        if ClientFrame::parse(&frame).is_ok() {
            let tree = serde_json::from_str::<serde_json::Value>(text);
            // Numbers that no float holds and halves of surrogates are JSON all the same (RFC 8259, sections 6 and 8.2).
            if let Err(error) = tree {
                let (words, all_the_same) =
                    (error.to_string(), ["number", "surrogate", "hex escape"]);
                assert!(
                    all_the_same.iter().any(|fine| words.contains(fine)),
                    "{error}"
                );
            }
        }
    }
}

/// Signals: what is read can be written, and is the same when read again.
pub fn signal(data: &[u8]) {
    let Some(raw) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| Raw::parse(text).ok())
    else {
        return;
    };
    if let Ok(signal) = Signal::from_raw(&raw) {
        let again = signal.to_raw().expect("a signal can be written");
        assert_eq!(Signal::from_raw(&again).as_ref(), Ok(&signal));
    }
}

/// Names of things: what is taken is within its bounds and stays what it is.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(room) = RoomId::new(text) {
        assert!(room.as_str() == text && (1..=limits::ROOM_NAME_BYTES).contains(&text.len()));
        assert!(!text.contains(['/', '?', '#']) && text != "." && text != "..");
    }
    if let Ok(name) = Name::new(text) {
        assert!((1..=limits::NAME_CHARS).contains(&name.as_str().chars().count()));
        assert!(!name.as_str().contains(char::is_control));
    }
    if let Ok(call) = CallId::new(text) {
        assert!(call.as_str().chars().count() <= limits::CALL_ID_CHARS);
    }
    if let Ok(peer) = PeerId::new(text) {
        assert_eq!(peer.as_str(), text);
    }
    if let Ok(token) = Token::new(text) {
        assert!((limits::TOKEN_MIN..=limits::TOKEN_MAX).contains(&text.len()));
        assert_eq!(PeerId::new(token.peer_id().as_str()), Ok(token.peer_id()));
    }
}

/// What a node tells of its holders: read, written and read again it is the same, and of each limit no more than may be told.
pub fn told(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Told::read(text) {
        Ok(told) => {
            assert_eq!(Told::read(&told.write()).as_ref(), Ok(&told), "{text}");
            assert!(told.holders().count() <= 3 * MOST);
        }
        Err(error) => assert!(error.to_string().len() < 1_000, "{text}"),
    }
}
