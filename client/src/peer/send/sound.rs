//! Sound and the keys of a telephone, which share one stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::super::actor::News;
use super::super::local::LocalAudio;
use super::super::rtcp::Feedback;
use super::Stream;
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedSound, SAMPLE_RATE};
use crate::media::red;
use crate::media::tones::Step;
use crate::media::tones::send::{Packet, ToneSender};

/// A pause that is longer begins a talk spurt (RFC 3551 section 4.1). In the middle of sound a clock that wobbles leaves
/// no such gap.
const PAUSE: Duration = Duration::from_millis(100);

/// How sound is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::peer) struct AudioSending {
    pub(in crate::peer) payload_type: u8,
    pub(in crate::peer) ssrc: u32,
    /// The id of the header extension that tells loudness, where the far side takes it.
    pub(in crate::peer) level: Option<u8>,
    /// The payload type of RED (RFC 2198), where the far side takes it.
    pub(in crate::peer) red: Option<u8>,
    /// How keys are sent, where the far side takes them.
    pub(in crate::peer) tones: Option<Tones>,
}

/// How the keys of a telephone are sent (RFC 4733).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::peer) struct Tones {
    pub(in crate::peer) payload_type: u8,
    /// Ticks a second that durations count in.
    pub(in crate::peer) clock: u32,
}

/// Sends sound until the connection ends.
pub(in crate::peer) async fn audio(
    queue: LocalAudio,
    track: Arc<TrackLocalStaticRTP>,
    sending: watch::Receiver<Option<AudioSending>>,
    news: mpsc::Sender<News>,
    feedback: Feedback,
) {
    let mut out = Sounds {
        track,
        stream: Stream::new(u64::from(SAMPLE_RATE)),
        tones: ToneSender::default(),
        ended: None,
        before: None,
    };
    loop {
        let due = out.tones.due();
        let due = async {
            match due {
                Some(due) => tokio::time::sleep(due.since(Timestamp::now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            sound = queue.next() => {
                let Some(how) = *sending.borrow() else { continue };
                feedback.keeps_time(how.ssrc, out.stream.clock);
                if !out.tones.holds_back(sound.at) {
                    out.sound(how, sound, queue.redundant()).await;
                }
            }
            steps = queue.dialled() => {
                let how = *sending.borrow();
                if let Err(why) = out.dial(how, &steps)
                    && news.send(News::Trouble(why.to_owned())).await.is_err()
                {
                    return;
                }
            }
            () = due => {}
        }
        let how = *sending.borrow();
        out.keys(how).await;
    }
}

struct Sounds {
    track: Arc<TrackLocalStaticRTP>,
    stream: Stream,
    tones: ToneSender,
    /// When the last sound ended.
    ended: Option<Timestamp>,
    /// The last sound, and its RTP time.
    before: Option<(u32, Bytes)>,
}

impl Sounds {
    async fn sound(&mut self, how: AudioSending, sound: EncodedSound, twice: bool) {
        let marker = self.ended.is_none_or(|ended| sound.at.since(ended) > PAUSE);
        self.ended = Some(sound.at + sound.duration);
        let data = sound.data.clone();
        let mut packet =
            self.stream
                .packet(how.payload_type, how.ssrc, sound.at, marker, sound.data);
        let time = packet.header.timestamp;
        let last = self.before.replace((time, data));
        if let Some(red) = how.red.filter(|_| twice) {
            // The one before goes with it; after a pause there is none that anybody waits for.
            let older = last.filter(|_| !marker);
            let older = older.map(|(before, data)| (time.wrapping_sub(before), data));
            packet.payload = red::pack(how.payload_type, older.as_slice(), &packet.payload);
            packet.header.payload_type = red;
        }
        if let (Some(id), Some(level)) = (how.level, sound.level) {
            // The highest bit tells voice (RFC 6464 section 3).
            let byte = level.dbov.min(127) | u8::from(level.voice) << 7;
            let told = packet
                .header
                .set_extension(id, Bytes::copy_from_slice(&[byte]));
            if let Err(error) = told {
                tracing::debug!("the level is not told: {error}");
            }
        }
        self.write(packet).await;
    }

    fn dial(&mut self, how: Option<AudioSending>, steps: &[Step]) -> Result<(), &'static str> {
        if how.and_then(|how| how.tones).is_none() {
            return Err("the far side takes no telephone keys (telephone-event); none was sent");
        }
        if !self.tones.dial(steps) {
            return Err(
                "more keys than a line holds are still to be pressed; dial again when they were",
            );
        }
        Ok(())
    }

    /// Sends what is due of the keys.
    async fn keys(&mut self, how: Option<AudioSending>) {
        let Some((how, tones)) = how.and_then(|how| Some((how, how.tones?))) else {
            return self.tones.stop();
        };
        while let Some(key) = self.tones.poll(Timestamp::now(), tones.clock) {
            let packet = self.key(how.ssrc, tones, key);
            self.write(packet).await;
        }
    }

    fn key(&mut self, ssrc: u32, tones: Tones, key: Packet) -> rtp::Packet {
        let payload = Bytes::copy_from_slice(&key.report.pack());
        let Packet {
            pressed, marker, ..
        } = key;
        let mut packet = self
            .stream
            .packet(tones.payload_type, ssrc, pressed, marker, payload);
        // The stream's time is that of sound, whatever durations count in: one source has one clock (RFC 7160).
        let later = key.later * (SAMPLE_RATE / tones.clock.clamp(1, SAMPLE_RATE));
        packet.header.timestamp = packet.header.timestamp.wrapping_add(later);
        packet
    }

    async fn write(&self, packet: rtp::Packet) {
        if let Err(error) = self.track.write_rtp(packet).await {
            tracing::debug!("a packet of sound was not sent: {error}");
        }
    }
}
