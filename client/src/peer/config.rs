//! What a peer connection is opened with.

use rtc_fec::protect::When;

use super::channel::ChannelInit;
use crate::media::codec::AVAILABLE;
use crate::media::frame::VideoCodec;
use crate::net::Impairment;
use crate::net::hidden::Hidden;
use crate::net::interfaces::Choice;
use crate::net::shared::SharedUdp;
use crate::trust::Trust;

/// A STUN or TURN server, as `RTCIceServer` of W3C webrtc-pc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

/// What our description says of sound (RFC 7587, section 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundOffer {
    /// `stereo`, `sprop-stereo`: two channels are sent, and are better than one.
    pub stereo: bool,
    /// `usedtx`: silence need not be sent.
    pub dtx: bool,
    /// Nothing but Opus is taken and sent: what encrypts end to end has no rule for anything else.
    pub opus_alone: bool,
}

/// What a peer connection is opened with.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Which TURN servers are believed by TLS.
    pub trust: Trust,
    /// Only candidates of TURN servers are used; nobody learns our addresses.
    pub relay_only: bool,
    /// Which video codecs are offered and accepted, the one we would rather send first.
    pub video_codecs: Vec<VideoCodec>,
    /// Gives way when both sides offer at once (W3C webrtc-pc 10.7): the newcomer does.
    pub polite: bool,
    /// The far side took something of ours over a connection before: where it takes nothing from the start, it holds the
    /// call.
    pub took: bool,
    /// We have sound to send.
    pub send_audio: bool,
    /// We have pictures to send.
    pub send_video: bool,
    /// We take what the far side sends; without, our offer says that we only send.
    pub receive: bool,
    /// Our offer has a channel for chat.
    pub chat: bool,
    /// When repair packets are sent along with pictures; without, none are agreed on.
    pub fec: When,
    /// What our description says of the sound that we take and send.
    pub sound: SoundOffer,
    /// Which addresses and ports of this machine are used.
    pub network: Choice,
    /// The port that it shares with other connections, in place of one of its own.
    pub udp_port: Option<SharedUdp>,
    /// Whether the others may also come by TCP to ports of ours (RFC 6544).
    pub ice_tcp: bool,
    /// Whether `.local` candidates of browsers are resolved (RFC 8828 hides addresses in them).
    pub mdns: bool,
    /// Our own addresses are told by names that only the local network resolves.
    pub hidden: Option<Hidden>,
    /// The most that pictures are ever encoded at, in bits a second: more is not looked for.
    pub bitrate: u32,
    /// Channels that are opened with the connection, by the side that offers it.
    pub channels: Vec<ChannelInit>,
    /// How bad the path is made, for trying out.
    pub impairment: Option<Impairment>,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            trust: Trust::default(),
            relay_only: false,
            video_codecs: AVAILABLE.to_vec(),
            polite: false,
            took: false,
            send_audio: true,
            send_video: true,
            receive: true,
            chat: true,
            fec: When::default(),
            sound: SoundOffer::default(),
            network: Choice::default(),
            udp_port: None,
            ice_tcp: false,
            mdns: true,
            hidden: None,
            bitrate: 1_500_000,
            channels: Vec::new(),
            impairment: None,
        }
    }
}
