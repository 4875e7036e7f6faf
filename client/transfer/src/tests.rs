//! Links that lose everything at any moment, and programs that are started again.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use crate::frame::{Frame, Status};
use crate::pipe::{self, Pipe};
use crate::receive::{self, Receiver};
use crate::send::{self, File, Sender};
use crate::{End, Sum, WINDOW};

/// A stand-in for SHA-256 that tells these tests' bytes apart.
fn sum(bytes: &[u8]) -> Sum {
    let mut state = [0xcbf2_9ce4_8422_2325_u64; 4];
    for (at, byte) in bytes.iter().enumerate() {
        let word = &mut state[at % 4];
        *word = (*word ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let length = bytes.len() as u64;
    let mut sum = [0; 32];
    for (place, word) in sum.chunks_mut(8).zip(state) {
        place.copy_from_slice(&(word ^ length).to_be_bytes());
    }
    sum
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..length).map(next).collect()
}

/// A side of a pipe, its stream, and its reader.
struct Side {
    pipe: Pipe,
    stream: VecDeque<u8>,
    waiting: VecDeque<Bytes>,
    closing: bool,
    got: Vec<u8>,
    to_other: VecDeque<Bytes>,
}

impl Side {
    fn new(id: u8, stream: Vec<u8>, now: Instant) -> Self {
        Self {
            pipe: Pipe::new([id; 16], now, Duration::from_secs(60)),
            stream: stream.into(),
            waiting: VecDeque::new(),
            closing: false,
            got: Vec::new(),
            to_other: VecDeque::new(),
        }
    }

    fn act(&mut self) {
        while let Some(todo) = self.pipe.todo() {
            match todo {
                pipe::Todo::Say(frame) => self.to_other.push_back(frame.encode()),
                pipe::Todo::Write(bytes) => self.waiting.push_back(bytes),
                pipe::Todo::Close => self.closing = true,
                pipe::Todo::Refuse => panic!("nobody else is there"),
            }
        }
        let waiting: usize = self.waiting.iter().map(Bytes::len).sum();
        assert!(waiting <= WINDOW);
    }

    fn read(&mut self, most: usize) {
        let length = most.min(self.pipe.room()).min(self.stream.len());
        if length > 0 {
            self.pipe.read(self.stream.drain(..length).collect());
        }
        if self.stream.is_empty() {
            self.pipe.ended();
        }
        self.act();
    }

    fn write(&mut self, now: Instant) {
        if let Some(bytes) = self.waiting.pop_front() {
            self.got.extend_from_slice(&bytes);
            self.pipe.wrote(bytes.len());
        } else if std::mem::take(&mut self.closing) {
            self.pipe.closed(now);
        }
        self.act();
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Deliver(bool),
    Read(bool, usize),
    Write(bool),
    Cut,
    Link,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => any::<bool>().prop_map(Step::Deliver),
        4 => (any::<bool>(), 1_usize..200_000).prop_map(|(who, most)| Step::Read(who, most)),
        4 => any::<bool>().prop_map(Step::Write),
        1 => Just(Step::Cut),
        2 => Just(Step::Link),
    ];
    prop::collection::vec(step, 0..120)
}

fn deliver(sides: &mut [Side; 2], from: usize, now: Instant) {
    if let Some(message) = sides[from].to_other.pop_front() {
        let to = &mut sides[1 - from];
        to.pipe.heard(Frame::decode(message).unwrap(), now);
        to.act();
    }
}

fn link(sides: &mut [Side; 2], on: bool, now: Instant) {
    for side in sides {
        side.to_other.clear();
        if on {
            side.pipe.linked();
        } else {
            side.pipe.unlinked(now);
        }
        side.act();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pipe_gives_every_byte_once_whatever_is_lost(
        lengths in (0_usize..3_000_000, 0_usize..300_000),
        steps in steps(),
    ) {
        let now = Instant::now();
        let streams = [bytes(1, lengths.0), bytes(2, lengths.1)];
        let [one, other] = &streams;
        let mut sides = [Side::new(1, one.clone(), now), Side::new(2, other.clone(), now)];
        let mut linked = false;
        for step in steps {
            match step {
                Step::Deliver(who) => deliver(&mut sides, usize::from(who), now),
                Step::Read(who, most) => sides[usize::from(who)].read(most),
                Step::Write(who) => sides[usize::from(who)].write(now),
                Step::Cut => {
                    link(&mut sides, false, now);
                    linked = false;
                }
                Step::Link if !linked => {
                    link(&mut sides, true, now);
                    linked = true;
                }
                Step::Link => {}
            }
            prop_assert!(sides[0].pipe.end().is_none_or(|end| *end == pipe::End::Done), "{:?}", sides[0].pipe.end());
        }
        if !linked {
            link(&mut sides, true, now);
        }
        for _ in 0..2000 {
            for who in [0, 1] {
                sides[who].read(100_000);
                sides[who].write(now);
                deliver(&mut sides, who, now);
            }
        }
        for (who, side) in sides.iter_mut().enumerate() {
            prop_assert!(side.got == streams[1 - who]);
            // Who went with the last BYE lost knows all the same.
            side.pipe.tick(now + pipe::LINGER);
            prop_assert_eq!(side.pipe.end(), Some(&pipe::End::Done));
        }
    }

    #[test]
    fn files_are_whole_whatever_is_lost_and_whoever_is_started_again(
        lengths in prop::collection::vec(0_usize..700_000, 1..4),
        steps in prop::collection::vec(0_u8..40, 0..150),
    ) {
        let files: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(at, length)| bytes(at as u64 + 5, *length)).collect();
        let mut world = World::new(files);
        for step in steps {
            match step {
                0 => world.cut(),
                1 | 2 => world.link(),
                3 => world.restart_sender(),
                4 => world.restart_receiver(),
                step => world.step(step % 4),
            }
        }
        world.link();
        for _ in 0..4000 {
            world.round();
        }
        prop_assert_eq!(world.sender.end(), Some(&End::Done));
        prop_assert_eq!(world.receiver.end(), Some(&End::Done));
        for result in world.sender.results() {
            prop_assert_eq!(result.as_ref().map(|one| one.status), Some(Status::Done));
        }
        for (at, file) in world.files.iter().enumerate() {
            let name = format!("f{at}");
            prop_assert!(world.disk.whole.get(&name) == Some(file));
        }
    }

    #[test]
    fn no_message_makes_a_machine_stumble(messages in prop::collection::vec(any::<Vec<u8>>(), 0..20), ids in any::<[u8; 16]>()) {
        let now = Instant::now();
        let mut pipe = Pipe::new(ids, now, Duration::ZERO);
        let mut sender = Sender::new(ids, vec![File { name: "x".into(), size: 5 }]);
        let mut receiver = Receiver::new(ids);
        pipe.linked();
        sender.linked();
        receiver.linked();
        for message in messages {
            if let Ok(frame) = Frame::decode(message.into()) {
                pipe.heard(frame.clone(), now);
                sender.heard(frame.clone());
                receiver.heard(frame);
            }
        }
    }
}

/// What is there at the receiver's.
#[derive(Default)]
struct Disk {
    whole: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<String, Vec<u8>>,
}

/// A sender, a receiver, what is between them, and what they have of files.
struct World {
    files: Vec<Vec<u8>>,
    sender: Sender,
    receiver: Receiver,
    starts: u8,
    linked: bool,
    to_receiver: VecDeque<Bytes>,
    to_sender: VecDeque<Bytes>,
    disk: Disk,
    /// The receiver's file in hand: its name, and whether it is a whole one already.
    open: BTreeMap<u32, (String, bool)>,
}

impl World {
    fn new(files: Vec<Vec<u8>>) -> Self {
        let mut world = Self {
            sender: Sender::new([0; 16], Vec::new()),
            receiver: Receiver::new([99; 16]),
            files,
            starts: 0,
            linked: false,
            to_receiver: VecDeque::new(),
            to_sender: VecDeque::new(),
            disk: Disk::default(),
            open: BTreeMap::new(),
        };
        world.restart_sender();
        world
    }

    fn cut(&mut self) {
        if std::mem::take(&mut self.linked) {
            self.to_receiver.clear();
            self.to_sender.clear();
            self.sender.unlinked();
            self.receiver.unlinked();
        }
    }

    fn link(&mut self) {
        if !std::mem::replace(&mut self.linked, true) {
            // One of them may have ended, and is started anew by who wants the files.
            if self.receiver.end().is_some() && self.sender.end().is_none() {
                self.starts += 1;
                self.receiver = Receiver::new([self.starts; 16]);
                self.open.clear();
            }
            if self.sender.end().is_some() && self.receiver.end().is_none() {
                self.linked = false;
                self.restart_sender();
                self.linked = true;
            }
            self.sender.linked();
            self.receiver.linked();
        }
    }

    fn restart_sender(&mut self) {
        self.cut();
        self.starts += 1;
        let files = self.files.iter().enumerate().map(|(at, bytes)| File {
            name: format!("f{at}"),
            size: bytes.len() as u64,
        });
        self.sender = Sender::new([self.starts; 16], files.collect());
    }

    fn restart_receiver(&mut self) {
        self.cut();
        self.starts += 1;
        self.receiver = Receiver::new([self.starts; 16]);
        self.open.clear();
    }

    /// What became of the files, as each side knows it.
    fn results(&self) -> (Vec<Status>, Vec<Status>) {
        let sent = self.sender.results().iter().flatten();
        let received = self.receiver.results().map(|one| one.status);
        (sent.map(|one| one.status).collect(), received.collect())
    }

    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if is_so(self) {
                return;
            }
            self.round();
        }
        panic!("{:?} {:?}", self.sender, self.receiver);
    }

    fn run_to_the_end(&mut self) {
        self.run_until(|world| world.receiver.end().is_some() && world.sender.end().is_some());
    }

    fn receives(&self, file: u32) -> bool {
        self.receiver.progress().is_some_and(|now| now.0 == file)
    }

    /// Each side does one thing and hears one.
    fn round(&mut self) {
        for kind in 0..4 {
            self.step(kind);
        }
    }

    fn step(&mut self, kind: u8) {
        match kind {
            0 => {
                if let Some(message) = self.to_receiver.pop_front() {
                    self.receiver.heard(Frame::decode(message).unwrap());
                }
            }
            1 => {
                if let Some(message) = self.to_sender.pop_front() {
                    self.sender.heard(Frame::decode(message).unwrap());
                }
            }
            2 => self.send(),
            _ => self.receive(),
        }
    }

    fn send(&mut self) {
        match self.sender.todo() {
            Some(send::Todo::Say(frame)) => self.to_receiver.push_back(frame.encode()),
            Some(send::Todo::Prefix { file, upto }) => {
                let own = self.files[file as usize].get(..upto as usize).map(sum);
                self.sender.summed(file, upto, own);
            }
            Some(send::Todo::Read {
                file,
                offset,
                length,
            }) => {
                let from = offset as usize;
                let read = self.files[file as usize][from..from + length].to_vec();
                self.sender.read(file, offset, read.into());
            }
            Some(send::Todo::Whole { file }) => {
                let whole = sum(&self.files[file as usize]);
                self.sender.whole(file, whole);
            }
            None => {}
        }
    }

    fn receive(&mut self) {
        match self.receiver.todo() {
            Some(receive::Todo::Say(frame)) => {
                if self.linked {
                    self.to_sender.push_back(frame.encode());
                }
            }
            Some(receive::Todo::Find {
                file, name, size, ..
            }) => {
                let whole = self.disk.whole.get(&name).map(Vec::as_slice);
                let is_whole = whole.is_some_and(|whole| whole.len() as u64 == size);
                let part = self.disk.parts.entry(name.clone()).or_default();
                let have = if is_whole { whole.unwrap() } else { part };
                self.open.insert(file, (name, is_whole));
                self.receiver.found(file, have.len() as u64, sum(have));
            }
            Some(receive::Todo::Begin { file, offset }) => {
                let (name, is_whole) = self.open[&file].clone();
                if is_whole {
                    assert_eq!(offset as usize, self.disk.whole[&name].len());
                } else {
                    let part = self.disk.parts.get_mut(&name).unwrap();
                    part.truncate(offset as usize);
                }
            }
            Some(receive::Todo::Write { file, bytes }) => {
                let (name, _) = &self.open[&file];
                self.disk
                    .parts
                    .get_mut(name)
                    .unwrap()
                    .extend_from_slice(&bytes);
                self.receiver.wrote(file, bytes.len());
            }
            Some(receive::Todo::Finish { file, sum: told }) => {
                let (name, is_whole) = self.open[&file].clone();
                if !is_whole {
                    let part = self.disk.parts.remove(&name).unwrap();
                    assert!(sum(&part) == told);
                    self.disk.whole.insert(name, part);
                }
                self.receiver.finished(file);
            }
            Some(receive::Todo::Leave { .. }) | None => {}
        }
    }
}

