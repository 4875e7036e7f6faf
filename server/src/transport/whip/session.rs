//! The sessions of publishers and players: a task for each, and the book by which requests find them.
//!
//! A session's task holds its seat at the switchboard and ends with it. Requests wait in a bounded queue of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rtc_protocol::dialect::whip::{
    Flow, Fragment, Input, Output, Partners, Plan, Precondition, Refusal, Reply, Session,
};
use rtc_protocol::{Name, RoomId, ServerFrame, Token};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::WhipConfig;
use crate::access::Rights;
use crate::cluster::holdings::Common;
use crate::http::Shared;
use crate::hub::Greeting;
use crate::listener::{Network, Place, Places};
use crate::metrics::CloseReason;
use crate::rate::{Bucket, Rate};
use crate::seat::Seat;
use crate::switchboard::Outgoing;

/// Requests that wait for a session's task; a client that sends more waits.
const REQUESTS: usize = 16;

/// Requests of one session in a second in the long run, and at once: a candidate each, as some clients send them.
const RATE: Rate = Rate::of(10, 60);

/// The number of the request that makes a session.
const CREATION: u64 = 0;

/// All sessions of a server; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    book: Arc<Mutex<Book>>,
    places: Arc<Places>,
}

/// Locked for a look or a pure step, never over an await.
#[derive(Debug, Default)]
struct Book {
    open: HashMap<String, Handle>,
    partners: Partners,
}

/// What a request does to a session.
#[derive(Debug)]
enum Asked {
    Patch {
        precondition: Precondition,
        fragment: Fragment,
        bytes: usize,
        reply: oneshot::Sender<Result<Reply, TooFast>>,
    },
    /// Answered when the session is over and its seat given up.
    Delete(oneshot::Sender<()>),
}

/// More requests than a session may take.
#[derive(Debug)]
pub(super) struct TooFast;

/// How a session is reached.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    flow: Flow,
    room: RoomId,
    asked: mpsc::Sender<Asked>,
}

impl Handle {
    pub(super) const fn flow(&self) -> Flow {
        self.flow
    }

    pub(super) async fn patch(
        &self,
        precondition: Precondition,
        fragment: Fragment,
        bytes: usize,
    ) -> Result<Reply, TooFast> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Patch {
            precondition,
            fragment,
            bytes,
            reply,
        };
        let _ = self.asked.send(asked).await;
        answer.await.unwrap_or_else(|_| Ok(over()))
    }

    /// Ends the session; done when the room knows.
    pub(super) async fn delete(&self) {
        let (done, ended) = oneshot::channel();
        let _ = self.asked.send(Asked::Delete(done)).await;
        let _ = ended.await;
    }
}

const fn over() -> Reply {
    Reply::Refused(Refusal::Ended)
}

impl Sessions {
    pub(crate) fn new(config: &WhipConfig, exempt: &[Network], common: Option<Common>) -> Self {
        Self {
            book: Arc::default(),
            places: Places::new(
                config.sessions,
                config.sessions_per_address,
                exempt.to_vec(),
                common,
            ),
        }
    }

    /// Where a new session's place is taken.
    pub(super) const fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The session of that path.
    pub(super) fn find(&self, flow: Flow, room: &RoomId, id: &str) -> Option<Handle> {
        let book = lock(&self.book);
        let handle = book.open.get(id)?;
        (handle.flow == flow && handle.room == *room).then(|| handle.clone())
    }

