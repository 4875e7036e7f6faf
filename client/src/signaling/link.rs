//! The task that holds the link: finds the server, keeps the conversation going, and starts over when it breaks.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{CallId, Kind, PeerId, Raw, RefuseCode, RoomId, Signal, close};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::backoff::Backoff;
use super::conversation::{Conversation, Ending};
use super::error::SignalingError;
use super::event::SignalingEvent;
use super::host::Door;
use super::socket::{OpenError, Sink, Socket, Stream, close_properly, writable};

/// The longest wait before the first try after a loss. Short: most often a server has been restarted, or the one
/// that ran it has left and the next one takes over.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait before any try.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A link that held this long was a good one, and its loss is the first of a new row.
pub(super) const HELD: Duration = Duration::from_secs(5);

/// How often the link may break before we are let in for the first time.
const FIRST_TRIES: u32 = 5;

/// Events that wait for the owner before the task stops reading from the server.
const EVENTS: usize = 64;

/// How long the server may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a link is given up that may be well.
pub(super) const ANOTHER_NETWORK: &str = "the network has changed";

/// What the owner wants.
#[derive(Debug)]
pub(super) enum Command {
    Signal(PeerId, Signal),
    Message(Option<PeerId>, Raw),
    Mute(Kind, bool),
    Kick(PeerId, Option<String>),
    Accept(CallId),
    Refuse(CallId, RefuseCode),
    /// What somebody carried here.
    Paste(String),
    /// The network is another: what this link goes by may be gone without a word.
    Anew,
    Leave(oneshot::Sender<()>),
}

/// Why the task is done.
enum Stop {
    /// The owner left, or is gone.
    Left(Option<oneshot::Sender<()>>),
    /// The room put us out.
    PutOut,
    /// It cannot go on.
    Failed(SignalingError),
}

/// Why one link is done.
enum Over {
    Broken(String),
    Stop(Stop),
}

impl From<Ending> for Over {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Broken(reason) => Self::Broken(reason),
            Ending::Final(error) => Self::Stop(Stop::Failed(error)),
        }
    }
}

/// All that the task owns.
pub(super) struct Link {
    door: Door,
    backoff: Backoff,
    conversation: Conversation,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<SignalingEvent>,
    joined: Option<oneshot::Sender<Result<(PeerId, RoomId), SignalingError>>>,
}

