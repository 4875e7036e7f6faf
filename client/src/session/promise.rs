//! What a far description says of its session: who made it, and what it will send. Pure.

/// Read from an SDP text (RFC 8866); unknown or broken lines are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Promise {
    /// User, id and address of the `o=` line: one `RTCPeerConnection` keeps them for its
    /// life (RFC 9429, section 5.2.1), so other ones mean a page that was loaded again.
    pub(super) origin: String,
    /// Some media section will send pictures.
    pub(super) video: bool,
    /// Some media section will send sound.
    pub(super) audio: bool,
    /// It says that what it sends is encrypted end to end. Nobody vouches for that: it serves words, no decision.
    pub(super) encrypted: bool,
}

/// What a description of ours says before its first media section where we encrypt; others pass over it (RFC 8866,
/// section 5.13).
const MARK: &str = "a=x-sframe:1";

/// The description with the mark of who encrypts.
#[must_use]
pub(super) fn marked(sdp: &str) -> String {
    match sdp.split_once("\nm=") {
        Some((session, media)) => format!("{session}\n{MARK}\r\nm={media}"),
        None => sdp.to_owned(),
    }
}

impl Promise {
    /// Reads one description.
    #[must_use]
    pub(super) fn read(sdp: &str) -> Self {
        let mut promise = Self::default();
        let mut session_sends = true;
        let mut section: Option<Section> = None;
        for line in sdp.lines() {
            if let Some(origin) = line.strip_prefix("o=") {
                // o=<username> <sess-id> <sess-version> ...: the version counts up.
                let mut words = origin.split(' ');
                let user = words.next().unwrap_or_default();
                let id = words.next().unwrap_or_default();
                promise.origin = format!("{user} {id}");
            } else if let Some(media) = line.strip_prefix("m=") {
                promise.close(section.take());
                let mut words = media.split(' ');
                let kind = words.next().unwrap_or_default();
                section = Some(Section {
                    video: kind == "video",
                    audio: kind == "audio",
                    rejected: words.next() == Some("0"),
                    bundle_only: false,
                    sends: session_sends,
                });
            } else if line == MARK {
                promise.encrypted = true;
            } else {
                let sends = match line {
                    "a=sendrecv" | "a=sendonly" => Some(true),
                    "a=recvonly" | "a=inactive" => Some(false),
                    _ => None,
                };
                match (&mut section, sends) {
                    (Some(section), Some(sends)) => section.sends = sends,
                    (None, Some(sends)) => session_sends = sends,
                    (Some(section), None) => section.bundle_only |= line == "a=bundle-only",
                    (None, None) => {}
                }
            }
        }
        promise.close(section);
        promise
    }

    fn close(&mut self, section: Option<Section>) {
        if let Some(section) = section
            // Port 0 rejects, unless the section rides on another's transport (RFC 9143).
            && (!section.rejected || section.bundle_only)
        {
            self.video |= section.video && section.sends;
            self.audio |= section.audio && section.sends;
        }
    }
}

struct Section {
    video: bool,
    audio: bool,
    rejected: bool,
    bundle_only: bool,
    sends: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn directions_of_each_section_are_read() {
        let sdp = "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n";
        assert_eq!(
            Promise::read(sdp),
            Promise {
                origin: "- 42".into(),
                video: false,
                audio: true,
                encrypted: false,
            }
        );
    }

    #[test]
    fn who_encrypts_says_so_before_the_first_section() {
        let sdp = "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=m=x\r\nt=0 0\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\n";
        let told = marked(sdp);
        assert!(told.contains("t=0 0\r\na=x-sframe:1\r\nm=audio"), "{told}");
        assert!(Promise::read(&told).encrypted && Promise::read(&told).audio);
        assert!(!Promise::read(sdp).encrypted);
        assert_eq!(marked(""), "", "a rollback has no text");
    }

    #[test]
    fn a_rejected_section_promises_nothing_and_a_bundled_one_does() {
        assert!(!Promise::read("m=video 0 X 96\na=sendrecv\n").video);
        assert!(Promise::read("m=video 0 X 96\na=bundle-only\na=sendonly\n").video);
    }

    #[test]
    fn the_origin_survives_a_new_version() {
        let first = Promise::read("o=- 42 1 IN IP4 0.0.0.0\n");
        let second = Promise::read("o=- 42 2 IN IP4 0.0.0.0\n");
        assert_eq!(first.origin, second.origin);
        assert_ne!(
            first.origin,
            Promise::read("o=- 43 1 IN IP4 0.0.0.0\n").origin
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,400}") {
            let _ = Promise::read(&text);
        }
    }
}