#[test]
fn a_far_side_that_does_not_read_stops_who_writes() {
    let now = Instant::now();
    let endless = bytes(3, WINDOW * 2);
    let mut sides = [Side::new(1, endless, now), Side::new(2, Vec::new(), now)];
    link(&mut sides, true, now);
    for _ in 0..500 {
        sides[0].read(100_000);
        deliver(&mut sides, 0, now);
        deliver(&mut sides, 1, now);
    }
    assert_eq!(sides[0].pipe.room(), 0);
    assert_eq!(sides[0].stream.len(), WINDOW);
    sides[1].write(now);
    assert!(sides[1].got.len() > 1000);
}

#[test]
fn neither_crumbs_nor_greetings_make_endless_words() {
    let now = Instant::now();
    let mut sides = [
        Side::new(1, bytes(3, 100_000), now),
        Side::new(2, Vec::new(), now),
    ];
    link(&mut sides, true, now);
    deliver(&mut sides, 1, now);
    let pipe = &mut sides[0].pipe;
    while pipe.room() > 0 {
        pipe.read(Bytes::from_static(b"."));
    }
    let said = std::iter::from_fn(|| pipe.todo()).count();
    assert!(said <= pipe::PIECES, "{said}");
    let again = Frame::Hello {
        role: crate::frame::Role::Pipe,
        me: [2; 16],
        partner: [1; 16],
        taken: 0,
    };
    pipe.heard(again, now);
    assert!(
        matches!(pipe.end(), Some(pipe::End::Broken(_))),
        "{:?}",
        pipe.end()
    );
    assert_eq!(
        std::iter::from_fn(|| pipe.todo()).count(),
        1,
        "why, and no more"
    );
}

