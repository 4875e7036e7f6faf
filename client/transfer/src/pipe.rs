//! A stream of bytes each way between two programs, over one channel after the other.
//!
//! What is said is kept until the far side has taken it, which is when its reader has; so at most [`WINDOW`] bytes of each
//! way are held by each side, whoever does not read. On a new channel each side tells how much it has taken, and is told the
//! rest. Both sides go when both streams are at their ends and both know that all was taken.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::frame::{Frame, Role, Status};
use crate::{ACKNOWLEDGE, BLOCK, Broken, Id, WINDOW};

/// Who knows that all is done waits for so long for the far side to know it, too.
pub const LINGER: Duration = Duration::from_secs(3);

/// Pieces of our stream that are kept at most, however small: what is said anew on another channel is no more messages than these.
pub const PIECES: usize = 4096;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All bytes were taken, both ways.
    Done,
    /// The far side's reader is gone, or it failed, before all was taken.
    Stopped(Status, String),
    /// No far side came back in time.
    Lost,
    /// It breaks the rules.
    Broken(Broken),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo {
    /// Say this on the channel.
    Say(Frame),
    /// Give this to the reader, and tell when it has taken it ([`Pipe::wrote`]).
    Write(Bytes),
    /// The reader gets nothing any more: the stream is at its end.
    Close,
    /// Close this channel, after what is to be said on it: it is somebody else's.
    Refuse,
}

/// The rules of one side.
#[derive(Debug)]
pub struct Pipe {
    me: Id,
    partner: Option<Id>,
    /// Whether there is a channel, and whether the partner has spoken on it.
    linked: bool,
    agreed: bool,
    /// Since when there is none.
    alone_since: Instant,
    patience: Duration,
    out: Out,
    taking: In,
    bye_said: bool,
    bye_heard: bool,
    /// When all was done.
    done_at: Option<Instant>,
    todo: VecDeque<Todo>,
    end: Option<End>,
}

/// What we say.
#[derive(Debug, Default)]
struct Out {
    /// What the far side has not taken yet, from `base` on.
    kept: VecDeque<Bytes>,
    base: u64,
    /// Up to where it was read, and said on this channel.
    read: u64,
    said: u64,
    ended: bool,
    end_said: bool,
    taken: bool,
}

/// What we hear.
#[derive(Debug, Default)]
struct In {
    /// Up to where it came, was taken by the reader, and was acknowledged.
    came: u64,
    taken: u64,
    acknowledged: u64,
    end: Option<u64>,
    closed: bool,
    /// Whether the reader has taken the end, too.
    finished: bool,
}

impl Pipe {
    /// A side that waits for a far side without an end, and for so long at most for that one to come back.
    #[must_use]
    pub fn new(me: Id, now: Instant, patience: Duration) -> Self {
        Self {
            me,
            partner: None,
            linked: false,
            agreed: false,
            alone_since: now,
            patience,
            out: Out::default(),
            taking: In::default(),
            bye_said: false,
            bye_heard: false,
            done_at: None,
            todo: VecDeque::new(),
            end: None,
        }
    }

    /// What is to be done next.
    pub fn todo(&mut self) -> Option<Todo> {
        self.todo.pop_front()
    }

