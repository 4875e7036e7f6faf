//! Files to somebody, one after the other.
//!
//! Each is offered; the far side tells how much of it is there already and the sum of that, and is told the rest where the sum
//! is that of the same bytes here, or else all of it. So it goes on after a lost channel, and after either program was
//! started again.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::frame::{Frame, Role, Status};
use crate::{BLOCK, Broken, End, Id, Sum, WINDOW};

/// Read at a time.
const READ: usize = 4 * BLOCK;

/// A file that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a folder.
    pub name: String,
    /// Its length.
    pub size: u64,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo {
    /// Say this on the channel.
    Say(Frame),
    /// Begin with this file anew: take the sum of so many first bytes ([`Sender::summed`]), and go on from there with the sum
    /// of all that is read.
    Prefix {
        /// Which.
        file: u32,
        /// How many bytes.
        upto: u64,
    },
    /// Read so many bytes from here ([`Sender::read`]).
    Read {
        /// Which.
        file: u32,
        /// From where.
        offset: u64,
        /// How many.
        length: usize,
    },
    /// All was read: what is the sum ([`Sender::whole`])?
    Whole {
        /// Which.
        file: u32,
    },
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What.
    pub status: Status,
    /// In words, where it is not there.
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has said hello on this channel.
    Greeting,
    /// The file is offered.
    Offered,
    /// The sum of what is there already is being taken.
    Proving { have: u64, sum: Sum },
    /// Its bytes are said.
    Saying,
    /// The sum of all is being taken, or said.
    Summing,
    /// No file is left; the far side knows, or does not yet.
    Over,
}

/// The rules of who sends.
#[derive(Debug)]
pub struct Sender {
    me: Id,
    /// Who receives; what became of the files at another's is another matter.
    receiver: Option<Id>,
    files: Vec<File>,
    results: Vec<Option<Sent>>,
    /// Those that failed here, which the receiver may not have heard.
    failed: Vec<usize>,
    /// What the owner was not told of yet, which it asks for after each event.
    noted: VecDeque<(usize, Sent)>,
    file: usize,
    stage: Stage,
    linked: bool,
    read: u64,
    taken: u64,
    reading: bool,
    todo: VecDeque<Todo>,
    end: Option<End>,
}