    /// Begins a session; gives its id and what its request is answered with. Given up while waiting, it ends.
    pub(super) async fn open(
        &self,
        shared: &Shared,
        mut plan: Plan,
        rights: Rights,
        bytes: usize,
        place: Place,
    ) -> (String, Reply) {
        // 256 random bits: who knows the address of a session may end it.
        let id = Token::from_random(rand::random()).secret().to_owned();
        let token = Token::from_random(rand::random());
        let dialect = plan.flow.dialect();
        if plan.name.is_none() {
            let own = format!("{}-{}", dialect.as_str(), token.peer_id().short_name());
            plan.name = Name::new(&own).ok();
        }
        let greeting = Greeting::translated(token, dialect, plan.name.clone()).with_rights(rights);
        let queue = shared.config.limits.queue_messages as usize;
        let Some(seat) = Seat::take(&shared.switchboard, greeting, queue).await else {
            return (id, Reply::Refused(Refusal::GoingAway));
        };
        seat.received_bytes(bytes);
        let (asked, requests) = mpsc::channel(REQUESTS);
        let handle = Handle {
            flow: plan.flow,
            room: plan.room.clone(),
            asked,
        };
        lock(&self.book).open.insert(id.clone(), handle);
        let mut out = Vec::new();
        let now = Instant::now();
        let listed = Listed {
            rules: Session::new(now, plan, &mut out),
            id: id.clone(),
            book: Arc::clone(&self.book),
            _place: place,
        };
        let (reply, answer) = oneshot::channel();
        let task = Task {
            seat,
            listed,
            requests,
            creation: Some(reply),
            open: HashMap::new(),
            next: CREATION + 1,
            out,
            bucket: Bucket::new(now, RATE),
        };
        shared.connections.spawn(task.run());
        let stopped = Reply::Refused(Refusal::GoingAway);
        (id, answer.await.unwrap_or(stopped))
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    // Nothing panics while it is held.
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session's rules while it is in the book; out of it when dropped, however the task ends.
struct Listed {
    rules: Session,
    id: String,
    book: Arc<Mutex<Book>>,
    _place: Place,
}

impl Listed {
    fn step(&mut self, input: Input, out: &mut Vec<Output>) {
        let mut book = lock(&self.book);
        let now = Instant::now();
        self.rules.step(now, input, &mut book.partners, out);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut book = lock(&self.book);
        book.open.remove(&self.id);
        self.rules.release(&mut book.partners);
    }
}

/// One session's task.
struct Task {
    seat: Seat,
    listed: Listed,
    requests: mpsc::Receiver<Asked>,
    /// The request that made the session, until it is answered.
    creation: Option<oneshot::Sender<Reply>>,
    /// Later requests that wait for their answers.
    open: HashMap<u64, oneshot::Sender<Result<Reply, TooFast>>>,
    next: u64,
    out: Vec<Output>,
    bucket: Bucket,
}

/// How a session ended, and who waits for that.
struct End {
    why: &'static str,
    reason: CloseReason,
    waiting: Option<oneshot::Sender<()>>,
}

impl Task {
    async fn run(mut self) {
        let End {
            why,
            reason,
            waiting,
        } = self.serve().await;
        let Self {
            mut seat, listed, ..
        } = self;
        tracing::debug!(why, "a session by HTTP ended");
        drop(listed);
        seat.ends(reason);
        // Nobody can come back to an ended session: its place in the room is free at once.
        seat.leave(true).await;
        if let Some(waiting) = waiting {
            let _ = waiting.send(());
        }
    }

    async fn serve(&mut self) -> End {
        let kill = self.seat.too_slow();
        loop {
            if let Some(why) = self.perform().await {
                return ended(why, CloseReason::Left);
            }
            let due = self.listed.rules.due();
            let tick = async {
                match due {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let given_up = async {
                match &mut self.creation {
                    Some(reply) => reply.closed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = kill.cancelled() => {
                    return ended("slow reader", CloseReason::SlowReader);
                }
                () = given_up => return ended("its request was given up", CloseReason::Lost),
                outgoing = self.seat.hear() => match outgoing {
                    Some(Outgoing::Line(line)) => {
                        if let Ok(frame) = ServerFrame::parse(&line.text()) {
                            self.listed.step(Input::Heard(frame), &mut self.out);
                        }
                    }
                    Some(Outgoing::Close(code, why)) => {
                        return ended(why, CloseReason::of_code(code));
                    }
                    None => return ended("the server ended", CloseReason::GoingAway),
                },
                Some(asked) = self.requests.recv() => {
                    if let Some(waiting) = self.take(asked) {
                        self.listed.step(Input::Delete, &mut self.out);
                        let why = self.perform().await.unwrap_or("deleted");
                        let mut end = ended(why, CloseReason::Left);
                        end.waiting = Some(waiting);
                        return end;
                    }
                }
                () = tick => self.listed.step(Input::Tick, &mut self.out),
            }
        }
    }

    /// Takes a request; gives who waits for the end, if that is what is asked for.
    fn take(&mut self, asked: Asked) -> Option<oneshot::Sender<()>> {
        let (precondition, fragment, bytes, reply) = match asked {
            Asked::Delete(waiting) => return Some(waiting),
            Asked::Patch {
                precondition,
                fragment,
                bytes,
                reply,
            } => (precondition, fragment, bytes, reply),
        };
        self.seat.received_bytes(bytes);
        if !self.bucket.take(Instant::now()) {
            let _ = reply.send(Err(TooFast));
            return None;
        }
        let request = self.next;
        self.next += 1;
        self.open.insert(request, reply);
        let input = Input::Patch {
            request,
            precondition,
            fragment,
        };
        self.listed.step(input, &mut self.out);
        None
    }

    /// Does what the rules want; tells why the session is over, if it is.
    async fn perform(&mut self) -> Option<&'static str> {
        let mut end = None;
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Core(frame) => self.seat.say(frame).await,
                Output::Reply(CREATION, reply) => {
                    let waiting = self.creation.take();
                    if waiting.is_some_and(|waiting| waiting.send(reply).is_err()) {
                        end = Some("its request was given up");
                    }
                }
                Output::Reply(request, reply) => {
                    if let Some(waiting) = self.open.remove(&request) {
                        let _ = waiting.send(Ok(reply));
                    }
                }
                Output::End(why) => end = Some(why),
            }
        }
        end
    }
}

const fn ended(why: &'static str, reason: CloseReason) -> End {
    End {
        why,
        reason,
        waiting: None,
    }
}
