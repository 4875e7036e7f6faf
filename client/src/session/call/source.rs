//! Sources that change in a running call, and calls that are held.

use super::super::local;
use super::super::sending;
use super::Call;
use crate::event::{Event, Kind};
use crate::media::capture::{AudioSource, SourceError, VideoSource};
use crate::options::{self, AudioFrom, SourceOptions, VideoFrom};
use crate::output::board::SELF;

/// A source that was asked for, and what came of opening it.
pub(super) struct Switched {
    text: String,
    from: From,
    opened: Result<Opened, SourceError>,
}

#[derive(Clone)]
enum From {
    Video(VideoFrom),
    Audio(AudioFrom),
}

enum Opened {
    Video(Option<Box<dyn VideoSource>>),
    Audio(Option<Box<dyn AudioSource>>),
}

impl From {
    const fn kind(&self) -> Kind {
        match self {
            Self::Video(_) => Kind::Video,
            Self::Audio(_) => Kind::Audio,
        }
    }

    fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        if text == "-" || text.starts_with("pipe:") {
            return Err(format!(
                "{text:?} cannot be taken now: a pipe is opened when the call begins; use file:PATH, or join again with it"
            ));
        }
        match kind {
            Kind::Video => options::video(text).map(Self::Video),
            Kind::Audio => options::audio(text).map(Self::Audio),
        }
        .map_err(|error| error.to_string())
    }

    fn open(&self, mut asked: SourceOptions) -> Result<Opened, SourceError> {
        match self {
            Self::Video(from) => {
                asked.video = from.clone();
                local::open_video(&asked).map(Opened::Video)
            }
            Self::Audio(from) => {
                asked.audio = from.clone();
                local::open_audio(&asked).map(Opened::Audio)
            }
        }
    }
}

impl Call {
    /// Begins to open another source; the one before goes on until it is open.
    ///
    /// # Errors
    /// When it is none, or another one is still being opened.
    pub(super) fn switch(&mut self, kind: Kind, text: &str) -> Result<(), String> {
        let from = From::parse(kind, text)?;
        if std::mem::replace(&mut self.opening[kind as usize], true) {
            return Err("another source is still being opened; ask again when it is".to_owned());
        }
        // A device is opened once: what may be the same one is closed first.
        let closes = match &from {
            From::Video(VideoFrom::Camera(_)) => {
                matches!(self.options.video, VideoFrom::Camera(_))
            }
            From::Audio(AudioFrom::Microphone(_)) => {
                matches!(self.options.audio, AudioFrom::Microphone(_))
            }
            _ => false,
        };
        let (video, audio) = match (closes, kind) {
            (false, _) => (None, None),
            (true, Kind::Video) => (self.video.take(), None),
            (true, Kind::Audio) => (None, self.audio.take()),
        };
        let mut asked = self.options.sources();
        if let From::Video(video) = &from {
            asked.size = options::size_for(video, asked.size);
        }
        let text = text.to_owned();
        self.switching.spawn_blocking(move || {
            drop((video, audio));
            let opened = from.open(asked);
            Switched { text, from, opened }
        });
        Ok(())
    }

    /// Shows a screen, and remembers what was shown before.
    ///
    /// # Errors
    /// As [`Self::switch`].
    pub(super) fn share(&mut self, which: Option<&str>) -> Result<(), String> {
        if !matches!(self.options.video, VideoFrom::Screen(_)) {
            self.before_share = Some(self.shown.clone());
        }
        let text = which.map_or_else(|| "screen".to_owned(), |which| format!("screen:{which}"));
        self.switch(Kind::Video, &text)
    }

    /// Shows again what was shown before the screen.
    ///
    /// # Errors
    /// As [`Self::switch`]; or when no screen is shared.
    pub(super) fn unshare(&mut self) -> Result<(), String> {
        match self.before_share.take() {
            Some(text) => self.switch(Kind::Video, &text),
            None => Err("no screen was shared: /share does".to_owned()),
        }
    }

