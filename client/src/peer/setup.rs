//! How the engine is put together: codecs, header extensions, interceptors, sockets.

use std::sync::Arc;
use std::time::Duration;

use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{ReceiverReportBuilder, SenderReportBuilder, Slot};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use webrtc::error::Result;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, Registry, SettingEngineBuilder,
};

use rtc_fec::protect::When;

use super::channel::SEND_BUFFER;
use super::config::{PeerConfig, SoundOffer};
use super::fec::{ReceiveFec, SendFec};
use super::nack::AskForLost;
use super::pace::{Pace, TRANSPORT_CC_URI};
use super::resend::Resend;
use super::rtcp::{Feedback, ReadRtcp};
use super::rtx::UndoRtx;
use super::tell::TellArrivals;
use super::tone_names;
use crate::media::frame::VideoCodec;
use crate::net::EngineRuntime;
use crate::net::turn::StandIns;

/// RFC 6464.
pub(super) const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// RFC 7742, section 5.
pub(super) const ORIENTATION_URI: &str = "urn:3gpp:video-orientation";
/// Browsers' own, of no standard.
pub(super) const COLOURS_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";
/// RFC 9143.
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The DTLS handshake starts at an ICE tick, so ticks are short; the number of checks
/// keeps the time until a pair is given up at 1.4 seconds.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
const CHECKS: u16 = 140;

/// A relay waits for so long for a way without one: holes in NATs take a check or two.
const RELAY_LAST: Duration = Duration::from_millis(250);

/// A far side that is not heard of for so long is told of.
const SILENT: Duration = Duration::from_secs(5);
/// And nothing is sent to it any more from here on: it must happen within 30 seconds (RFC 7675, section 5.1), and the
/// engine looks at each keep-alive.
const WITHOUT_CONSENT: Duration = Duration::from_secs(25);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Places in the engine's chain, counted from the wire: reports are of what came by itself (RFC 3550, section 6.4.1); RTX is undone and
/// repair packets are used before the NACK generator at 7000; RTCP is read where every request and report of ours passes.
const REPORT: usize = 6_400;
const UNDO_RTX: usize = 6_500;
const UNDO_FEC: usize = 6_550;
const READ_RTCP: usize = 6_600;

