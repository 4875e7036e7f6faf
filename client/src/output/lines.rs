//! One plain line per event, for pipes, logs and screen readers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::quality::Quality;
use super::text::{clean, name, whole};
use super::{OutputError, View};
use crate::event::{Event, Kind, PeerRef, PeerSummary, Preview, Summary};

/// Writes events as lines for people, each flushed.
#[derive(Debug)]
pub struct Lines<W> {
    writer: W,
    colour: bool,
    /// The last statistics of each peer, for rates.
    reports: HashMap<String, Value>,
}

impl Lines<io::Stderr> {
    /// Writes to standard error, where standard output is for something else.
    #[must_use]
    pub fn stderr() -> Self {
        let stderr = io::stderr();
        let colour = wants_colour(stderr.is_terminal(), |key| std::env::var(key).ok());
        Self::new(stderr, colour)
    }
}

impl Lines<io::Stdout> {
    /// Writes to the standard output, in colour where it is a terminal that wants it.
    #[must_use]
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let colour = wants_colour(stdout.is_terminal(), |key| std::env::var(key).ok());
        Self::new(stdout, colour)
    }
}

/// Whether to write colour: on a terminal, unless `NO_COLOR` says something or `TERM` is `dumb`.
#[must_use]
pub fn wants_colour(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    is_terminal
        && variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|value| value != "dumb")
}

