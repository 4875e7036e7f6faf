//! What can be measured where: in our own peers all there is, in a page of somebody's what its connections tell, and what marks in
//! our picture tell where one of ours sends it.

use rtc_verdict::Expectation;

/// What a page's `RTCPeerConnection`s tell (W3C webrtc-stats), beside every statistic by its own name.
const OF_STATISTICS: &[&str] = &[
    "connect",
    "video.first",
    "audio.first",
    "video.fps",
    "video.frames",
    "video.freeze",
    "video.width",
    "video.height",
    "video.bitrate",
    "audio.seconds",
    "audio.level",
    "audio.concealed",
    "audio.bitrate",
    "audio.mos",
    "network.rtt",
    "network.loss",
    "network.received",
    "network.sent",
    "network.disconnected",
];

/// What the marks of the test picture tell (docs/marks.md).
const OF_MARKS: &[&str] = &[
    "video.marked",
    "video.unreadable",
    "video.missing",
    "video.repeated",
    "video.late",
    "video.latency",
];

/// Why nothing can be known of something in a browser.
///
/// # Errors
/// In words, where it cannot be measured there.
pub fn measured_in_browser(expectation: &Expectation, marks: bool) -> Result<(), String> {
    let name = expectation.name.as_str();
    if OF_STATISTICS.contains(&name) || rtc_verdict::stats::find(name).is_some() {
        return Ok(());
    }
    if OF_MARKS.contains(&name) {
        return marks.then_some(()).ok_or_else(|| {
            format!(
                "{name} is read from the marks of the test picture, and nobody of kind rtc-client with video \"test\" sends it to this browser"
            )
        });
    }
    Err(format!(
        "{name} cannot be measured in a browser; there are {}, and the statistics of W3C webrtc-stats",
        OF_STATISTICS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_browser_cannot_tell_is_refused_and_every_name_is_known() {
        let ask = |text: &str, marks| measured_in_browser(&text.parse().unwrap(), marks);
        assert!(ask("fps>=25", false).is_ok());
        assert!(ask("inbound-rtp.video.framesDropped==0", false).is_ok());
        assert!(ask("latency<200ms", true).is_ok());
        assert!(ask("latency<200ms", false).unwrap_err().contains("marks"));
        assert!(
            ask("psnr>=30dB", true)
                .unwrap_err()
                .contains("cannot be measured")
        );
        for name in OF_STATISTICS.iter().chain(OF_MARKS) {
            assert!(rtc_verdict::quantity::find(name).is_some(), "{name}");
        }
    }
}