impl Sender {
    /// Who sends these.
    #[must_use]
    pub fn new(me: Id, files: Vec<File>) -> Self {
        Self {
            me,
            receiver: None,
            results: vec![None; files.len()],
            files,
            failed: Vec::new(),
            noted: VecDeque::new(),
            file: 0,
            stage: Stage::Greeting,
            linked: false,
            read: 0,
            taken: 0,
            reading: false,
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

    /// What became of each file so far.
    #[must_use]
    pub fn results(&self) -> &[Option<Sent>] {
        &self.results
    }

    /// Which file something has become of since this was asked last, and what. With another receiver, or where it failed here and
    /// is tried again, it is told once more.
    pub fn noted(&mut self) -> Option<(usize, Sent)> {
        self.noted.pop_front()
    }

    /// The file in hand, if one is, and how much of it is taken.
    #[must_use]
    pub fn progress(&self) -> Option<(usize, u64)> {
        (self.file < self.files.len()).then_some((self.file, self.taken))
    }

    /// A new channel is open.
    pub fn linked(&mut self) {
        self.linked = true;
        self.stage = Stage::Greeting;
        self.todo.clear();
        // What is being read or summed belongs to the channel before.
        self.reading = false;
        self.say(Frame::Hello {
            role: Role::Sender,
            me: self.me,
            partner: Id::default(),
            taken: 0,
        });
    }

    /// The channel is gone.
    pub fn unlinked(&mut self) {
        self.linked = false;
        self.stage = Stage::Greeting;
        self.todo.clear();
    }

    /// A message came on the channel.
    pub fn heard(&mut self, frame: Frame) {
        if self.end.is_none()
            && let Err(broken) = self.take(frame)
        {
            self.say(Frame::Stop(Status::Protocol, broken.to_string()));
            self.end.get_or_insert(End::Broken(broken));
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), Broken> {
        match (frame, self.stage) {
            (Frame::Stop(status, words), _) => {
                self.end.get_or_insert(End::Stopped(status, words));
            }
            (Frame::Hello { role, me, .. }, Stage::Greeting) => {
                if role != Role::Receiver {
                    return Err(Broken::OutOfTurn("HELLO of pipe or send"));
                }
                let failed = std::mem::take(&mut self.failed);
                if self.receiver.replace(me) == Some(me) {
                    // It may not have heard of it, so it is tried again.
                    for file in failed {
                        if let Some(result) = self.results.get_mut(file) {
                            *result = None;
                        }
                    }
                } else {
                    self.results.fill(None);
                }
                self.file = 0;
                self.offer();
            }
            (Frame::Have { file, offset, sum }, Stage::Offered) if self.is(file) => {
                if offset > self.size() {
                    // More than there is cannot be the beginning of it.
                    self.begin(0);
                } else {
                    self.stage = Stage::Proving { have: offset, sum };
                    self.todo.push_back(Todo::Prefix { file, upto: offset });
                }
            }
            (Frame::Ack(upto), Stage::Saying | Stage::Summing) => {
                if upto > self.read {
                    let wanted = self.read;
                    return Err(Broken::Offset { at: upto, wanted });
                }
                self.taken = self.taken.max(upto);
                self.flow();
            }
            (
                Frame::Result {
                    file,
                    status,
                    words,
                },
                stage,
            ) if stage != Stage::Greeting && self.is(file) => {
                self.result(Sent { status, words });
            }
            // Said of a file that was given up here, before that was known there.
            (Frame::Ack(_), Stage::Offered | Stage::Over) => {}
            (Frame::Have { file, .. } | Frame::Result { file, .. }, stage)
                if stage != Stage::Greeting && (file as usize) < self.file => {}
            (Frame::Bye, Stage::Over) => {
                self.end.get_or_insert(End::Done);
            }
            (other, _) => return Err(Broken::OutOfTurn(other.name())),
        }
        Ok(())
    }

    fn is(&self, file: u32) -> bool {
        file as usize == self.file && self.file < self.files.len()
    }

    fn size(&self) -> u64 {
        self.files.get(self.file).map_or(0, |file| file.size)
    }

    fn number(&self) -> u32 {
        u32::try_from(self.file).unwrap_or(u32::MAX)
    }

    /// Offers the next that nothing has become of.
    fn offer(&mut self) {
        let later = self.results.iter().skip(self.file);
        self.file += later.take_while(|result| result.is_some()).count();
        let of = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        (self.read, self.taken) = (0, 0);
        match self.files.get(self.file) {
            Some(File { name, size }) => {
                let (name, size) = (name.clone(), *size);
                let file = self.number();
                self.stage = Stage::Offered;
                self.say(Frame::Offer {
                    file,
                    of,
                    size,
                    name,
                });
            }
            None => {
                self.stage = Stage::Over;
                self.say(Frame::Bye);
            }
        }
    }

    fn result(&mut self, sent: Sent) {
        if let Some(slot) = self.results.get_mut(self.file) {
            *slot = Some(sent.clone());
            self.noted.push_back((self.file, sent));
        }
        self.reading = false;
        self.todo.retain(|todo| matches!(todo, Todo::Say(_)));
        self.offer();
    }

    /// The sum of the first bytes, as asked for; without one the file is another by now.
    pub fn summed(&mut self, file: u32, upto: u64, own: Option<Sum>) {
        let Stage::Proving { have, sum } = self.stage else {
            return;
        };
        if !self.is(file) || have != upto {
            return;
        }
        if own == Some(sum) {
            self.begin(have);
        } else if upto > 0 {
            self.begin(0);
        } else {
            self.fail(
                file,
                "the sum of nothing is another; both sides need SHA-256",
            );
        }
    }

    fn begin(&mut self, offset: u64) {
        if offset == 0 {
            self.todo.push_back(Todo::Prefix {
                file: self.number(),
                upto: 0,
            });
        }
        (self.read, self.taken) = (offset, offset);
        self.stage = Stage::Saying;
        self.say(Frame::From {
            file: self.number(),
            offset,
        });
        self.flow();
    }

    /// Bytes that were read, as asked for.
    pub fn read(&mut self, file: u32, offset: u64, bytes: Bytes) {
        if !self.is(file) || self.stage != Stage::Saying || offset != self.read || !self.reading {
            return;
        }
        self.reading = false;
        if bytes.is_empty() {
            return self.fail(file, "it became shorter while it was read");
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let bytes = rest.split_to(rest.len().min(BLOCK));
            let offset = self.read;
            self.read += bytes.len() as u64;
            self.say(Frame::Data { offset, bytes });
        }
        self.flow();
    }

    /// The sum of the whole file.
    pub fn whole(&mut self, file: u32, sum: Sum) {
        if self.is(file) && self.stage == Stage::Summing {
            self.say(Frame::Sum { file, sum });
        }
    }

    /// It cannot be read.
    pub fn fail(&mut self, file: u32, words: &str) {
        // Where nobody has said hello on this channel it was read for the one before, and is tried again.
        if !self.is(file) || self.stage == Stage::Greeting {
            return;
        }
        let (status, words) = (Status::Failed, words.to_owned());
        self.say(Frame::Result {
            file,
            status,
            words: words.clone(),
        });
        self.failed.push(self.file);
        self.result(Sent { status, words });
    }

    fn flow(&mut self) {
        if self.stage != Stage::Saying || self.reading {
            return;
        }
        let left = self.size() - self.read;
        let file = self.number();
        if left == 0 {
            self.stage = Stage::Summing;
            self.todo.push_back(Todo::Whole { file });
        } else if self.read - self.taken + READ as u64 <= WINDOW as u64 {
            self.reading = true;
            self.todo.push_back(Todo::Read {
                file,
                offset: self.read,
                length: usize::try_from(left).unwrap_or(READ).min(READ),
            });
        }
    }

    fn say(&mut self, frame: Frame) {
        if self.linked {
            self.todo.push_back(Todo::Say(frame));
        }
    }
}
