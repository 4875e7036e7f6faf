//! At a server that speaks one of the dialects of other signaling servers: docs/protocol has what each of them says.
//!
//! The rules are in `rtc-dialects`, pure. Here is the one task that owns the WebSocket: it opens it, carries texts both ways, and makes
//! it anew where it breaks. None of these servers keeps a place, so each link joins anew; media go on meanwhile.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, SinkExt, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rtc_dialects::{Broken, Dialect, Errand, Identity, News, Peer, Refusal, Revision};
use rtc_protocol::{AuthToken, ErrorCode, Name, PeerId, Role, RoomId, Token};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::address::{ServerAddress, ServerChoice};
use super::backoff::Backoff;
use super::error::SignalingError;
use super::event::SignalingEvent;
use super::link::{ANOTHER_NETWORK, Command, FIRST_WAIT, HELD, LONGEST_WAIT};
use super::pair::{GOODBYE, Owner, Pending, Turn, welcome};
use super::socket::{
    DialError, OpenError, Sink, Socket, Stream, close_properly, dial, not_upgraded, unreachable,
    writable,
};
use super::terms::Terms;
use crate::trust::Trust;

/// Texts for the server that wait. A server that takes none while so many come is given up, and another link is made: nobody would
/// know what was lost.
const OUTBOX: usize = 1024;

/// What is needed to be a peer there.
#[derive(Clone, Debug)]
pub struct DialectOptions {
    /// What is spoken there.
    pub dialect: Dialect,
    /// Where.
    pub server: ServerChoice,
    /// The room; where names call names it is only what both sides call the call.
    pub room: RoomId,
    /// The name we go by; one of our id's where there is none.
    pub name: Option<Name>,
    /// Whom we call, where names call names.
    pub callee: Option<Name>,
    /// The room token, where the server asks for one.
    pub token: Option<AuthToken>,
    /// Which servers are believed.
    pub trust: Trust,
    /// How long the server may take for each step.
    pub patience: Duration,
}

impl DialectOptions {
    /// Everything but what has to be said at its default.
    #[must_use]
    pub fn new(dialect: Dialect, server: ServerChoice, room: RoomId) -> Self {
        Self {
            dialect,
            server,
            room,
            name: None,
            callee: None,
            token: None,
            trust: Trust::default(),
            patience: Duration::from_secs(5),
        }
    }

    /// What can be agreed on: pages take one offer and an ICE restart; who is called by name may be offered to again and again.
    pub(super) const fn terms(&self) -> Terms {
        Terms {
            renegotiates: matches!(self.dialect, Dialect::Login),
            pair: matches!(self.dialect, Dialect::Login | Dialect::Book),
            ..Terms::ROOM
        }
    }
}

/// How a link, or waiting for one, ended.
enum Over {
    Left(Option<oneshot::Sender<()>>),
    /// Trying again may help.
    Broken(String),
    Failed(SignalingError),
}

/// What opening goes by.
struct Way {
    options: DialectOptions,
    /// The name we go by.
    name: Name,
    /// Which revision of Engine.IO the server takes, as far as is known.
    revision: Revision,
}

/// All that the task owns.
pub(super) struct Door {
    way: Way,
    peer: Peer,
    me: PeerId,
    socket: Option<Socket>,
    pending: Pending,
    owner: Owner,
    /// Somebody let us in already, and our owner knows that the link is down.
    was_inside: bool,
    lost: bool,
}

