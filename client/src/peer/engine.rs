//! The engine's connection and what it calls back with.

use std::sync::Arc;

use rtc::mdns::MulticastSocket;
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionEventHandler, RTCIceGatheringState, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState,
};

use super::PeerError;
use super::config::PeerConfig;
use super::event::ConnectionState;
use super::rtcp::Feedback;
use super::setup;
use crate::net::shared::{Member, SharedUdp};
use crate::net::turn::{StandIns, is_by_udp};
use crate::net::{EngineRuntime, Hurry};
use rtc_protocol::Candidate;

/// Callbacks of the engine that wait for the actor. They must not wait themselves,
/// so what is more is dropped and logged.
const CALLBACKS: usize = 256;

/// Troubles of its sockets that wait; more are left out.
const TROUBLES: usize = 16;

/// What the engine calls back with.
pub(super) enum Callback {
    Candidate(Candidate),
    EndOfCandidates,
    Channel(Arc<dyn DataChannel>),
    Track(Arc<dyn TrackRemote>),
}

/// One connection of the engine. It must be closed: dropping it leaks a task and sockets.
pub(super) struct Engine {
    pub(super) connection: Arc<dyn PeerConnection>,
    pub(super) callbacks: mpsc::Receiver<Callback>,
    pub(super) state: watch::Receiver<ConnectionState>,
    pub(super) key_frames: watch::Receiver<u64>,
    pub(super) bitrate: watch::Receiver<u32>,
    /// What our encoders may use of the path.
    pub(super) shares: watch::Receiver<Option<rtc_congestion::Shares>>,
    pub(super) feedback: Feedback,
    pub(super) hurry: Hurry,
    /// Names of hidden addresses are resolved.
    mdns: bool,
    pub(super) stand_ins: Arc<StandIns>,
    /// What it has of a shared port.
    pub(super) shared: Option<Arc<Member>>,
    /// What people should know of its sockets.
    pub(super) troubles: mpsc::Receiver<String>,
}

impl Engine {
    pub(super) async fn open(config: &PeerConfig) -> Result<Self, PeerError> {
        let (callbacks_in, callbacks) = mpsc::channel(CALLBACKS);
        let (state_in, state) = watch::channel(ConnectionState::New);
        let handler = Arc::new(Handler {
            callbacks: callbacks_in,
            state: state_in,
        });
        let feedback = Feedback::default();
        let hurry = Hurry::default();
        let (ice_servers, stand_ins) = setup::ice_servers(config);
        let stand_ins = Arc::new(stand_ins);
        let (troubles_in, troubles) = mpsc::channel(TROUBLES);
        let shared = config.udp_port.as_ref().map(SharedUdp::join).map(Arc::new);
        let urls = || config.ice_servers.iter().flat_map(|server| &server.urls);
        let turn_by_udp = urls().any(|url| is_by_udp(url));
        let ground = || {
            let runtime = EngineRuntime {
                hurry: hurry.clone(),
                impairment: config.impairment.clone(),
                stand_ins: Arc::clone(&stand_ins),
                shared: shared.clone(),
                turn_by_udp,
                troubles: troubles_in.clone(),
            };
            (runtime, ice_servers.clone())
        };
        let opened = setup::open(config, handler.clone(), &feedback, ground(), config.mdns).await;
        let (connection, mdns) = match opened {
            Ok(connection) => (connection, config.mdns),
            // A machine without multicast has no mDNS; calls work without.
            Err(error) if config.mdns => {
                tracing::debug!("no mDNS: {error}");
                let opened = setup::open(config, handler, &feedback, ground(), false).await;
                (
                    opened.map_err(|error| PeerError::Open(error.to_string()))?,
                    false,
                )
            }
            Err(error) => return Err(PeerError::Open(error.to_string())),
        };
        Ok(Self {
            connection,
            callbacks,
            state,
            key_frames: feedback.key_frames.subscribe(),
            bitrate: feedback.bitrate.subscribe(),
            shares: feedback.shares.subscribe(),
            feedback,
            hurry,
            mdns,
            stand_ins,
            shared,
            troubles,
        })
    }

    /// Whether an ICE restart can open its sockets now. One of mDNS that cannot be had, where there was one before, would be
    /// the end of the engine.
    pub(super) fn can_restart(&self) -> bool {
        !self.mdns || MulticastSocket::new().into_std().is_ok()
    }

    pub(super) async fn close(&self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!("closing a peer connection: {error}");
        }
    }
}

/// Forwards callbacks: they run on the engine's own task and must return at once.
struct Handler {
    callbacks: mpsc::Sender<Callback>,
    state: watch::Sender<ConnectionState>,
}

impl Handler {
    fn forward(&self, callback: Callback) {
        if self.callbacks.try_send(callback).is_err() {
            tracing::warn!("a callback of the engine was dropped: {CALLBACKS} wait already");
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(init) = event.candidate.to_json() {
            self.forward(Callback::Candidate(Candidate {
                candidate: init.candidate,
                sdp_mid: init.sdp_mid,
                sdp_m_line_index: init.sdp_mline_index,
                username_fragment: init.username_fragment,
            }));
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.forward(Callback::EndOfCandidates);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let state = match state {
            RTCPeerConnectionState::Connecting => ConnectionState::Connecting,
            RTCPeerConnectionState::Connected => ConnectionState::Connected,
            RTCPeerConnectionState::Disconnected => ConnectionState::Disconnected,
            RTCPeerConnectionState::Failed => ConnectionState::Failed,
            RTCPeerConnectionState::Closed => ConnectionState::Closed,
            _ => return,
        };
        self.state.send_replace(state);
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        self.forward(Callback::Channel(channel));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.forward(Callback::Track(track));
    }
}
