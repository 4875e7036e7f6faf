//! The login dialect's WebSocket: at `/`, without a subprotocol.
//!
//! A page of this dialect knows no heartbeat of its own: WebSocket's ping does it, which browsers answer by themselves. It
//! knows no resume either: a closed socket is a page that has gone, and its name is free at once.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use rtc_protocol::dialect::login::{Code, Login, Said};
use rtc_protocol::dialect::{Step, Translator};
use rtc_protocol::{Dialect, ErrorCode, ServerFrame, Token, close};

use crate::access::Rights;
use crate::connection::{GOING_AWAY, Place, Rules, Tongue, Turn, hold};
use crate::hub::{Greeting, Line};
use crate::rate::Share;
use crate::seat::Seat;
use crate::socket::goodbye;
use crate::switchboard::Switchboard;

/// Serves one page until it ends.
pub(crate) async fn serve(
    mut socket: Box<WebSocket>,
    switchboard: Switchboard,
    rules: Rules,
    rights: Rights,
    share: Option<Arc<Share>>,
) {
    let greeting = Greeting::translated(Token::from_random(rand::random()), Dialect::Login, None);
    let greeting = greeting.with_rights(rights);
    let Some(seat) = Seat::take(&switchboard, greeting, rules.queue).await else {
        return Box::pin(goodbye(&mut socket, GOING_AWAY)).await;
    };
    let metrics = switchboard.metrics().clone();
    let place = Place {
        seat,
        rules,
        share,
        metrics,
    };
    Box::pin(hold(socket, place, Page::new())).await;
}

/// A page and its translator.
#[derive(Debug)]
struct Page {
    login: Login,
    /// Kept, so that a message costs no memory of its own.
    steps: Vec<Step<String>>,
}

impl Page {
    fn new() -> Self {
        Self {
            login: Login::new(Token::from_random(rand::random())),
            steps: Vec::new(),
        }
    }

    fn take(&mut self, turn: &mut Turn) {
        for step in self.steps.drain(..) {
            match step {
                Step::Core(frame) => turn.core.push(frame),
                Step::Page(text) => turn.peer.push(text),
                Step::Close(why) => turn.close = Some((close::NORMAL, why)),
            }
        }
    }
}

impl Tongue for Page {
    type Said = Said;

    const RESUMES: bool = false;

    fn read(&mut self, text: &str) -> Result<Said, (ErrorCode, String)> {
        Said::parse(text).map_err(|answer| (ErrorCode::BadMessage, answer))
    }

    fn refusal(&self, _: Option<&Said>, code: ErrorCode, words: String) -> String {
        Login::error(Code::from(code), &words)
    }

    fn said(&mut self, said: Said, turn: &mut Turn) {
        self.login.said(said, &mut self.steps);
        self.take(turn);
    }

    fn heard(&mut self, line: &Line, turn: &mut Turn) {
        // The room core's own words; a page that is not told one of them would wait for ever, so it is closed.
        match ServerFrame::parse(&line.text()) {
            Ok(frame) => self.login.heard(frame, &mut self.steps),
            Err(error) => {
                tracing::error!(%error, "a line of the room core cannot be read");
                turn.close = Some((close::INTERNAL, "internal error"));
            }
        }
        self.take(turn);
    }

    fn beat(&mut self) -> Message {
        Message::Ping(Bytes::new())
    }
}