impl Door {
    /// Connects, and is let in.
    pub(super) async fn open(
        options: DialectOptions,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Result<Self, SignalingError> {
        let me = Token::from_random(rand::random()).peer_id();
        let token = options.token.as_ref();
        let name = options.name.clone().unwrap_or_else(|| me.short_name());
        let peer = Peer::new(Identity {
            dialect: options.dialect,
            room: options.room.clone(),
            name: name.clone(),
            errand: options.callee.clone().map_or(Errand::Join, Errand::Call),
            token: token.map(|token| token.secret().to_owned()),
            me,
            seed: rand::random(),
            patience: options.patience,
        });
        let mut way = Way {
            options,
            name,
            revision: Revision::Four,
        };
        let socket = way.open().await?;
        let mut door = Self {
            way,
            peer,
            me,
            socket: None,
            pending: Pending::default(),
            owner: Owner::new(commands, events),
            was_inside: false,
            lost: false,
        };
        let server = door.way.options.server.address().authority();
        door.pending.tell(welcome(me, Vec::new(), &server));
        let socket = door.enter(socket).await?;
        door.socket = Some(socket);
        Ok(door)
    }

    pub(super) const fn me(&self) -> PeerId {
        self.me
    }

    pub(super) fn room(&self) -> RoomId {
        self.way.options.room.clone()
    }

    /// Talks until we are inside for the first time; nobody is there to be told yet.
    async fn enter(&mut self, mut socket: Socket) -> Result<Socket, SignalingError> {
        self.peer.link_up(Instant::now(), self.way.revision);
        while !self.was_inside {
            while let Some(text) = self.peer.next_text() {
                let sent = socket.send(Message::text(text)).await;
                sent.map_err(|error| self.way.unsteady(&cut(&error)))?;
            }
            let deadline = self.peer.deadline();
            let stepped = tokio::select! {
                // What came in time counts, however late we look.
                biased;
                message = socket.next() => match read(message) {
                    Ok(text) => step(&mut self.peer, text),
                    Err(why) => return Err(self.way.unsteady(&why)),
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                    self.peer.check(Instant::now())
                }
            };
            stepped.map_err(|broken| self.way.judge(broken))?;
            self.tell();
        }
        Ok(socket)
    }

    /// Stays there until our owner leaves or there is no point in it.
    pub(super) async fn run(mut self) {
        let seed = rand::random();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, seed);
        let mut socket = self.socket.take();
        let (left, fatal) = loop {
            let over = match socket.take() {
                Some(held) => {
                    let since = Instant::now();
                    let over = self.hold(held).await;
                    if since.elapsed() >= HELD {
                        backoff.reset();
                    }
                    over
                }
                None => match self.find(backoff.next_wait()).await {
                    Ok(found) => {
                        self.peer.link_up(Instant::now(), self.way.revision);
                        socket = Some(found);
                        continue;
                    }
                    Err(over) => over,
                },
            };
            match over {
                Over::Left(done) => break (Some(done), None),
                Over::Failed(error) => break (None, Some(error)),
                Over::Broken(reason) => {
                    let mends = self.peer.mends();
                    self.peer.link_down();
                    self.tell();
                    if !std::mem::replace(&mut self.lost, true) {
                        self.pending.tell(SignalingEvent::Lost { reason });
                    } else {
                        tracing::debug!("no link yet: {reason}");
                    }
                    if !mends {
                        // The call goes on as long as its media do.
                        break (None, None);
                    }
                }
            }
        };
        let done = match left {
            Some(done) => done,
            None => self.owner.end(&mut self.pending, fatal).await,
        };
        if let Some(done) = done {
            done.send(()).ok();
        }
    }

    /// Waits, then looks for the server; commands and events pass meanwhile.
    async fn find(&mut self, wait: Duration) -> Result<Socket, Over> {
        let Self {
            way,
            peer,
            owner,
            pending,
            ..
        } = self;
        let mut opening = std::pin::pin!(async {
            sleep(wait).await;
            way.open().await
        });
        loop {
            tokio::select! {
                turn = owner.turn(pending, None) => match turn {
                    Turn::Leave(done) => return Err(Over::Left(done)),
                    Turn::Command(Command::Anew) => {
                        return Err(Over::Broken(ANOTHER_NETWORK.to_owned()));
                    }
                    Turn::Command(command) => obey(peer, command),
                    Turn::Told | Turn::Time => {}
                },
                // What was there once may be there again.
                opened = &mut opening => {
                    return opened.map_err(|error| Over::Broken(error.to_string()));
                }
            }
        }
    }

