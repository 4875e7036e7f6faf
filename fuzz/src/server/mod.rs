//! What comes to the server.

pub mod pages;
pub mod relay;
pub mod sockets;
pub mod tokens;
pub mod whip;
pub mod words;

/// The name of a corpus, and what is done with each of its inputs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 15] = [
    ("client_frame", words::client_frame),
    ("server_frame", words::server_frame),
    ("raw", words::raw),
    ("signal", words::signal),
    ("ids", words::ids),
    ("told", words::told),
    ("socketio", pages::packet),
    ("login", pages::login),
    ("pages", pages::pages),
    ("offer", whip::offer),
    ("fragment", whip::fragment),
    ("publisher", whip::publisher),
    ("token", tokens::token),
    ("websocket", sockets::bytes),
    ("relay", relay::bytes),
];
