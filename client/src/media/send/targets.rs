//! Who is sent pictures, and which picture each may be given next. Pure but for the hand-over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::PictureTarget;
use crate::media::clock::Timestamp;
use crate::media::frame::EncodedPicture;
use crate::peer::VideoFormat;

/// Three pictures at 30 a second.
const SLOW_SOURCE: Duration = Duration::from_millis(100);

struct Target {
    sink: Arc<dyn PictureTarget>,
    format: VideoFormat,
    /// Its next picture must be a key frame.
    wants_key: bool,
    /// It follows the source's own bitstream, not our encoder's.
    follows_source: bool,
    bitrate: Option<u32>,
    last: Timestamp,
}

impl Target {
    /// Its path takes nothing just now.
    const fn waits(&self) -> bool {
        matches!(self.bitrate, Some(0))
    }
}

/// The peers that are connected and take pictures.
#[derive(Default)]
pub struct Targets {
    by_peer: HashMap<String, Target>,
}

impl Targets {
    /// A peer is ready; it begins with a key frame.
    pub fn add(&mut self, peer: &str, format: VideoFormat, sink: Arc<dyn PictureTarget>) {
        self.by_peer.insert(
            peer.to_owned(),
            Target {
                sink,
                format,
                wants_key: true,
                follows_source: false,
                bitrate: None,
                last: Timestamp::default(),
            },
        );
    }

    /// A peer is gone.
    pub fn remove(&mut self, peer: &str) {
        self.by_peer.remove(peer);
    }

    /// A peer asked for a key frame (PLI or FIR).
    pub fn want_key(&mut self, peer: &str) {
        if let Some(target) = self.by_peer.get_mut(peer) {
            target.wants_key = true;
            target.follows_source = false;
        }
    }

    /// What a peer takes.
    #[must_use]
    pub fn format(&self, peer: &str) -> Option<VideoFormat> {
        self.by_peer.get(peer).map(|target| target.format)
    }

    /// What a peer's path takes, in bits a second.
    pub fn limit(&mut self, peer: &str, bitrate: u32) {
        if let Some(target) = self.by_peer.get_mut(peer) {
            target.bitrate = Some(bitrate);
        }
    }

    /// The formats that our encoders must serve now: whether a key frame is due, and the
    /// lowest limit of the peers that share the encoder.
    #[must_use]
    pub fn encoders(&self) -> HashMap<VideoFormat, Demand> {
        let mut demands: HashMap<VideoFormat, Demand> = HashMap::new();
        for target in self.by_peer.values().filter(|t| !t.follows_source) {
            let demand = demands.entry(target.format).or_default();
            // Who takes nothing just now holds up nobody else.
            if target.waits() && self.is_shared(target.format) {
                continue;
            }
            demand.key |= target.wants_key;
            demand.limit = match (demand.limit, target.bitrate) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        demands
    }

    /// Whether somebody takes pictures of this format now.
    fn is_shared(&self, format: VideoFormat) -> bool {
        let mut all = self.by_peer.values();
        all.any(|target| target.format == format && !target.follows_source && !target.waits())
    }

    /// How old the newest picture must be to be encoded again as a key frame, where one is
    /// wanted from our encoders: at once for a peer that has seen nothing yet, else only
    /// when the source is so slow that its next picture is no answer.
    #[must_use]
    pub fn repeat_after(&self) -> Option<Duration> {
        self.by_peer
            .values()
            .filter(|t| t.wants_key && !t.follows_source)
            .map(|t| {
                if t.last == Timestamp::default() {
                    Duration::ZERO
                } else {
                    SLOW_SOURCE
                }
            })
            .min()
    }

    /// Hands out what our encoder made.
    pub fn send_encoded(&mut self, format: VideoFormat, picture: &EncodedPicture) {
        for target in self.by_peer.values_mut() {
            let fits = target.format == format && !target.follows_source;
            if fits && target.waits() {
                // It begins anew when its path takes something again.
                target.wants_key = true;
                continue;
            }
            // The last picture may be encoded again as a key frame: equal times are fine.
            if fits && picture.at >= target.last && (picture.key || !target.wants_key) {
                target.wants_key &= !picture.key;
                target.last = picture.at;
                target.sink.send(picture);
            }
        }
    }

    /// Hands out what the source encoded itself; tells whether anybody is left who needs our encoder.
    pub fn send_source(&mut self, picture: &EncodedPicture) -> bool {
        let mut left = false;
        for target in self.by_peer.values_mut() {
            // What a source encoded has slices of any size.
            if target.format.codec != picture.codec || target.format.max_nal_bytes.is_some() {
                left = true;
                continue;
            }
            if picture.key {
                target.follows_source = true;
                target.wants_key = false;
            }
            if target.follows_source {
                target.last = picture.at;
                target.sink.send(picture);
            } else {
                left = true;
            }
        }
        left
    }

    /// The source gives raw pictures again (or none): everybody is our encoder's, from a key frame on.
    pub fn leave_source(&mut self) {
        for target in self.by_peer.values_mut().filter(|t| t.follows_source) {
            target.follows_source = false;
            target.wants_key = true;
        }
    }
}

/// What is asked of one encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The next picture must be a key frame.
    pub key: bool,
    /// Not more bits a second than this.
    pub limit: Option<u32>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::frame::VideoCodec;
    use bytes::Bytes;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Sent(Mutex<Vec<(u64, bool)>>);