#[test]
fn a_far_side_that_is_another_is_refused_and_one_that_stays_away_is_lost() {
    let now = Instant::now();
    let mut sides = [
        Side::new(1, Vec::new(), now),
        Side::new(2, vec![1; 100], now),
    ];
    link(&mut sides, true, now);
    deliver(&mut sides, 0, now);
    deliver(&mut sides, 1, now);
    let [one, _] = &mut sides;
    one.pipe.unlinked(now);
    one.pipe.linked();
    let stranger = Frame::Hello {
        role: crate::frame::Role::Pipe,
        me: [7; 16],
        partner: [0; 16],
        taken: 0,
    };
    one.pipe.heard(stranger, now);
    let todo: Vec<_> = std::iter::from_fn(|| one.pipe.todo()).collect();
    let [.., pipe::Todo::Say(stop), pipe::Todo::Refuse] = todo.as_slice() else {
        panic!("{todo:?}")
    };
    assert!(matches!(stop, Frame::Stop(Status::Busy, _)), "{stop:?}");
    one.pipe.unlinked(now);
    one.pipe.tick(now + Duration::from_secs(59));
    assert_eq!(one.pipe.end(), None);
    one.pipe.tick(now + Duration::from_secs(60));
    assert_eq!(one.pipe.end(), Some(&pipe::End::Lost));
}

