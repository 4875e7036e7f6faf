//! Files from somebody, one after the other; the other half of [`crate::send`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::frame::{Frame, Role, Status};
use crate::name::clean;
use crate::{ACKNOWLEDGE, Broken, End, Id, Sum, WINDOW};

/// Files that one sender may send.
const MOST: u32 = 100_000;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo {
    /// Say this on the channel.
    Say(Frame),
    /// What is there of this file ([`Receiver::found`] or [`Receiver::failed`])?
    Find {
        /// Which.
        file: u32,
        /// What it is called here; a clean name.
        name: String,
        /// How long it will be.
        size: u64,
        /// One of that name came in this run: it stays, whatever may be overwritten.
        careful: bool,
    },
    /// Go on with it from here: the rest of what is there is not of it.
    Begin {
        /// Which.
        file: u32,
        /// From where.
        offset: u64,
    },
    /// Write this ([`Receiver::wrote`] or [`Receiver::failed`]).
    Write {
        /// Which.
        file: u32,
        /// They belong behind what was written.
        bytes: Bytes,
    },
    /// All was written. Is its sum this one? Then give it its name ([`Receiver::finished`] or [`Receiver::failed`]).
    Finish {
        /// Which.
        file: u32,
        /// What it should be.
        sum: Sum,
    },
    /// What is not all there stays for another time.
    Leave {
        /// Which.
        file: u32,
    },
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it is called here.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// What became of it.
    pub status: Status,
    /// In words, where it is not there.
    pub words: String,
}

/// The file in hand.
#[derive(Debug)]
struct Current {
    file: u32,
    name: String,
    size: u64,
    stage: Stage,
    /// Up to where bytes came, were written, and were acknowledged.
    came: u64,
    written: u64,
    acknowledged: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Finding,
    Found(u64),
    Taking,
    Finishing,
}

/// The rules of who receives.
#[derive(Debug)]
pub struct Receiver {
    me: Id,
    /// Who sends; another sender's files are others.
    sender: Option<Id>,
    linked: bool,
    greeted: bool,
    current: Option<Current>,
    /// By their numbers; what is there is not asked for again.
    results: BTreeMap<u32, Received>,
    /// What the owner was not told of yet, which it asks for after each event.
    noted: VecDeque<Received>,
    /// Names that were given in this run: none is given twice, whatever may be overwritten.
    names: BTreeSet<String>,
    of: u32,
    todo: VecDeque<Todo>,
    end: Option<End>,
}