impl Link {
    pub(super) fn new(
        door: Door,
        seed: u64,
        conversation: Conversation,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SignalingEvent>,
        joined: oneshot::Sender<Result<(PeerId, RoomId), SignalingError>>,
    ) -> Self {
        Self {
            door,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT, seed),
            conversation,
            commands,
            events,
            joined: Some(joined),
        }
    }

    /// Holds the link until the owner leaves or there is no point in it.
    pub(super) async fn run(mut self) {
        let stop = self.keep().await;
        match stop {
            Stop::Left(done) => {
                self.door.close().await;
                if let Some(done) = done {
                    done.send(()).ok();
                }
            }
            Stop::PutOut => self.tell_the_rest(None).await,
            Stop::Failed(error) => match self.joined.take() {
                Some(joined) => {
                    self.door.close().await;
                    joined.send(Err(error)).ok();
                }
                None => self.tell_the_rest(Some(error)).await,
            },
        }
    }

    async fn keep(&mut self) -> Stop {
        let mut wait = Duration::ZERO;
        let mut broken = 0;
        loop {
            let socket = match self.find(wait).await {
                Ok(socket) => Some(socket),
                Err(Over::Stop(stop)) => return stop,
                Err(Over::Broken(reason)) => {
                    tracing::debug!(reason, "no link yet");
                    None
                }
            };
            if let Some(socket) = socket {
                self.conversation.moved_to(self.door.address());
                let since = Instant::now();
                match self.hold(socket).await {
                    Over::Stop(stop) => return stop,
                    Over::Broken(reason) => {
                        self.conversation.link_down(&reason);
                        if let Some(there) = self.conversation.take_elsewhere() {
                            tracing::info!("the server sends us to {there}");
                            self.door.go(there);
                        }
                        broken += 1;
                        if !self.conversation.was_inside() && broken >= FIRST_TRIES {
                            return Stop::Failed(self.door.unsteady(&reason));
                        }
                    }
                }
                if since.elapsed() >= HELD {
                    self.backoff.reset();
                }
            }
            wait = self.conversation.take_away() + self.backoff.next_wait();
        }
    }

    /// Waits, then looks for the server; commands and events pass meanwhile.
    async fn find(&mut self, wait: Duration) -> Result<Socket, Over> {
        let Self {
            door,
            conversation,
            commands,
            events,
            backoff,
            ..
        } = self;
        let opened = {
            let mut opening = pin!(async {
                sleep(wait).await;
                door.open().await
            });
            loop {
                tokio::select! {
                    command = commands.recv() => match command {
                        None => return Err(Over::Stop(Stop::Left(None))),
                        Some(Command::Leave(done)) => {
                            return Err(Over::Stop(Stop::Left(Some(done))));
                        }
                        Some(Command::Anew) => {
                            backoff.reset();
                            return Err(Over::Broken(ANOTHER_NETWORK.to_owned()));
                        }
                        Some(command) => obey(conversation, command),
                    },
                    permit = events.reserve(), if conversation.events() > 0 => {
                        pass_on(conversation, permit)?;
                    }
                    opened = &mut opening => break opened,
                }
            }
        };
        if let Some(url) = door.take_started() {
            conversation.tell(SignalingEvent::ServerStarted { url });
        }
        match opened {
            Ok(socket) => Ok(socket),
            // Once inside, the call may go on without us being heard, and servers do come back.
            Err(error) if conversation.was_inside() => Err(Over::Broken(match error {
                OpenError::Refused => "nobody listens there".to_owned(),
                OpenError::Passing(error) | OpenError::Lasting(error) => error.to_string(),
            })),
            Err(OpenError::Refused) => Err(Over::Stop(Stop::Failed(door.nobody()))),
            Err(OpenError::Passing(error) | OpenError::Lasting(error)) => {
                Err(Over::Stop(Stop::Failed(error)))
            }
        }
    }

    /// Talks on one link until it is over.
    async fn hold(&mut self, socket: Socket) -> Over {
        let (mut sink, mut stream) = socket.split();
        let (mut unflushed, mut let_in) = (false, false);
        self.conversation.link_up(Instant::now());
        loop {
            let conversation = &mut self.conversation;
            let listening = conversation.events() < EVENTS;
            if !listening {
                conversation.was_not_listening(Instant::now());
            }
            let deadline = conversation.deadline();
            let has_text = conversation.has_text();
            let step = tokio::select! {
                command = self.commands.recv() => match command {
                    None => Err(Over::Stop(Stop::Left(None))),
                    Some(Command::Leave(done)) => {
                        say_goodbye(conversation, &mut sink, &mut stream).await;
                        Err(Over::Stop(Stop::Left(Some(done))))
                    }
                    Some(Command::Anew) => Err(Over::Broken(ANOTHER_NETWORK.to_owned())),
                    Some(command) => {
                        obey(conversation, command);
                        Ok(())
                    }
                },
                permit = self.events.reserve(), if conversation.events() > 0 => {
                    pass_on(conversation, permit)
                }
                message = stream.next(), if listening => hear(conversation, message),
                written = writable(&mut sink, has_text), if has_text || unflushed => {
                    unflushed = has_text;
                    let text = if has_text { conversation.next_text() } else { None };
                    written
                        .and_then(|()| match text {
                            Some(text) => sink.start_send_unpin(Message::text(text)),
                            None => Ok(()),
                        })
                        .map_err(cut)
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()),
                    if deadline.is_some() =>
                {
                    conversation.check(Instant::now()).map_err(Over::from)
                }
            };
            if self.conversation.is_settled() && !let_in {
                let_in = true;
                self.door.let_in();
                if let Some(joined) = self.joined.take() {
                    let place = (self.conversation.me(), self.conversation.room().clone());
                    joined.send(Ok(place)).ok();
                }
            }
            if let Err(over) = step {
                if !let_in {
                    self.door.missed();
                }
                return over;
            }
            if self.conversation.is_outside() {
                close_properly(&mut sink, &mut stream).await;
                return Over::Stop(Stop::PutOut);
            }
        }
    }

    /// Passes on what there is left to tell, and the end itself.
    async fn tell_the_rest(&mut self, error: Option<SignalingError>) {
        if let Some(error) = error {
            self.conversation.tell(SignalingEvent::Fatal(error));
        }
        while self.conversation.events() > 0 {
            let over = tokio::select! {
                command = self.commands.recv() => match command {
                    None => true,
                    Some(Command::Leave(done)) => {
                        self.door.close().await;
                        done.send(()).ok();
                        return;
                    }
                    Some(_) => false,
                },
                permit = self.events.reserve() => {
                    pass_on(&mut self.conversation, permit).is_err()
                }
            };
            if over {
                break;
            }
        }
        self.door.close().await;
    }
}