    /// Talks on one link until it is over.
    async fn hold(&mut self, socket: Socket) -> Over {
        let (mut sink, mut stream) = socket.split();
        let mut unflushed = false;
        loop {
            self.tell();
            if self.peer.texts() > OUTBOX {
                let why = format!("the server reads nothing: {OUTBOX} texts wait for it");
                return Over::Broken(why);
            }
            let listening = !self.pending.is_full();
            if !listening {
                self.peer.was_not_listening(Instant::now());
            }
            let (deadline, has_text) = (self.peer.deadline(), self.peer.texts() > 0);
            let broken = tokio::select! {
                turn = self.owner.turn(&mut self.pending, deadline) => match turn {
                    Turn::Leave(done) => {
                        say_goodbye(&mut self.peer, &mut sink, &mut stream).await;
                        return Over::Left(done);
                    }
                    Turn::Command(Command::Anew) if self.peer.mends() => {
                        return Over::Broken(ANOTHER_NETWORK.to_owned());
                    }
                    Turn::Command(command) => {
                        obey(&mut self.peer, command);
                        Ok(())
                    }
                    Turn::Time => {
                        // What came in time counts, however late we look.
                        let came = if listening { stream.next().now_or_never() } else { None };
                        match came.map_or(Ok(None), read) {
                            Ok(text) => step(&mut self.peer, text),
                            Err(why) => return Over::Broken(why),
                        }
                    }
                    Turn::Told => Ok(()),
                },
                message = stream.next(), if listening => match read(message) {
                    Ok(Some(text)) => self.peer.hear(Instant::now(), &text),
                    Ok(None) => Ok(()),
                    Err(why) => return Over::Broken(why),
                },
                written = writable(&mut sink, has_text), if has_text || unflushed => {
                    unflushed = has_text;
                    let text = if has_text { self.peer.next_text() } else { None };
                    let written = written.and_then(|()| match text {
                        Some(text) => sink.start_send_unpin(Message::text(text)),
                        None => Ok(()),
                    });
                    match written {
                        Ok(()) => Ok(()),
                        Err(error) => return Over::Broken(cut(&error)),
                    }
                }
            };
            if let Err(broken) = broken {
                self.tell();
                return self.way.sort(broken);
            }
        }
    }

    /// Passes on what happened.
    fn tell(&mut self) {
        while let Some(news) = self.peer.next_news() {
            if matches!(news, News::Inside(_) | News::Waiting) {
                self.was_inside = true;
                if std::mem::take(&mut self.lost) {
                    let resumed = false;
                    self.pending.tell(SignalingEvent::Back { resumed });
                    if news == News::Waiting {
                        continue;
                    }
                }
            }
            self.pending.tell(self.event(news));
        }
    }

    fn event(&self, news: News) -> SignalingEvent {
        let options = &self.way.options;
        match news {
            News::IceServers(all) => welcome(self.me, all, &options.server.address().authority()),
            News::Inside(members) => SignalingEvent::Joined {
                room: options.room.clone(),
                me: self.me,
                role: Role::Member,
                capacity: 2,
                members,
                url: String::new(),
            },
            News::Waiting => SignalingEvent::Waiting {
                name: self.way.name.clone(),
            },
            News::Rung(call, from, name) => SignalingEvent::Rung { call, from, name },
            News::Ringing => SignalingEvent::Ringing,
            News::Accepted => SignalingEvent::Accepted,
            News::NotTaken(code, reason) => SignalingEvent::NotTaken { code, reason },
            News::HungUp(call) => SignalingEvent::HungUp { call },
            News::Came(member) => SignalingEvent::PeerJoined { member },
            News::Left(peer, reason) => SignalingEvent::PeerLeft { peer, reason },
            News::Signal(from, signal) => SignalingEvent::Signal { from, signal },
            News::Muted(peer, kind, muted, by) => SignalingEvent::Muted {
                peer,
                kind,
                muted,
                by,
            },
            News::Kicked(by, reason) => SignalingEvent::Kicked { by, reason },
            News::GoAway(reason) => SignalingEvent::GoAway { reason },
            News::Notice(text) => SignalingEvent::Notice { text },
        }
    }
}

