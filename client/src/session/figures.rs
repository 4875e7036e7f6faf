//! What only we know of received media, under its names in W3C webrtc-stats (`RTCInboundRtpStreamStats`).

use serde_json::{Map, Value};

use crate::media::frame::SAMPLE_RATE;
use crate::media::receive::freeze::Freezes;
use crate::media::receive::pictures::BufferCounts;
use crate::media::receive::playout::AudioCounts;

/// Puts what became of a peer's sound into a report about it: the sum over its tracks, the level of the newest.
pub(super) fn put_audio(stream: &mut Map<String, Value>, each: impl Iterator<Item = AudioCounts>) {
    let mut all = AudioCounts::default();
    for counts in each {
        all.packets.late += counts.packets.late;
        all.samples += counts.samples;
        all.concealed += counts.concealed;
        all.silent_concealed += counts.silent_concealed;
        all.concealment_events += counts.concealment_events;
        all.inserted += counts.inserted;
        all.removed += counts.removed;
        all.emitted += counts.emitted;
        all.delay += counts.delay;
        all.target_delay += counts.target_delay;
        all.minimum_delay += counts.minimum_delay;
        all.energy += counts.energy;
        all.level = counts.level;
    }
    let seconds = all.samples as f64 / f64::from(SAMPLE_RATE);
    for (name, value) in [
        ("packetsDiscarded", Value::from(all.packets.late)),
        ("audioLevel", all.level.into()),
        ("totalAudioEnergy", all.energy.into()),
        ("totalSamplesReceived", all.samples.into()),
        ("totalSamplesDuration", seconds.into()),
        ("concealedSamples", all.concealed.into()),
        ("silentConcealedSamples", all.silent_concealed.into()),
        ("concealmentEvents", all.concealment_events.into()),
        ("insertedSamplesForDeceleration", all.inserted.into()),
        ("removedSamplesForAcceleration", all.removed.into()),
        ("jitterBufferDelay", all.delay.into()),
        ("jitterBufferTargetDelay", all.target_delay.into()),
        ("jitterBufferMinimumDelay", all.minimum_delay.into()),
        ("jitterBufferEmittedCount", all.emitted.into()),
    ] {
        stream.insert(name.to_owned(), value);
    }
}

/// How much of our sound is expected to be lost on the way to a peer, from the reports that it sends: what it says
/// last, or what it said before, forgotten by a tenth with each report, so that one report without loss between
/// two bursts does not take the redundancy away.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ExpectedLoss(f64);

impl ExpectedLoss {
    pub(super) fn observe(&mut self, report: &Value) {
        let told = report
            .as_object()
            .into_iter()
            .flat_map(Map::values)
            .find(|d| d["type"] == "remote-inbound-rtp" && d["kind"] == "audio")
            .and_then(|d| d["fractionLost"].as_f64());
        if let Some(lost) = told {
            self.0 = lost.clamp(0.0, 1.0).max(self.0 * 0.9);
        }
    }

    pub(super) fn percent(self) -> u32 {
        (self.0 * 100.0).round() as u32
    }
}

/// Puts how long a peer's frames waited for their turn into a report about them: the sum over its tracks.
pub(super) fn put_buffer(
    stream: &mut Map<String, Value>,
    each: impl Iterator<Item = BufferCounts>,
) {
    let mut all = BufferCounts::default();
    for counts in each {
        all.emitted += counts.emitted;
        all.delay += counts.delay;
        all.target += counts.target;
        all.minimum += counts.minimum;
    }
    for (name, value) in [
        ("jitterBufferDelay", Value::from(all.delay.as_secs_f64())),
        ("jitterBufferTargetDelay", all.target.as_secs_f64().into()),
        ("jitterBufferMinimumDelay", all.minimum.as_secs_f64().into()),
        ("jitterBufferEmittedCount", all.emitted.into()),
    ] {
        stream.insert(name.to_owned(), value);
    }
}

/// Puts when what is shown or played now was taken by the sender's clock (microseconds since 1970) into a report: milliseconds
/// since 1900, where NTP begins, as browsers tell it.
pub(super) fn put_playout(stream: &mut Map<String, Value>, taken: Option<i64>) {
    const NTP_TO_UNIX_MS: f64 = 2_208_988_800_000.0;
    if let Some(taken) = taken {
        let told = taken as f64 / 1000.0 + NTP_TO_UNIX_MS;
        stream.insert("estimatedPlayoutTimestamp".to_owned(), told.into());
    }
}

/// Puts when a peer's pictures stood still into a report about them: the sum over its tracks.
pub(super) fn put_freezes(stream: &mut Map<String, Value>, each: impl Iterator<Item = Freezes>) {
    let mut all = Freezes::default();
    for freezes in each {
        all.count += freezes.count;
        all.total += freezes.total;
        all.inter_frame += freezes.inter_frame;
        all.inter_frame_squared += freezes.inter_frame_squared;
    }
    for (name, value) in [
        ("freezeCount", Value::from(all.count)),
        ("totalFreezesDuration", all.total.as_secs_f64().into()),
        ("totalInterFrameDelay", all.inter_frame.as_secs_f64().into()),
        (
            "totalSquaredInterFrameDelay",
            all.inter_frame_squared.into(),
        ),
    ] {
        stream.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_loss_is_what_the_far_side_reports_of_our_sound() {
        let report = |lost: f64| {
            serde_json::json!({
                "a": {"type": "remote-inbound-rtp", "kind": "video", "fractionLost": 0.9},
                "b": {"type": "remote-inbound-rtp", "kind": "audio", "fractionLost": lost},
            })
        };
        let mut loss = ExpectedLoss::default();
        loss.observe(&serde_json::json!({}));
        assert_eq!(loss.percent(), 0);
        loss.observe(&report(0.2));
        assert_eq!(loss.percent(), 20);
        loss.observe(&report(0.0));
        assert_eq!(loss.percent(), 18);
        for _ in 0..50 {
            loss.observe(&report(0.0));
        }
        assert_eq!(loss.percent(), 0);
    }

    #[test]
    fn tracks_are_summed_and_the_newest_tells_the_level() {
        let track = |level, samples| AudioCounts {
            level,
            samples,
            delay: 1.5,
            ..AudioCounts::default()
        };
        let mut stream = Map::new();
        put_audio(
            &mut stream,
            [track(0.9, 48_000), track(0.1, 24_000)].into_iter(),
        );
        assert_eq!(stream["audioLevel"], 0.1);
        assert_eq!(stream["totalSamplesReceived"], 72_000);
        assert_eq!(stream["totalSamplesDuration"], 1.5);
        assert_eq!(stream["jitterBufferDelay"], 3.0);
        assert_eq!(stream["concealedSamples"], 0);
    }
}