impl<W: Write> Lines<W> {
    /// Writes to `writer`.
    pub fn new(writer: W, colour: bool) -> Self {
        Self {
            writer,
            colour,
            reports: HashMap::new(),
        }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// [`OutputError::Closed`] where nobody reads any more.
    pub fn write(&mut self, event: &Event) -> Result<(), OutputError> {
        let text = match event {
            Event::Stats { peer, report, .. } => {
                let before = self.reports.insert(peer.id.clone(), report.clone());
                format!(
                    "{}: {}",
                    who(peer),
                    Quality::of(report, before.as_ref()).words()
                )
            }
            Event::PeerLeft { peer, .. } => {
                self.reports.remove(&peer.id);
                words(event)
            }
            _ => words(event),
        };
        for line in text.lines() {
            match tint(event).filter(|_| self.colour) {
                Some(code) => writeln!(self.writer, "\x1b[{code}m{line}\x1b[0m")?,
                None => writeln!(self.writer, "{line}")?,
            }
        }
        Ok(self.writer.flush()?)
    }
}

impl<W: Write + Send> View for Lines<W> {
    fn event(&mut self, event: &Event) -> Result<(), OutputError> {
        self.write(event)
    }
}

/// The SGR colour of an event's line.
const fn tint(event: &Event) -> Option<u8> {
    match event {
        Event::Notice { .. }
        | Event::Broadcast { .. }
        | Event::SignalingLost { .. }
        | Event::Undecryptable { .. }
        | Event::ConnectionTroubled { .. } => Some(33),
        Event::Joined { .. } | Event::Connected { .. } | Event::SignalingBack { .. } => Some(32),
        Event::Chat { .. } | Event::Rung { .. } | Event::ToneReceived { .. } => Some(36),
        Event::Stats { .. } | Event::FirstFrame { .. } => Some(2),
        _ => None,
    }
}

/// Says an event in words: one line, or some for the summary. Without control characters, line ends apart.
#[must_use]
pub fn words(event: &Event) -> String {
    match event {
        Event::ServerStarted { url } => {
            format!("no server was running: serving one at {}", clean(url))
        }
        Event::Notice { text } => format!("note: {}", clean(text)),
        Event::Joined {
            room,
            me,
            peers,
            url,
        } => {
            let others = match peers.as_slice() {
                [] => "nobody else is here yet".to_owned(),
                peers => format!(
                    "here: {}",
                    peers.iter().map(who).collect::<Vec<_>>().join(", ")
                ),
            };
            let mut words = format!("joined {} as {}; {others}", clean(room), who(me));
            if !url.is_empty() {
                let _ = write!(words, "; browsers join at {}", clean(url));
            }
            words
        }
        Event::Copy { kind, text } if kind == "offer" => format!(
            "copy the next line to the other side, and paste here the line that it gives back:\n{}",
            whole(text)
        ),
        Event::Copy { text, .. } => {
            format!(
                "copy the next line back to the other side:\n{}",
                whole(text)
            )
        }
        Event::Waiting { name } => format!("waiting to be called: rtc-client call {}", clean(name)),
        Event::Rung { peer } => {
            format!("{} is calling: a takes the call, r refuses it", who(peer))
        }
        Event::RingEnded { peer } => format!("{} calls no more", who(peer)),
        Event::Ringing { name } => format!("it rings at {}", clean(name)),
        Event::Accepted { name } => format!("{} takes the call", clean(name)),
        Event::SignalingLost { reason } => {
            format!("signaling lost: {}; calls in progress go on", clean(reason))
        }
        Event::SignalingBack { resumed: true } => "signaling is back, where it was".into(),
        Event::SignalingBack { resumed: false } => "signaling is back, joined anew".into(),
        Event::PeerJoined { peer } => format!("{} came", who(peer)),
        Event::Connected { peer, after_ms } => {
            format!("connected to {} after {after_ms:.0} ms", who(peer))
        }
        Event::ConnectionTroubled { peer, state } => {
            format!("connection to {} is {}", who(peer), clean(state))
        }
        Event::FirstFrame {
            peer,
            kind,
            codec,
            after_ms,
        } => format!(
            "first {} of {} ({}) after {after_ms:.0} ms",
            sense(*kind),
            who(peer),
            clean(codec)
        ),
        Event::Undecryptable { peer, kind, reason } => format!(
            "the {} of {} cannot be decrypted: {}",
            sense(*kind),
            who(peer),
            reason.words()
        ),
        Event::ToneReceived {
            peer,
            tone,
            duration_ms,
        } => format!(
            "{} pressed {} for {duration_ms:.0} ms",
            who(peer),
            clean(tone)
        ),
        Event::PeerMuted { peer, kind, muted } => {
            let what = match (kind, muted) {
                (Kind::Audio, true) => "muted",
                (Kind::Audio, false) => "is no longer muted",
                (Kind::Video, true) => "switched the camera off",
                (Kind::Video, false) => "switched the camera on",
            };
            format!("{} {what}", who(peer))
        }
        Event::PeerHeld { peer, held } => {
            let what = if *held {
                "holds the call"
            } else {
                "takes the call up again"
            };
            format!("{} {what}", who(peer))
        }
        Event::SourceChanged { kind, source } => {
            let what = match kind {
                Kind::Audio => "sound",
                Kind::Video => "picture",
            };
            format!("your {what} is now: {}", clean(source))
        }
        Event::Chat { from, text, .. } => format!("<{}> {}", who(from), clean(text)),
        Event::ChannelOpened {
            peer,
            channel,
            label,
            ..
        } => format!(
            "channel {channel} with {} is open: {}",
            who(peer),
            clean(label)
        ),
        Event::ChannelMessage { peer, channel, .. } => {
            format!("a message of {} on channel {channel}", who(peer))
        }
        Event::ChannelClosed { peer, channel, .. } => {
            format!("channel {channel} with {} is closed", who(peer))
        }
        Event::Broadcast { data } => format!("the administrator says: {}", said(data)),
        Event::Stats { peer, report, .. } => {
            format!("{}: {}", who(peer), Quality::of(report, None).words())
        }
        Event::Answer { id, error, .. } => match error {
            None => format!("done: {}", clean(&id.to_string())),
            Some(error) => format!("not done: {}: {}", clean(&id.to_string()), clean(error)),
        },
        Event::PeerLeft { peer, reason } => format!("{} is gone ({})", who(peer), clean(reason)),
        Event::Preview(preview) => preview_parts(preview).join("; "),
        Event::Doctor(found) => {
            let each = found.findings.iter().map(|finding| clean(&finding.text));
            format!("doctor: {}", each.collect::<Vec<_>>().join("; "))
        }
        Event::Left { reason } => format!("left: {}", clean(reason)),
        Event::Summary(summary) => summary_words(summary),
    }
}

/// What the sources give, each in one line: the picture's, the sound's.
#[must_use]
pub fn preview_parts(preview: &Preview) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(video) = &preview.video {
        let mut text = format!(
            "{}: {}x{}, {:.1} fps, {} dropped",
            clean(&video.source),
            video.width,
            video.height,
            video.fps,
            video.dropped
        );
        if video.broken > 0 {
            let _ = write!(text, ", {} broken", video.broken);
        }
        parts.push(text);
    }
    if let Some(audio) = &preview.audio {
        parts.push(format!(
            "{}: {:.0} dB, peak {:.0} dB",
            clean(&audio.source),
            audio.level_dbfs,
            audio.peak_dbfs
        ));
    }
    parts
}

/// The text in an administrator's word, or all of it where there is none.
fn said(data: &serde_json::Value) -> String {
    let text = data.as_str().or_else(|| data.get("text")?.as_str());
    text.map_or_else(|| clean(&data.to_string()), clean)
}

const fn sense(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "sound",
        Kind::Video => "picture",
    }
}

fn who(peer: &PeerRef) -> String {
    name(&peer.name, &peer.id)
}

fn summary_words(summary: &Summary) -> String {
    let mut text = format!(
        "{} after {:.1} s, exit code {}",
        clean(&summary.outcome),
        summary.seconds,
        summary.exit_code
    );
    for peer in &summary.peers {
        let _ = write!(text, "\n  {}", peer_words(peer));
    }
    for one in &summary.expectations {
        let held = if one.held {
            "as expected"
        } else {
            "NOT AS EXPECTED"
        };
        let _ = write!(
            text,
            "\n  {held}: {}: {}",
            clean(&one.expected),
            clean(&one.words)
        );
    }
    if let Some(path) = &summary.recording {
        let _ = write!(text, "\n  recorded to {}", clean(path));
    }
    text
}