    /// Another source is open, or could not be opened.
    pub(super) async fn switched(&mut self, switched: Switched) {
        let Switched { text, from, opened } = switched;
        let kind = from.kind();
        self.opening[kind as usize] = false;
        let started = opened.map_err(|e| e.to_string()).and_then(|opened| {
            let (options, board, news) = (&mut self.options, &self.board, &self.media.0);
            match (from, opened) {
                (From::Video(from), Opened::Video(source)) => {
                    options.video = from;
                    let video = sending::video(options, board, news, source);
                    let video = video.map_err(|e| e.to_string())?;
                    Ok((std::mem::replace(&mut self.video, video), None))
                }
                (From::Audio(from), Opened::Audio(source)) => {
                    options.audio = from;
                    self.measured.sends(&options.audio);
                    let reference = self.sinks.reference();
                    let audio = sending::audio(options, board, news, source, reference);
                    let audio = audio.map_err(|e| e.to_string())?;
                    Ok((None, std::mem::replace(&mut self.audio, audio)))
                }
                // Each is opened as its own kind.
                _ => Err("a source of the other kind was opened".to_owned()),
            }
        });
        let source = match started {
            Ok(old) => {
                // Its threads may wait for a device.
                self.closing.spawn_blocking(move || drop(old));
                text
            }
            Err(problem) => {
                self.notice(problem);
                // What had to be closed first is gone.
                if self.sending(kind) {
                    return;
                }
                "none".to_owned()
            }
        };
        if kind == Kind::Video {
            self.shown.clone_from(&source);
            if source == "none" {
                self.board.remove(SELF);
            }
        }
        self.use_source(kind).await;
        self.tell(Event::SourceChanged { kind, source });
    }

    const fn sending(&self, kind: Kind) -> bool {
        match kind {
            Kind::Video => self.video.is_some(),
            Kind::Audio => self.audio.is_some(),
        }
    }

    /// Gives what we send now to everybody.
    async fn use_source(&mut self, kind: Kind) {
        let silent = self.silent(kind);
        match kind {
            Kind::Audio => self.audio.iter().for_each(|a| a.set_muted(silent)),
            Kind::Video => self.video.iter().for_each(|v| v.set_muted(silent)),
        }
        let on = self.sending(kind);
        let all: Vec<String> = self.far.keys().cloned().collect();
        for id in all {
            if let Some(far) = self.far.get(&id).filter(|far| !far.fixed)
                && let Some(link) = &far.link
            {
                link.peer.send_media(kind, on).await;
            }
            self.feed(&id);
        }
    }

    /// Holds the call with everybody, or takes it up again.
    pub(super) async fn hold(&mut self, on: Option<bool>) {
        let on = on.unwrap_or(!self.on_hold);
        if std::mem::replace(&mut self.on_hold, on) == on {
            return;
        }
        let all: Vec<String> = self.far.keys().cloned().collect();
        for id in all {
            let Some(far) = self.far.get(&id) else {
                continue;
            };
            // Who negotiates once is merely sent nothing.
            if let Some(link) = far.link.as_ref().filter(|_| !far.fixed) {
                link.peer.hold(on).await;
            }
            // Nothing goes out from now on, however long it takes until that is agreed on.
            if on {
                self.starve(&id);
            } else {
                self.feed(&id);
            }
        }
        self.tell(Event::PeerHeld {
            peer: self.me.clone(),
            held: on,
        });
    }

    /// What a far side's directions are now.
    pub(super) fn remote_flow(&mut self, id: &str, sends: [bool; 2], took: bool, held: bool) {
        if !sends[Kind::Video as usize] {
            self.board.clear(id);
        }
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        far.took |= took;
        let peer = far.who.clone();
        if std::mem::replace(&mut far.held, held) != held {
            self.tell(Event::PeerHeld { peer, held });
        }
    }

    /// Sends nothing to one peer.
    fn starve(&self, id: &str) {
        self.video.iter().for_each(|video| video.remove(id));
        self.audio.iter().for_each(|audio| audio.remove(id));
    }
}