/// Opens a connection of the engine on `runtime`.
pub(super) async fn open(
    config: &PeerConfig,
    handler: Arc<dyn PeerConnectionEventHandler>,
    feedback: &Feedback,
    (runtime, ice_servers): (EngineRuntime, Vec<RTCIceServer>),
    mdns: bool,
) -> Result<Arc<dyn PeerConnection>> {
    let mut media = MediaEngine::default();
    // Codecs name their feedback themselves, because RTX must not have any: retransmissions would be asked for again.
    let registry = Registry::new()
        .with(Slot::Custom(REPORT), ReceiverReportBuilder::new().build())
        .with(Slot::TwccReceiver, TellArrivals::new())
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
        .with(Slot::FecEncoder, SendFec::new(feedback.clone(), config.fec))
        .with(
            Slot::Custom(UNDO_FEC),
            ReceiveFec::new(feedback.fec.clone()),
        )
        .with(Slot::NackResponder, Resend::new(feedback.clone()))
        .with(Slot::NackGenerator, AskForLost::new(feedback.clone()))
        .with(Slot::Custom(UNDO_RTX), UndoRtx::new(feedback.fec.clone()))
        .with(Slot::Pacer, Pace::new(feedback.clone(), config.bitrate))
        .with(Slot::Custom(READ_RTCP), ReadRtcp::new(feedback.clone()));
    register_codecs(&mut media, &config.video_codecs, config.sound)?;
    if config.fec != When::Off {
        for codec in repair_codecs() {
            media.register_codec(codec, RtpCodecKind::Video)?;
        }
    }
    for (uri, kind) in [
        (TRANSPORT_CC_URI, RtpCodecKind::Video),
        (TRANSPORT_CC_URI, RtpCodecKind::Audio),
        (MID_URI, RtpCodecKind::Audio),
        (MID_URI, RtpCodecKind::Video),
        (AUDIO_LEVEL_URI, RtpCodecKind::Audio),
        (ORIENTATION_URI, RtpCodecKind::Video),
        (COLOURS_URI, RtpCodecKind::Video),
    ] {
        let uri = uri.to_owned();
        media.register_header_extension(RTCRtpHeaderExtensionCapability { uri }, kind, None)?;
    }
    let settings = SettingEngineBuilder::new()
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS))
        .with_ice_timeouts(
            Some(SILENT),
            Some(WITHOUT_CONSENT - SILENT),
            Some(KEEP_ALIVE),
        )
        // A restart is for a network that has changed: it opens its sockets anew, at the addresses that there are then.
        .with_discard_local_candidates_during_ice_restart(true)
        // A check that overtakes its sender's candidate on the way through signaling makes that candidate peer-reflexive
        // (RFC 8445, section 7.3.1.3); the engine would wait a second for something better than what already works.
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_relay_acceptance_min_wait(Some(match config.relay_only {
            true => Duration::ZERO,
            false => RELAY_LAST,
        }))
        .with_include_loopback_candidate(true)
        .with_multicast_dns_mode(if mdns {
            MulticastDnsMode::QueryOnly
        } else {
            MulticastDnsMode::Disabled
        })
        .build();
    let policy = if config.relay_only {
        RTCIceTransportPolicy::Relay
    } else {
        RTCIceTransportPolicy::All
    };
    let connection = PeerConnectionBuilder::new()
        .with_runtime(Arc::new(runtime))
        .with_configuration(
            RTCConfigurationBuilder::default()
                .with_ice_servers(ice_servers)
                .with_ice_transport_policy(policy)
                .build(),
        )
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(handler)
        .with_data_channel_send_buffer_limit(SEND_BUFFER)
        .with_udp_addrs(vec![config.network.udp()])
        .with_tcp_addrs(
            config
                .ice_tcp
                .then(|| config.network.tcp())
                .into_iter()
                .collect(),
        )
        .build()
        .await?;
    Ok(Arc::new(connection))
}

/// The STUN and TURN servers as the engine knows them, and those that it knows by other names.
pub(super) fn ice_servers(config: &PeerConfig) -> (Vec<RTCIceServer>, StandIns) {
    let mut stand_ins = StandIns::new(config.trust.clone());
    let servers = config
        .ice_servers
        .iter()
        .map(|server| RTCIceServer {
            urls: server
                .urls
                .iter()
                .map(|url| stand_ins.url_for_engine(url))
                .collect(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        })
        .collect();
    (servers, stand_ins)
}

fn feedback(typ: &str, parameter: &str) -> RTCPFeedback {
    RTCPFeedback {
        typ: typ.to_owned(),
        parameter: parameter.to_owned(),
    }
}

/// The codec as the engine names it.
pub(super) fn video_codec(codec: VideoCodec, single_nal: bool) -> RTCRtpCodec {
    let parameters = match (codec, single_nal) {
        (VideoCodec::Vp8, _) => "",
        (VideoCodec::Vp9, _) => "profile-id=0",
        (VideoCodec::Av1, _) => "level-idx=5;profile=0;tier=0",
        (VideoCodec::H264, false) => {
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
        }
        (VideoCodec::H264, true) => {
            "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"
        }
    };
    RTCRtpCodec {
        mime_type: codec.mime_type().to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: parameters.to_owned(),
        rtcp_feedback: vec![
            feedback("goog-remb", ""),
            feedback("transport-cc", ""),
            feedback("ccm", "fir"),
            feedback("nack", ""),
            feedback("nack", "pli"),
        ],
    }
}

/// Opus as the engine names it (RFC 7587).
pub(super) fn opus_codec(sound: SoundOffer) -> RTCRtpCodec {
    let mut parameters = "minptime=10;useinbandfec=1".to_owned();
    if sound.stereo {
        parameters.push_str(";stereo=1;sprop-stereo=1");
    }
    if sound.dtx {
        parameters.push_str(";usedtx=1");
    }
    RTCRtpCodec {
        mime_type: "audio/opus".to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: parameters,
        rtcp_feedback: vec![feedback("transport-cc", "")],
    }
}

/// Payload types of ours, those that Chromium uses.
const OPUS: u8 = 111;
const RED: u8 = 63;
const TONES_OF_OPUS: u8 = 110;
const TONES: u8 = 126;

/// Several packets of Opus in one (RFC 2198).
fn red_codec() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/red".to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: format!("{OPUS}/{OPUS}"),
        rtcp_feedback: Vec::new(),
    }
}