    impl PictureTarget for Sent {
        fn send(&self, picture: &EncodedPicture) {
            self.0
                .lock()
                .unwrap()
                .push((picture.at.as_micros(), picture.key));
        }
    }

    const VP8: VideoFormat = VideoFormat {
        codec: VideoCodec::Vp8,
        max_nal_bytes: None,
    };

    fn picture(codec: VideoCodec, at: u64, key: bool) -> EncodedPicture {
        EncodedPicture {
            codec,
            data: Bytes::new(),
            key,
            at: Timestamp::from_micros(at),
            layer: None,
        }
    }

    fn one() -> (Targets, Arc<Sent>) {
        let sent = Arc::new(Sent::default());
        let mut targets = Targets::default();
        targets.add("a", VP8, sent.clone());
        (targets, sent)
    }

    #[test]
    fn a_new_peer_is_given_nothing_before_a_key_frame() {
        let (mut targets, sent) = one();
        assert!(targets.encoders()[&VP8].key);
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 1, false));
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 2, true));
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 3, false));
        assert_eq!(*sent.0.lock().unwrap(), [(2, true), (3, false)]);
        assert!(!targets.encoders()[&VP8].key);
    }

    #[test]
    fn a_peer_whose_path_takes_nothing_holds_up_nobody_else() {
        let (mut targets, sent) = one();
        let other = Arc::new(Sent::default());
        targets.add("b", VP8, other.clone());
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 1, true));
        targets.limit("a", 0);
        targets.limit("b", 700_000);
        let demand = targets.encoders()[&VP8];
        assert_eq!((demand.limit, demand.key), (Some(700_000), false));
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 2, false));
        assert!(!targets.encoders()[&VP8].key);
        targets.limit("a", 300_000);
        let demand = targets.encoders()[&VP8];
        assert_eq!((demand.limit, demand.key), (Some(300_000), true));
        assert_eq!(*sent.0.lock().unwrap(), [(1, true)]);
        assert_eq!(*other.0.lock().unwrap(), [(1, true), (2, false)]);
        // Alone it is all there is.
        targets.limit("a", 0);
        targets.remove("b");
        assert_eq!(targets.encoders()[&VP8].limit, Some(0));
    }

    #[test]
    fn a_source_is_followed_from_its_key_frame_and_our_encoder_serves_until_then() {
        let (mut targets, sent) = one();
        assert!(targets.send_source(&picture(VideoCodec::Vp8, 1, false)));
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 1, true));
        assert!(!targets.send_source(&picture(VideoCodec::Vp8, 2, true)));
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 1, false));
        assert!(!targets.send_source(&picture(VideoCodec::Vp8, 3, false)));
        assert!(targets.encoders().is_empty());
        assert_eq!(*sent.0.lock().unwrap(), [(1, true), (2, true), (3, false)]);
        targets.want_key("a");
        assert!(targets.send_source(&picture(VideoCodec::Vp8, 4, false)));
        assert!(targets.encoders()[&VP8].key);
    }

    #[test]
    fn a_picture_is_sent_again_at_once_only_to_who_has_seen_none() {
        let (mut targets, _) = one();
        assert_eq!(targets.repeat_after(), Some(Duration::ZERO));
        targets.send_encoded(VP8, &picture(VideoCodec::Vp8, 1, true));
        assert_eq!(targets.repeat_after(), None);
        targets.want_key("a");
        assert_eq!(targets.repeat_after(), Some(SLOW_SOURCE));
    }

    #[test]
    fn a_peer_of_another_codec_needs_our_encoder() {
        let (mut targets, sent) = one();
        assert!(targets.send_source(&picture(VideoCodec::H264, 1, true)));
        assert!(sent.0.lock().unwrap().is_empty());
    }

    #[test]
    fn the_slowest_peer_sets_the_encoder_that_they_share() {
        let (mut targets, _) = one();
        targets.add("b", VP8, Arc::new(Sent::default()));
        targets.limit("a", 900_000);
        targets.limit("b", 300_000);
        assert_eq!(targets.encoders()[&VP8].limit, Some(300_000));
        targets.remove("b");
        assert_eq!(targets.encoders()[&VP8].limit, Some(900_000));
    }
}