#[test]
fn a_file_that_cannot_be_read_or_taken_stops_no_other() {
    let mut world = World::new(vec![vec![1; 10], vec![2; 300_000], vec![3; 10]]);
    world.link();
    let mut failed = false;
    for round in 0..2000_u32 {
        world.step((round % 4) as u8);
        if !failed && world.sender.progress().is_some_and(|(file, _)| file == 1) && round > 100 {
            world.sender.fail(1, "the disk is broken");
            failed = true;
        }
        let second = world.receiver.progress().map(|(file, ..)| file);
        if second == Some(2) && round > 200 {
            world.receiver.failed(2, Status::DiskFull, "no space");
        }
    }
    assert!(failed);
    let results: Vec<_> = world
        .sender
        .results()
        .iter()
        .flatten()
        .map(|sent| sent.status)
        .collect();
    assert_eq!(results.len(), 3);
    assert_eq!((results[0], results[1]), (Status::Done, Status::Failed));
    assert_eq!(world.sender.end(), Some(&End::Done));
}

#[test]
fn who_sends_again_has_what_is_there_taken_for_there() {
    let mut world = World::new(vec![vec![1; 10], vec![2; 300_000]]);
    world.link();
    world.run_until(|world| world.receives(1));
    world.restart_sender();
    world.link();
    world.run_to_the_end();
    let done = vec![Status::Done; 2];
    assert_eq!(world.results(), (done.clone(), done));
}

fn greeted_receiver() -> Receiver {
    let mut receiver = Receiver::new([1; 16]);
    receiver.linked();
    receiver.heard(Frame::Hello {
        role: crate::frame::Role::Sender,
        me: [2; 16],
        partner: [0; 16],
        taken: 0,
    });
    receiver
}