    /// Whether it is over, and how.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// How many bytes may be read of our stream now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.out.ended || self.out.kept.len() >= PIECES {
            return 0;
        }
        let kept = self.out.read - self.out.base;
        WINDOW.saturating_sub(usize::try_from(kept).unwrap_or(WINDOW))
    }

    /// Bytes that the far side has taken of ours, and our reader of its.
    #[must_use]
    pub const fn taken(&self) -> (u64, u64) {
        (self.out.base, self.taking.taken)
    }

    /// Whether a far side was ever there.
    #[must_use]
    pub const fn met(&self) -> bool {
        self.partner.is_some()
    }

    /// A new channel is open.
    pub fn linked(&mut self) {
        self.linked = true;
        self.agreed = false;
        self.bye_said = false;
        // What was to be said on the channel before is said anew, where it has to be.
        self.todo.retain(|todo| !matches!(todo, Todo::Say(_)));
        self.taking.acknowledged = self.taking.taken;
        self.say(Frame::Hello {
            role: Role::Pipe,
            me: self.me,
            partner: self.partner.unwrap_or_default(),
            taken: self.taking.taken,
        });
    }

    /// The channel is gone.
    pub fn unlinked(&mut self, now: Instant) {
        if std::mem::take(&mut self.linked) {
            self.agreed = false;
            self.alone_since = now;
            self.todo.retain(|todo| !matches!(todo, Todo::Say(_)));
        }
        // It has gone because it knows as much as we do.
        if self.done_at.is_some() && self.bye_heard {
            self.finish(End::Done);
        }
    }

    /// A message came on the channel.
    pub fn heard(&mut self, frame: Frame, now: Instant) {
        if self.end.is_none()
            && let Err(broken) = self.take(frame, now)
        {
            self.say(Frame::Stop(Status::Protocol, broken.to_string()));
            self.finish(End::Broken(broken));
        }
    }

    fn take(&mut self, frame: Frame, now: Instant) -> Result<(), Broken> {
        if let Frame::Hello {
            role,
            me,
            partner,
            taken,
        } = frame
        {
            // A second one would have all that is kept said once more.
            if self.agreed {
                return Err(Broken::OutOfTurn("HELLO"));
            }
            return self.greeted(role, me, partner, taken);
        }
        if let Frame::Stop(status, words) = frame {
            // Who is refused because somebody else is there waits for its own.
            if status == Status::Busy && self.partner.is_some() {
                self.todo.push_back(Todo::Refuse);
            } else {
                self.finish(End::Stopped(status, words));
            }
            return Ok(());
        }
        if !self.agreed {
            return Err(Broken::OutOfTurn(frame.name()));
        }
        match frame {
            Frame::Data { offset, bytes } => self.came(offset, bytes)?,
            Frame::Ack(upto) => self.acknowledged(upto)?,
            Frame::End(total) => {
                if total != self.taking.came {
                    let wanted = self.taking.came;
                    return Err(Broken::Offset { at: total, wanted });
                }
                self.taking.end = Some(total);
                self.look_at_end();
            }
            Frame::Taken(total) => {
                if !self.out.ended || total != self.out.read {
                    return Err(Broken::OutOfTurn("TAKEN"));
                }
                self.acknowledged(total)?;
                self.out.taken = true;
                self.look_at_all(now);
            }
            Frame::Bye => {
                self.bye_heard = true;
                self.look_at_all(now);
            }
            other => return Err(Broken::OutOfTurn(other.name())),
        }
        Ok(())
    }

    fn greeted(&mut self, role: Role, who: Id, partner: Id, taken: u64) -> Result<(), Broken> {
        if role != Role::Pipe {
            return Err(Broken::OutOfTurn("HELLO of send or receive"));
        }
        let stranger = self.partner.is_some_and(|known| known != who);
        let taken_already = partner != Id::default() && partner != self.me;
        if stranger || taken_already {
            let words =
                "a pipe has two ends, and this one has its other end already; use another room";
            self.say(Frame::Stop(Status::Busy, words.to_owned()));
            if self.partner.is_some() {
                self.todo.push_back(Todo::Refuse);
            } else {
                // We are the one too many, and have nobody to wait for.
                self.finish(End::Stopped(Status::Busy, words.to_owned()));
            }
            return Ok(());
        }
        self.partner = Some(who);
        let taken = if partner == self.me { taken } else { 0 };
        self.acknowledged(taken)?;
        self.agreed = true;
        // All over again from what was not taken.
        self.out.said = self.out.base;
        self.out.end_said = false;
        // The reader has gone on since we said how far it was.
        if self.taking.taken > self.taking.acknowledged {
            self.acknowledge();
        }
        if self.taking.finished {
            self.say(Frame::Taken(self.taking.taken));
        }
        self.flow();
        Ok(())
    }

    fn came(&mut self, offset: u64, bytes: Bytes) -> Result<(), Broken> {
        let wanted = self.taking.came;
        let end = offset.saturating_add(bytes.len() as u64);
        if offset > wanted || self.taking.end.is_some_and(|total| end > total) {
            return Err(Broken::Offset { at: offset, wanted });
        }
        if end <= wanted {
            return Ok(());
        }
        let known = usize::try_from(wanted - offset).unwrap_or(usize::MAX);
        if end - self.taking.taken > WINDOW as u64 {
            return Err(Broken::Offset { at: end, wanted });
        }
        self.taking.came = end;
        self.todo.push_back(Todo::Write(bytes.slice(known..)));
        Ok(())
    }

    fn acknowledged(&mut self, upto: u64) -> Result<(), Broken> {
        let out = &mut self.out;
        if upto > out.read {
            return Err(Broken::Offset {
                at: upto,
                wanted: out.read,
            });
        }
        while out.base < upto {
            let Some(first) = out.kept.front_mut() else {
                break;
            };
            let gone = usize::try_from(upto - out.base).unwrap_or(usize::MAX);
            if gone >= first.len() {
                out.base += first.len() as u64;
                out.kept.pop_front();
            } else {
                *first = first.slice(gone..);
                out.base = upto;
            }
        }
        out.said = out.said.max(out.base);
        Ok(())
    }

    /// Bytes of our stream, at most [`Self::room`] of them.
    pub fn read(&mut self, bytes: Bytes) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let block = rest.split_to(rest.len().min(BLOCK));
            self.out.read += block.len() as u64;
            self.out.kept.push_back(block);
        }
        self.flow();
    }

    /// Our stream is at its end.
    pub fn ended(&mut self) {
        self.out.ended = true;
        self.flow();
    }

    /// Our reader has taken so many bytes more.
    pub fn wrote(&mut self, bytes: usize) {
        self.taking.taken += bytes as u64;
        if self.agreed && self.taking.taken - self.taking.acknowledged >= ACKNOWLEDGE {
            self.acknowledge();
        }
        self.look_at_end();
    }

    fn acknowledge(&mut self) {
        self.taking.acknowledged = self.taking.taken;
        self.say(Frame::Ack(self.taking.taken));
    }

    /// Our reader has taken the end, after all bytes.
    pub fn closed(&mut self, now: Instant) {
        self.taking.finished = true;
        if self.agreed {
            self.say(Frame::Taken(self.taking.taken));
        }
        self.look_at_all(now);
    }

    /// Our reader is gone, or our stream cannot be read: nothing more can come of it. The far side is told.
    pub fn stop(&mut self, status: Status, words: &str) {
        self.say(Frame::Stop(status, words.to_owned()));
        self.finish(End::Stopped(status, words.to_owned()));
    }

    /// The time goes on.
    pub fn tick(&mut self, now: Instant) {
        if let Some(since) = self.done_at {
            if now.saturating_duration_since(since) >= LINGER {
                self.finish(End::Done);
            }
        } else if !self.linked
            && self.met()
            && now.saturating_duration_since(self.alone_since) >= self.patience
        {
            self.finish(End::Lost);
        }
    }

    /// The far side has ended and does not come back: another program would not know what was taken.
    pub fn gone(&mut self) {
        self.finish(if self.done_at.is_some() {
            End::Done
        } else {
            End::Lost
        });
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    fn say(&mut self, frame: Frame) {
        if self.linked {
            self.todo.push_back(Todo::Say(frame));
        }
    }

    /// Says what was read and not said on this channel.
    fn flow(&mut self) {
        if !self.agreed {
            return;
        }
        let mut at = self.out.base;
        let mut due = Vec::new();
        for block in &self.out.kept {
            if at >= self.out.said {
                due.push(Frame::Data {
                    offset: at,
                    bytes: block.clone(),
                });
            }
            at += block.len() as u64;
        }
        self.out.said = at;
        for frame in due {
            self.say(frame);
        }
        if self.out.ended && !std::mem::replace(&mut self.out.end_said, true) {
            self.say(Frame::End(self.out.read));
        }
    }

    fn look_at_end(&mut self) {
        if self.taking.end == Some(self.taking.taken)
            && !std::mem::replace(&mut self.taking.closed, true)
        {
            self.todo.push_back(Todo::Close);
        }
    }

    fn look_at_all(&mut self, now: Instant) {
        if !(self.out.taken && self.taking.finished) {
            return;
        }
        self.done_at.get_or_insert(now);
        if self.agreed && !std::mem::replace(&mut self.bye_said, true) {
            self.say(Frame::Bye);
        }
        if self.bye_heard && self.bye_said {
            self.finish(End::Done);
        }
    }
}