/// Does what the owner wants; leaving and starting over are not done here.
fn obey(conversation: &mut Conversation, command: Command) {
    match command {
        Command::Signal(to, signal) => conversation.signal(Some(to), signal),
        Command::Message(to, data) => conversation.message(to, data),
        Command::Mute(kind, muted) => conversation.mute(kind, muted),
        Command::Kick(peer, reason) => conversation.kick(peer, reason),
        Command::Accept(call) => conversation.accept(Instant::now(), &call),
        Command::Refuse(call, code) => conversation.refuse(&call, code),
        // Nothing is carried by hand where there is a server.
        Command::Anew | Command::Paste(_) | Command::Leave(_) => {}
    }
}

/// Hands one event to the owner; an owner that takes none any more has left.
fn pass_on(
    conversation: &mut Conversation,
    permit: Result<mpsc::Permit<'_, SignalingEvent>, mpsc::error::SendError<()>>,
) -> Result<(), Over> {
    let permit = permit.map_err(|_| Over::Stop(Stop::Left(None)))?;
    if let Some(event) = conversation.next_event() {
        permit.send(event);
    }
    Ok(())
}

/// Takes in what came on the link.
fn hear(
    conversation: &mut Conversation,
    message: Option<Result<Message, WsError>>,
) -> Result<(), Over> {
    let now = Instant::now();
    match message {
        Some(Ok(Message::Text(text))) => conversation.receive(now, &text).map_err(Over::from),
        Some(Ok(Message::Binary(_))) => conversation
            .receive(now, "a binary message")
            .map_err(Over::from),
        Some(Ok(Message::Close(frame))) => {
            let code = frame.as_ref().map(|frame| frame.code);
            // RFC 6455 section 7.4.1: it goes away, or is started anew.
            if !matches!(code, Some(CloseCode::Away | CloseCode::Restart)) {
                conversation.closed_by_server();
            }
            Err(closed(conversation, frame))
        }
        // WebSocket's own pings are answered by the library.
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(cut(error)),
        None => Err(Over::Broken("the server closed the link".to_owned())),
    }
}

/// Sorts what the server meant by closing.
fn closed(conversation: &Conversation, frame: Option<CloseFrame>) -> Over {
    let Some(frame) = frame else {
        return Over::Broken("the server closed the link".to_owned());
    };
    match u16::from(frame.code) {
        close::TAKEN_OVER => Over::Stop(Stop::Failed(SignalingError::TakenOver)),
        close::FULL if !conversation.was_inside() => {
            Over::Stop(Stop::Failed(SignalingError::Barred {
                server: conversation.server().to_string(),
                why: "it holds as many peers as it may".to_owned(),
            }))
        }
        code if frame.reason.is_empty() => {
            Over::Broken(format!("the server closed the link (code {code})"))
        }
        code => Over::Broken(format!(
            "the server closed the link: {} (code {code})",
            frame.reason.as_str()
        )),
    }
}

fn cut(error: WsError) -> Over {
    Over::Broken(match error {
        WsError::ConnectionClosed => "the server closed the link".to_owned(),
        error => format!("the link broke: {error}"),
    })
}

/// Leaves the room in order, as far as the server goes along with it.
async fn say_goodbye(conversation: &mut Conversation, sink: &mut Sink, stream: &mut Stream) {
    let talk = async {
        // What was said before the goodbye is heard before it.
        while let Some(text) = conversation.next_text() {
            sink.send(Message::text(text)).await?;
        }
        conversation.leave(Instant::now());
        while let Some(text) = conversation.next_text() {
            sink.send(Message::text(text)).await?;
        }
        while conversation.is_leaving() {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    conversation.receive(Instant::now(), &text).ok();
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        Ok::<(), WsError>(())
    };
    match timeout(GOODBYE, talk).await {
        Ok(Ok(())) => close_properly(sink, stream).await,
        Ok(Err(error)) => tracing::debug!(%error, "the link broke during the goodbye"),
        Err(_) => tracing::debug!("the server does not say goodbye"),
    }
}