#[test]
fn a_name_that_was_given_is_looked_at_with_care() {
    let mut receiver = greeted_receiver();
    for (file, expected) in [(0, false), (1, true)] {
        let (of, size, name) = (2, 0, "a".to_owned());
        receiver.heard(Frame::Offer {
            file,
            of,
            size,
            name,
        });
        let finds =
            |todo| matches!(todo, receive::Todo::Find { careful, .. } if careful == expected);
        assert!(std::iter::from_fn(|| receiver.todo()).any(finds), "{file}");
        receiver.found(file, 0, sum(b""));
        receiver.heard(Frame::From { file, offset: 0 });
        receiver.heard(Frame::Sum {
            file,
            sum: sum(b""),
        });
        receiver.finished(file);
    }
}

#[test]
fn who_fails_with_its_last_file_still_hears_how_far_it_was_taken() {
    let size = crate::ACKNOWLEDGE * 2;
    let name = "x".to_owned();
    let mut sender = Sender::new([1; 16], vec![File { name, size }]);
    sender.linked();
    sender.heard(Frame::Hello {
        role: crate::frame::Role::Receiver,
        me: [2; 16],
        partner: [0; 16],
        taken: 0,
    });
    let (file, offset, sum) = (0, 0, sum(b""));
    sender.heard(Frame::Have { file, offset, sum });
    sender.summed(0, 0, Some(sum));
    sender.read(0, 0, vec![0; crate::ACKNOWLEDGE as usize].into());
    sender.fail(0, "the disk is broken");
    // It was on its way.
    sender.heard(Frame::Ack(crate::ACKNOWLEDGE));
    assert_eq!(sender.end(), None);
    sender.heard(Frame::Bye);
    assert_eq!(sender.end(), Some(&End::Done));
}

#[test]
fn who_receives_knows_of_every_file_also_of_one_that_failed_as_the_channel_was_lost() {
    for once in [true, false] {
        let mut world = World::new(vec![vec![1; 300_000], vec![2; 10]]);
        world.link();
        world.run_until(|world| world.receives(0));
        world.sender.fail(0, "the disk is broken");
        world.cut();
        world.link();
        world.run_until(|world| world.receives(0));
        if !once {
            world.sender.fail(0, "the disk is broken");
        }
        world.run_to_the_end();
        let first = if once { Status::Done } else { Status::Failed };
        let results = vec![first, Status::Done];
        assert_eq!(world.results(), (results.clone(), results));
        assert_eq!(world.receiver.end(), Some(&End::Done));
    }
}

#[test]
fn another_receiver_is_offered_every_file() {
    let mut world = World::new(vec![vec![1; 10], vec![2; 300_000]]);
    world.link();
    world.run_until(|world| world.receives(1));
    world.restart_receiver();
    world.disk = Disk::default();
    world.link();
    world.run_to_the_end();
    let done = vec![Status::Done; 2];
    assert_eq!(world.results(), (done.clone(), done));
    assert_eq!(world.disk.whole.len(), 2);
}

#[test]
fn a_sender_that_goes_before_its_last_file_is_no_good_end() {
    let mut receiver = greeted_receiver();
    let (file, name) = (0, "a".to_owned());
    receiver.heard(Frame::Offer {
        file,
        of: 2,
        size: 0,
        name,
    });
    receiver.failed(0, Status::DiskFull, "no space");
    receiver.heard(Frame::Bye);
    let end = receiver.end();
    assert!(
        matches!(end, Some(End::Stopped(_, words)) if words.contains("1 of 2")),
        "{end:?}"
    );
}

#[test]
fn who_comes_to_a_pipe_whose_other_end_is_away_is_one_too_many_and_waits_for_nobody() {
    let now = Instant::now();
    let mut pipe = Pipe::new([7; 16], now, Duration::from_secs(60));
    pipe.linked();
    pipe.heard(
        Frame::Hello {
            role: crate::frame::Role::Pipe,
            me: [1; 16],
            partner: [2; 16],
            taken: 0,
        },
        now,
    );
    let end = pipe.end();
    assert!(
        matches!(end, Some(pipe::End::Stopped(Status::Busy, _))),
        "{end:?}"
    );
}

#[test]
fn what_was_read_for_the_channel_before_fails_no_file_of_this_one() {
    let mut world = World::new(vec![vec![1; 300_000], vec![2; 10]]);
    world.link();
    world.run_until(|world| world.receives(0));
    world.cut();
    world.link();
    world.sender.fail(0, "the disk is broken");
    world.run_to_the_end();
    assert_eq!(world.sender.end(), Some(&End::Done));
    let done = vec![Status::Done; 2];
    assert_eq!(world.results(), (done.clone(), done));
}