impl Receiver {
    /// Who receives.
    #[must_use]
    pub fn new(me: Id) -> Self {
        Self {
            me,
            sender: None,
            linked: false,
            greeted: false,
            current: None,
            results: BTreeMap::new(),
            noted: VecDeque::new(),
            names: BTreeSet::new(),
            of: 0,
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

    /// What became of the files so far.
    pub fn results(&self) -> impl Iterator<Item = &Received> {
        self.results.values()
    }

    /// What has become of a file since this was asked last. Where it is offered anew, it is told once more.
    pub fn noted(&mut self) -> Option<Received> {
        self.noted.pop_front()
    }

    /// How many files there will be, as the sender says.
    #[must_use]
    pub const fn of(&self) -> u32 {
        self.of
    }

    /// The file in hand: its number, what it is called here, its length, and how much of it is written.
    #[must_use]
    pub fn progress(&self) -> Option<(u32, &str, u64, u64)> {
        let current = self.current.as_ref()?;
        let Current {
            file,
            name,
            size,
            written,
            ..
        } = current;
        Some((*file, name, *size, *written))
    }

    /// A new channel is open.
    pub fn linked(&mut self) {
        self.leave();
        self.linked = true;
        self.greeted = false;
        self.say(Frame::Hello {
            role: Role::Receiver,
            me: self.me,
            partner: self.sender.unwrap_or_default(),
            taken: 0,
        });
    }

    /// The channel is gone.
    pub fn unlinked(&mut self) {
        self.leave();
        self.linked = false;
        self.greeted = false;
    }

    fn leave(&mut self) {
        // What came and waits to be written is written; what was to be said is not.
        self.todo.retain(|todo| !matches!(todo, Todo::Say(_)));
        if let Some(current) = self.current.take() {
            let file = current.file;
            self.todo.push_back(Todo::Leave { file });
        }
    }

    /// A message came on the channel.
    pub fn heard(&mut self, frame: Frame) {
        if self.end.is_none()
            && let Err(broken) = self.take(frame)
        {
            self.leave();
            self.say(Frame::Stop(Status::Protocol, broken.to_string()));
            self.end.get_or_insert(End::Broken(broken));
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), Broken> {
        match frame {
            Frame::Stop(status, words) => {
                self.leave();
                self.end.get_or_insert(End::Stopped(status, words));
            }
            Frame::Hello { role, me, .. } if !self.greeted => {
                if role != Role::Sender {
                    return Err(Broken::OutOfTurn("HELLO of pipe or receive"));
                }
                if self.sender.replace(me) != Some(me) {
                    // Its numbers are others; the names that were given stay given, to the same files or to none.
                    self.results.clear();
                    self.of = 0;
                }
                self.greeted = true;
            }
            other if !self.greeted => return Err(Broken::OutOfTurn(other.name())),
            Frame::Offer {
                file,
                of,
                size,
                name,
            } => self.offered(file, of, size, &name)?,
            Frame::From { file, offset } => self.from(file, offset)?,
            Frame::Data { offset, bytes } => self.came(offset, bytes)?,
            Frame::Sum { file, sum } => self.all_came(file, sum)?,
            Frame::Result {
                file,
                status,
                words,
            } => {
                let known = self.current.as_ref().is_some_and(|one| one.file == file);
                if status == Status::Done {
                    return Err(Broken::OutOfTurn("RESULT"));
                }
                if known {
                    self.todo.push_back(Todo::Leave { file });
                    self.note(status, words);
                }
            }
            Frame::Bye => {
                if self.current.is_some() {
                    return Err(Broken::OutOfTurn("BYE"));
                }
                self.say(Frame::Bye);
                let (known, of) = (self.results.len(), self.of);
                self.end.get_or_insert(if known < of as usize {
                    let words = format!(
                        "the sender ended after {known} of {of} files; start both sides again"
                    );
                    End::Stopped(Status::Failed, words)
                } else {
                    End::Done
                });
            }
            other => return Err(Broken::OutOfTurn(other.name())),
        }
        Ok(())
    }

    fn offered(&mut self, file: u32, of: u32, size: u64, told: &str) -> Result<(), Broken> {
        if self.current.is_some() || file >= of || of > MOST {
            return Err(Broken::OutOfTurn("OFFER"));
        }
        self.of = of;
        if let Some(known) = self.results.get(&file) {
            // It was not heard before the channel was lost.
            let (status, words) = (known.status, known.words.clone());
            if status == Status::Done {
                self.say(Frame::Result {
                    file,
                    status,
                    words,
                });
                return Ok(());
            }
        }
        let name = clean(told);
        self.current = Some(Current {
            file,
            name: name.clone(),
            size,
            stage: Stage::Finding,
            came: 0,
            written: 0,
            acknowledged: 0,
        });
        let careful = self.names.contains(&name);
        self.todo.push_back(Todo::Find {
            file,
            name,
            size,
            careful,
        });
        Ok(())
    }

    fn current(&mut self, file: u32) -> Option<&mut Current> {
        self.current.as_mut().filter(|one| one.file == file)
    }

    /// So many bytes of it are there already, of this sum.
    pub fn found(&mut self, file: u32, offset: u64, sum: Sum) {
        if let Some(current) = self.current(file)
            && current.stage == Stage::Finding
        {
            current.stage = Stage::Found(offset);
            self.say(Frame::Have { file, offset, sum });
        }
    }

    fn from(&mut self, file: u32, offset: u64) -> Result<(), Broken> {
        let Some(current) = self.current(file) else {
            return Err(Broken::OutOfTurn("FROM"));
        };
        match current.stage {
            Stage::Found(have) if offset == have || offset == 0 => {}
            _ => return Err(Broken::OutOfTurn("FROM")),
        }
        current.stage = Stage::Taking;
        (current.came, current.written, current.acknowledged) = (offset, offset, offset);
        self.todo.push_back(Todo::Begin { file, offset });
        Ok(())
    }

    fn came(&mut self, offset: u64, bytes: Bytes) -> Result<(), Broken> {
        let Some(current) = self.current.as_mut() else {
            // Of a file that was given up; its sender did not know yet.
            return Ok(());
        };
        if current.stage != Stage::Taking {
            return match current.stage {
                Stage::Finding | Stage::Found(_) => Ok(()),
                _ => Err(Broken::OutOfTurn("DATA")),
            };
        }
        let end = offset.saturating_add(bytes.len() as u64);
        let room = current.written.saturating_add(WINDOW as u64);
        if offset != current.came || end > current.size || end > room {
            let wanted = current.came;
            return Err(Broken::Offset { at: offset, wanted });
        }
        current.came = end;
        let file = current.file;
        self.todo.push_back(Todo::Write { file, bytes });
        Ok(())
    }

    /// So many bytes more are written.
    pub fn wrote(&mut self, file: u32, bytes: usize) {
        let Some(current) = self.current(file) else {
            return;
        };
        current.written += bytes as u64;
        let upto = current.written;
        if upto - current.acknowledged >= ACKNOWLEDGE {
            current.acknowledged = upto;
            self.say(Frame::Ack(upto));
        }
    }

    fn all_came(&mut self, file: u32, sum: Sum) -> Result<(), Broken> {
        let Some(current) = self.current(file) else {
            return Ok(());
        };
        if current.stage != Stage::Taking || current.came != current.size {
            return Err(Broken::OutOfTurn("SUM"));
        }
        current.stage = Stage::Finishing;
        self.todo.push_back(Todo::Finish { file, sum });
        Ok(())
    }

    /// It is all there, under its name.
    pub fn finished(&mut self, file: u32) {
        let Some(current) = self.current(file) else {
            return;
        };
        // Said of a file of the sender before, it is nothing to this one.
        if current.stage != Stage::Finishing {
            return;
        }
        let name = current.name.clone();
        self.names.insert(name);
        self.refuse(Status::Done, String::new());
    }

    /// It cannot be had.
    pub fn failed(&mut self, file: u32, status: Status, words: &str) {
        if self.current(file).is_some() {
            self.todo.push_back(Todo::Leave { file });
            self.refuse(status, words.to_owned());
        }
    }

    /// Tells what became of the file in hand.
    fn refuse(&mut self, status: Status, words: String) {
        if let Some(current) = &self.current {
            let file = current.file;
            self.say(Frame::Result {
                file,
                status,
                words: words.clone(),
            });
        }
        self.note(status, words);
    }

    fn note(&mut self, status: Status, words: String) {
        if let Some(current) = self.current.take() {
            let received = Received {
                name: current.name,
                size: current.size,
                status,
                words,
            };
            self.noted.push_back(received.clone());
            self.results.insert(current.file, received);
        }
    }

    fn say(&mut self, frame: Frame) {
        if self.linked {
            self.todo.push_back(Todo::Say(frame));
        }
    }
}