fn peer_words(peer: &PeerSummary) -> String {
    let mut text = name(&peer.name, &peer.id);
    if !peer.connected {
        text.push_str(": never connected");
        return text;
    }
    text.push_str(": connected");
    if let Some(ms) = peer.connect_ms {
        let _ = write!(text, " after {ms:.0} ms");
    }
    if let Some(ms) = peer.first_picture_ms {
        let _ = write!(text, ", first picture after {ms:.0} ms");
    }
    let _ = write!(
        text,
        ", {} pictures, last {}x{}",
        peer.frames_decoded, peer.frame_width, peer.frame_height
    );
    if let Some(marks) = &peer.marks {
        let _ = write!(
            text,
            "; marks: {} read, {} missing, {:.1} ms late, PSNR {:.1} dB",
            marks.read, marks.missing, marks.latency_ms_p50, marks.psnr_db
        );
    }
    if let Some(tone) = &peer.tone {
        let _ = write!(
            text,
            "; tone: {:.0} Hz, {} gaps",
            tone.frequency_hz, tone.gaps
        );
    }
    if let Some(lips) = &peer.lip_sync {
        let _ = write!(
            text,
            "; sound {:+.0} ms from its picture, {:+.0} ms at worst",
            lips.median_ms, lips.worst_ms
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;
    use crate::output::testing::{every_event, peer, report};
    use crate::output::text::is_unsafe;

    fn shown(events: &[Event], colour: bool) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, colour);
        for event in events {
            lines.write(event).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_event_is_said() {
        assert_eq!(
            shown(&every_event("Bob"), false),
            "no server was running: serving one at Bob
note: Bob
joined Bob as Bob; here: Bob, Bob; browsers join at Bob
copy the next line to the other side, and paste here the line that it gives back:
{Bob}
waiting to be called: rtc-client call Bob
Bob is calling: a takes the call, r refuses it
Bob calls no more
it rings at Bob
Bob takes the call
signaling lost: Bob; calls in progress go on
signaling is back, where it was
Bob came
connected to Bob after 42 ms
connection to Bob is Bob
first picture of Bob (Bob) after 61 ms
the picture of Bob cannot be decrypted: the key is another one; use the same --e2ee at everybody
Bob pressed 5 for 100 ms
Bob muted
Bob holds the call
your picture is now: Bob
<Bob> Bob
channel 1 with Bob is open: Bob
a message of Bob on channel 1
channel 1 with Bob is closed
the administrator says: Bob
Bob: 640x360 30 fps, rtt 12 ms, lost 3
not done: \"Bob\": Bob
Bob is gone (Bob)
Bob: 640x360, 29.5 fps, 2 dropped, 1 broken; Bob: -18 dB, peak -12 dB
doctor: Bob
left: Bob
Bob after 10.0 s, exit code 0
  Bob: connected after 42 ms, first picture after 61 ms, 300 pictures, last 640x360; \
marks: 300 read, 0 missing, 0.0 ms late, PSNR 38.5 dB; tone: 440 Hz, 0 gaps; sound +12 ms from its picture, -30 ms at worst
  NOT AS EXPECTED: Bob: Bob
  recorded to Bob
"
        );
    }

    #[test]
    fn rates_come_with_the_second_report() {
        let mut later = report("x");
        later["IT1"]["timestamp"] = 2000.0.into();
        later["IT1"]["bytesReceived"] = 250_000.into();
        let stats = |report| Event::Stats {
            peer: peer("abc", "Bob"),
            report,
            lip_sync: None,
        };
        let text = shown(&[stats(report("x")), stats(later)], false);
        assert!(
            text.ends_with("Bob: 640x360 30 fps, in 1000 kbit/s, rtt 12 ms, lost 3\n"),
            "{text}"
        );
    }

    #[test]
    fn a_nameless_peer_goes_by_its_id() {
        let event = Event::PeerJoined {
            peer: peer("abcdef", " "),
        };
        assert_eq!(words(&event), "abcdef came");
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |key: &str| {
                pairs
                    .iter()
                    .find(|(k, _)| *k == key)
                    .map(|(_, v)| (*v).to_owned())
            }
        };
        assert!(wants_colour(true, with(&[("TERM", "xterm")])));
        assert!(wants_colour(true, with(&[("NO_COLOR", "")])));
        assert!(!wants_colour(true, with(&[("NO_COLOR", "1")])));
        assert!(!wants_colour(true, with(&[("TERM", "dumb")])));
        assert!(!wants_colour(false, with(&[])));
    }

    #[test]
    fn colour_wraps_the_line_only() {
        let event = Event::Chat {
            from: peer("abc", "Bob"),
            text: "hi".into(),
            own: false,
        };
        assert_eq!(shown(&[event], true), "\x1b[36m<Bob> hi\x1b[0m\n");
    }

    #[test]
    fn a_closed_reader_is_told_apart() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let result = Lines::new(Gone, false).event(&Event::SignalingBack { resumed: true });
        assert!(matches!(result, Err(OutputError::Closed)));
    }

    proptest! {
        #[test]
        fn no_control_of_a_far_peer_gets_through(text in any::<String>()) {
            let text = shown(&every_event(&text), false);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)), "{text:?}");
            prop_assert_eq!(text.lines().count(), every_event("x").len() + 4);
        }
    }
}
