//! What a far side says on a channel that carries a pipe or files.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_transfer::WINDOW;
use rtc_transfer::frame::Frame;
use rtc_transfer::name::clean;
use rtc_transfer::pipe::{self, Pipe};
use rtc_transfer::receive::{self, Receiver};
use rtc_transfer::send::{File, Sender};

/// Messages behind a byte for the length of each: what is read is written as it was, no rule stumbles, and nobody is made to hold
/// more than the window.
pub fn messages(data: &[u8]) {
    let now = Instant::now();
    let mut pipe = Pipe::new([1; 16], now, Duration::ZERO);
    let mut sender = Sender::new(
        [1; 16],
        vec![File {
            name: "x".into(),
            size: 9,
        }],
    );
    let mut receiver = Receiver::new([1; 16]);
    pipe.linked();
    sender.linked();
    receiver.linked();
    let (mut held, mut rest) = (0, data);
    while let [length, more @ ..] = rest {
        let (message, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        let Ok(frame) = Frame::decode(Bytes::copy_from_slice(message)) else {
            continue;
        };
        assert_eq!(frame.encode(), message);
        pipe.heard(frame.clone(), now);
        sender.heard(frame.clone());
        receiver.heard(frame);
        while let Some(todo) = pipe.todo() {
            if let pipe::Todo::Write(bytes) = todo {
                held += bytes.len();
            }
        }
        assert!(held <= WINDOW);
        while let Some(todo) = receiver.todo() {
            match todo {
                receive::Todo::Find { file, name, .. } => {
                    assert_eq!(name, clean(&name));
                    assert!(!name.contains('/') && !name.contains('\\') && name != "..");
                    receiver.found(file, 0, [0; 32]);
                }
                receive::Todo::Write { file, bytes } => receiver.wrote(file, bytes.len()),
                receive::Todo::Finish { file, .. } => receiver.finished(file),
                _ => {}
            }
        }
        while sender.todo().is_some() {}
    }
}