impl Way {
    /// Opens a WebSocket: as of revision 4 of Engine.IO, and of revision 3 where the server does not take that.
    async fn open(&mut self) -> Result<Socket, SignalingError> {
        let opened = match self.open_as(self.revision).await {
            Err(DialError::Upgrade(WsError::Http(response)))
                if response.status() == StatusCode::BAD_REQUEST
                    && self.revision == Revision::Four
                    && self.options.dialect.is_over_socketio() =>
            {
                let opened = self.open_as(Revision::Three).await;
                if opened.is_ok() {
                    self.revision = Revision::Three;
                }
                opened
            }
            opened => opened,
        };
        opened.map_err(|error| self.not_open(error))
    }

    async fn open_as(&self, revision: Revision) -> Result<Socket, DialError> {
        let options = &self.options;
        let path = Peer::path(options.dialect, revision);
        let mut url = options.server.address().url_of(path);
        // Revision 4 shows it when it asks to be let in.
        let shown = revision == Revision::Three || !options.dialect.is_over_socketio();
        if let Some(token) = options.token.as_ref().filter(|_| shown) {
            let token = utf8_percent_encode(token.secret(), NON_ALPHANUMERIC);
            let mark = if path.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{mark}token={token}"));
        }
        dial(
            &options.server,
            &url,
            None,
            &options.trust,
            options.patience,
        )
        .await
    }

    fn not_open(&self, error: DialError) -> SignalingError {
        let address = self.options.server.address();
        let error = match error {
            DialError::Open(error) => error,
            DialError::Upgrade(WsError::Http(response))
                if response.status() == StatusCode::NOT_FOUND =>
            {
                let why = match self.options.dialect.is_over_socketio() {
                    true => "there is no Socket.IO at /socket.io/ (HTTP status 404)",
                    false => "there is no WebSocket at its root (HTTP status 404)",
                };
                return self.foreign(why.to_owned());
            }
            DialError::Upgrade(error) => not_upgraded(&address, &error),
        };
        match error {
            OpenError::Refused => {
                let refused = std::io::ErrorKind::ConnectionRefused.into();
                unreachable(&address, &refused)
            }
            OpenError::Passing(SignalingError::Nonsense { why, .. })
            | OpenError::Lasting(SignalingError::Nonsense { why, .. }) => self.foreign(why),
            OpenError::Passing(error) | OpenError::Lasting(error) => error,
        }
    }

    /// It is a server, of something else.
    fn foreign(&self, why: String) -> SignalingError {
        SignalingError::NoDialect {
            server: way_to(&self.options),
            dialect: self.options.dialect.as_str(),
            why,
        }
    }

    /// It let go of us before it let us in.
    fn unsteady(&self, why: &str) -> SignalingError {
        self.foreign(format!("it did not let us in: {why}"))
    }

    /// What ends a link, once we were inside.
    fn sort(&self, broken: Broken) -> Over {
        match broken {
            // Whom we call: there is nothing to try again.
            Broken::Refused(refusal @ (Refusal::NoSuchUser(_) | Refusal::Busy(_))) => {
                Over::Failed(self.judge(Broken::Refused(refusal)))
            }
            // Our own place or name may not be free yet.
            broken => Over::Broken(match broken {
                Broken::Link(error) => error.to_string(),
                broken => self.judge(broken).to_string(),
            }),
        }
    }

