//! The thread that decodes: each frame in its turn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{PictureSink, VideoCounts};
use crate::e2ee::{Incoming, Medium};
use crate::media::clock::Timestamp;
use crate::media::codec::{self, VideoDecoder};
use crate::media::convert::{Colours, Rotation, rotate, to_ours};
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};
use crate::media::receive::assemble::Frame;
use crate::media::receive::freeze::FreezeMeter;
use crate::media::receive::pictures::PicturePlayout;
use crate::media::receive::sync::StreamClock;
use crate::peer::SenderReports;

/// A frame on its way to the decoder.
pub(super) struct Coded {
    pub(super) codec: VideoCodec,
    pub(super) frame: Frame,
    /// When its last packet came.
    pub(super) whole: Timestamp,
    /// How the far side's camera is held.
    pub(super) rotation: Rotation,
    /// What the sender says that its colours mean.
    pub(super) colours: Option<Colours>,
}

/// Ends a thread that sleeps.
#[derive(Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn now(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Sleeps until then; false where the thread is to end.
    fn sleep_until(&self, until: Timestamp) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = until.since(Timestamp::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(stopped, left);
            stopped = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

pub(super) struct Decode {
    pub(super) counts: Arc<VideoCounts>,
    pub(super) broken: Arc<AtomicBool>,
    pub(super) stop: Arc<Stop>,
    pub(super) sink: Box<dyn PictureSink>,
    pub(super) opener: Option<Arc<Incoming>>,
    /// Where frames are decrypted: all of them since a key frame were.
    pub(super) whole: bool,
    /// After a frame was left out: nothing but a key frame is of use.
    pub(super) needs_key: bool,
    pub(super) decoder: Option<(VideoCodec, Box<dyn VideoDecoder>)>,
    pub(super) shown: FreezeMeter,
    pub(super) playout: PicturePlayout,
    pub(super) clock: StreamClock,
    pub(super) reports: SenderReports,
}

impl Decode {
    pub(super) fn run(mut self, queue: &Receiver<Option<Coded>>) {
        while let Ok(Some(coded)) = queue.recv() {
            if !self.frame(coded) {
                return;
            }
        }
    }

    /// Sees to one frame; false where the thread is to end.
    fn frame(&mut self, coded: Coded) -> bool {
        let Coded {
            codec,
            frame,
            whole,
            rotation,
            colours,
        } = coded;
        let (timestamp, arrived) = (frame.timestamp, frame.arrived);
        self.keep_time(whole, timestamp);
        let turn = self.playout.turn(whole, timestamp);
        let late = PicturePlayout::is_behind(Timestamp::now(), whole, turn);
        if !frame.key && (late || self.needs_key) {
            self.needs_key = true;
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            self.broken.store(true, Ordering::Relaxed);
            return self.stop.sleep_until(Timestamp::default());
        }
        self.needs_key = false;
        let Some(frame) = self.open(codec, frame) else {
            return self.stop.sleep_until(Timestamp::default());
        };
        // A recording need not wait.
        let frame = EncodedPicture {
            codec,
            data: frame.data,
            key: frame.key,
            at: self.clock.taken(whole, timestamp).unwrap_or(whole),
            layer: None,
        };
        self.sink.encoded(&frame);
        if !self.stop.sleep_until(turn.decode) {
            return false;
        }
        let begun = Timestamp::now();
        self.playout.emitted(begun, arrived);
        let picture = self.decode(&frame);
        let picture = picture.map(|mut picture| {
            // Where the frames themselves say it, the decoder has seen to it.
            let silent = |(_, decoder): &(_, Box<dyn VideoDecoder>)| !decoder.knows_colours();
            if let Some(colours) = colours.filter(|_| self.decoder.as_ref().is_some_and(silent)) {
                to_ours(&mut picture, colours);
            }
            rotate(picture, rotation)
        });
        self.playout.decoded(Timestamp::now().since(begun));
        let shown = self.stop.sleep_until(turn.show);
        if let (Some(picture), true) = (picture, shown) {
            self.counts.decoded.fetch_add(1, Ordering::Relaxed);
            self.counts.width.store(picture.width, Ordering::Relaxed);
            self.counts.height.store(picture.height, Ordering::Relaxed);
            self.shown.see(Timestamp::now());
            *self.counts.figures() = (self.shown.freezes(), self.playout.counts());
            self.sink.picture(&Arc::new(picture), codec);
        }
        shown
    }

    /// Learns from a frame that was whole at `whole`, and hears how long pictures wait for their sound.
    fn keep_time(&mut self, whole: Timestamp, timestamp: u32) {
        self.playout.push(whole, timestamp);
        self.clock.observe(whole, timestamp, self.reports.newest());
        let wait = self
            .playout
            .shown(timestamp)
            .and_then(|shown| self.clock.wait(whole, timestamp, shown));
        if let Some(wait) = wait {
            self.playout.wait(wait);
        }
    }

    /// Decrypts a frame. After one that cannot be, nothing but a key frame is of use; none is asked for as long as
    /// there never was any: with another key it would not be one either.
    fn open(&mut self, codec: VideoCodec, frame: Frame) -> Option<Frame> {
        let Some(opener) = &self.opener else {
            return Some(frame);
        };
        let opened = opener.open(Medium::Picture(codec), &frame.data);
        let usable = opened.is_some() && (frame.key || self.whole);
        if !usable && (opened.is_some() || std::mem::take(&mut self.whole)) {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.whole |= usable;
        let data = opened.filter(|_| usable)?;
        Some(Frame { data, ..frame })
    }

    fn decode(&mut self, frame: &EncodedPicture) -> Option<Picture> {
        let codec = frame.codec;
        if self.decoder.as_ref().is_none_or(|(c, _)| *c != codec) {
            match codec::video_decoder(codec) {
                Ok(decoder) => self.decoder = Some((codec, decoder)),
                Err(error) => {
                    tracing::error!("{error}");
                    return None;
                }
            }
        }
        let (_, decoder) = self.decoder.as_mut()?;
        match decoder.decode(&frame.data) {
            Ok(picture) => picture,
            Err(error) => {
                tracing::debug!("{error}");
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                self.broken.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}