/// The keys of a telephone (RFC 4733), by the name that the engine knows them by.
fn tones_codec(name: &str, clock_rate: u32) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: format!("audio/{name}"),
        clock_rate,
        channels: 0,
        sdp_fmtp_line: String::new(),
        rtcp_feedback: Vec::new(),
    }
}

/// What sound is taken and sent in, as Chromium offers it: RED after Opus, so that nobody sends it unasked.
pub(super) fn audio_codecs(sound: SoundOffer) -> Vec<RTCRtpCodecParameters> {
    let all = [
        (opus_codec(sound), OPUS),
        (red_codec(), RED),
        (
            tones_codec(tone_names::TONES_OF_OPUS, 48_000),
            TONES_OF_OPUS,
        ),
        (tones_codec(tone_names::TONES, 8_000), TONES),
    ];
    let parameters = |(rtp_codec, payload_type)| RTCRtpCodecParameters {
        rtp_codec,
        payload_type,
    };
    let count = if sound.opus_alone { 1 } else { all.len() };
    all.into_iter().take(count).map(parameters).collect()
}

/// Repair packets (RFC 5109) in RED (RFC 2198), as Chromium names them. What repairs is not repaired itself: retransmissions are
/// of what was in it.
fn repair_codecs() -> [RTCRtpCodecParameters; 3] {
    const RED: u8 = 114;
    let codec = |name: &str, parameters: String, payload_type| RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: format!("video/{name}"),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: parameters,
            rtcp_feedback: Vec::new(),
        },
        payload_type,
    };
    [
        codec("red", String::new(), RED),
        codec("rtx", format!("apt={RED}"), 115),
        codec("ulpfec", String::new(), 116),
    ]
}

fn register_codecs(
    media: &mut MediaEngine,
    preferred: &[VideoCodec],
    sound: SoundOffer,
) -> Result<()> {
    for codec in audio_codecs(sound) {
        media.register_codec(codec, RtpCodecKind::Audio)?;
    }
    for codec in preferred {
        let payload_types: &[(u8, bool)] = match codec {
            VideoCodec::Vp8 => &[(96, false)],
            VideoCodec::Vp9 => &[(98, false)],
            VideoCodec::Av1 => &[(100, false)],
            VideoCodec::H264 => &[(102, false), (104, true)],
        };
        for (payload_type, single_nal) in payload_types {
            let rtx = RTCRtpCodec {
                mime_type: "video/rtx".to_owned(),
                clock_rate: 90_000,
                channels: 0,
                sdp_fmtp_line: format!("apt={payload_type}"),
                rtcp_feedback: Vec::new(),
            };
            for (rtp_codec, payload_type) in [
                (video_codec(*codec, *single_nal), *payload_type),
                (rtx, payload_type + 1),
            ] {
                media.register_codec(
                    RTCRtpCodecParameters {
                        rtp_codec,
                        payload_type,
                    },
                    RtpCodecKind::Video,
                )?;
            }
        }
    }
    Ok(())
}