    /// Why we are not let in.
    fn judge(&self, broken: Broken) -> SignalingError {
        let server = way_to(&self.options);
        let name = || {
            let callee = self.options.callee.as_ref();
            callee.unwrap_or(&self.name).clone()
        };
        match broken {
            Broken::Link(rtc_dialects::link::LinkError::Refused(why)) => {
                SignalingError::Barred { server, why }
            }
            Broken::Link(error) => self.foreign(error.to_string()),
            Broken::Mute => self.foreign("it does not answer in time".to_owned()),
            Broken::Nonsense => self.foreign("what it sends is no word of this dialect".to_owned()),
            Broken::Refused(Refusal::Full) => SignalingError::RoomFull {
                room: self.options.room.clone(),
            },
            Broken::Refused(Refusal::NameTaken(why)) => SignalingError::Refused {
                code: ErrorCode::NameTaken,
                message: format!(
                    "the name `{}` is taken ({why}); choose another one with --as",
                    self.name
                ),
            },
            Broken::Refused(Refusal::NoSuchUser(why)) => {
                SignalingError::NoSuchPeer { name: name(), why }
            }
            Broken::Refused(Refusal::Busy(why)) => SignalingError::Busy { name: name(), why },
            Broken::Refused(Refusal::Said(why)) => SignalingError::Barred { server, why },
        }
    }
}

/// The server, as a person would write it.
fn way_to(options: &DialectOptions) -> String {
    let address: ServerAddress = options.server.address();
    address.home_url()
}

/// Does what the owner wants; leaving and starting over are not done here.
fn obey(peer: &mut Peer, command: Command) {
    match command {
        Command::Signal(to, signal) => peer.signal(Instant::now(), to, &signal),
        Command::Message(to, data) => peer.message(to, &data),
        Command::Mute(kind, muted) => peer.mute(kind, muted),
        Command::Kick(who, reason) => peer.kick(who, reason.as_deref()),
        Command::Accept(call) => peer.accept(&call),
        // One word serves for all reasons.
        Command::Refuse(call, _) => peer.refuse(&call),
        Command::Anew | Command::Paste(_) | Command::Leave(_) => {}
    }
}

/// Takes what came, if anything did, and does what it is time for: nothing that goes on coming keeps us from that.
fn step(peer: &mut Peer, text: Option<String>) -> Result<(), Broken> {
    let now = Instant::now();
    if let Some(text) = text {
        peer.hear(now, &text)?;
    }
    peer.check(now)
}

/// The text of a message, if it is one.
fn read(message: Option<Result<Message, WsError>>) -> Result<Option<String>, String> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Close(Some(frame)))) if !frame.reason.is_empty() => Err(format!(
            "the server closed the link: {} (code {})",
            frame.reason.as_str(),
            u16::from(frame.code)
        )),
        Some(Ok(Message::Close(_))) | None => Err("the server closed the link".to_owned()),
        // WebSocket's own pings are answered by the library; attachments are for nobody here.
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(cut(&error)),
    }
}

fn cut(error: &WsError) -> String {
    match error {
        WsError::ConnectionClosed => "the server closed the link".to_owned(),
        error => format!("the link broke: {error}"),
    }
}

/// Says what there is to say, the goodbye last.
async fn say_goodbye(peer: &mut Peer, sink: &mut Sink, stream: &mut Stream) {
    peer.leave();
    let talk = async {
        while let Some(text) = peer.next_text() {
            sink.send(Message::text(text)).await?;
        }
        Ok::<(), WsError>(())
    };
    match timeout(GOODBYE / 3, talk).await {
        Ok(Ok(())) => close_properly(sink, stream).await,
        Ok(Err(error)) => tracing::debug!(%error, "the link broke during the goodbye"),
        Err(_) => tracing::debug!("the server does not take the goodbye"),
    }
}

#[cfg(test)]
mod tests;
