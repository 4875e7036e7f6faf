//! Data channels beside chat: given to a program inside this one (`pipe`, `send`, `receive`), to one outside (`--control`), or heard
//! by nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Call;
use crate::event::{Event, PeerRef};
use crate::peer::{Channel, ChannelInit, ChannelMessage, ChannelSender, Peer};

/// Messages wait in their channel, and then at the far side, while fewer events than these find room: other news are not to be lost
/// for them.
const ROOM: usize = 512;

/// How soon it is looked again whether there is.
const AGAIN: Duration = Duration::from_millis(5);

/// The channels of a call.
#[derive(Default)]
pub(super) struct Channels {
    opened: u64,
    open: BTreeMap<u64, Open>,
    /// What hears them; each gives the number of a channel that closed.
    tasks: JoinSet<u64>,
}

struct Open {
    peer: PeerRef,
    label: String,
    sender: ChannelSender,
}

impl Call {
    /// A channel is open.
    pub(super) async fn channel(&mut self, id: &str, channel: Channel) {
        let Some(far) = self.far.get(id) else { return };
        let peer = far.who.clone();
        if let Some(data) = &self.options.data {
            let wanted = channel.label == data.channel.label;
            // The call waits for nobody: a far side that opens more than are taken is not heard on them.
            if wanted && data.opened.try_send((peer, channel)).is_err() {
                tracing::debug!("nobody takes channels any more, or too many are open");
            }
            return;
        }
        self.channels.opened += 1;
        let number = self.channels.opened;
        if !self.options.control {
            // Nobody here understands it; it stays open, as its page expects.
            self.channels.tasks.spawn(async move {
                let mut channel = channel;
                while channel.next().await.is_some() {}
                number
            });
            return;
        }
        let (label, protocol) = (channel.label.clone(), channel.protocol.clone());
        let (sender, incoming) = channel.split();
        self.tell(Event::ChannelOpened {
            peer: peer.clone(),
            channel: number,
            label: label.clone(),
            protocol,
        });
        let events = self.events.clone();
        let from = peer.clone();
        self.channels.tasks.spawn(async move {
            hear(incoming, events, from, number).await;
            number
        });
        let open = Open {
            peer,
            label,
            sender,
        };
        self.channels.open.insert(number, open);
    }

    /// One that closed, once there is one.
    pub(super) async fn closed_channel(channels: &mut Channels) -> Option<u64> {
        channels.tasks.join_next().await?.ok()
    }

    pub(super) fn channel_closed(&mut self, number: u64) {
        if let Some(open) = self.channels.open.remove(&number) {
            self.tell(Event::ChannelClosed {
                peer: open.peer,
                channel: number,
                label: open.label,
            });
        }
    }

    /// Opens one to everybody who is connected, or to one of them.
    pub(super) async fn open_channel(
        &mut self,
        init: ChannelInit,
        to: Option<&str>,
    ) -> Result<Value, String> {
        if init.max_retransmits.is_some() && init.max_packet_life_time.is_some() {
            return Err("give maxRetransmits or maxPacketLifeTime, not both".to_owned());
        }
        if init.label == crate::peer::CHAT_LABEL {
            return Err(format!(
                "{:?} is the label of the channel that chat goes by; use another",
                init.label
            ));
        }
        let linked = self.far.values().filter_map(|far| {
            let link = far.link.as_ref().filter(|link| link.connected())?;
            let named = to.is_none_or(|to| to == far.who.id || to == far.who.name);
            named.then(|| Arc::clone(&link.peer))
        });
        let peers: Vec<Arc<Peer>> = linked.collect();
        if peers.is_empty() {
            return Err("nobody of that name or id is connected yet".to_owned());
        }
        let count = peers.len();
        for peer in peers {
            let opened = peer.open_channel(init.clone()).await;
            opened.map_err(|error| error.to_string())?;
        }
        Ok(json!({ "peers": count }))
    }

    /// Sends a message: text, or bytes in base64.
    pub(super) async fn send_on_channel(
        &mut self,
        number: u64,
        text: Option<String>,
        data: Option<&str>,
    ) -> Result<Value, String> {
        let open = self.open_of(number)?;
        let message = match (text, data) {
            (Some(text), None) => ChannelMessage {
                text: true,
                data: text.into(),
            },
            (None, Some(data)) => ChannelMessage {
                text: false,
                data: BASE64_STANDARD
                    .decode(data)
                    .map_err(|error| format!("data is no base64: {error}"))?
                    .into(),
            },
            _ => return Err("give text, or data in base64, and not both".to_owned()),
        };
        let sent = open.sender.try_send(message);
        sent.map_err(|error| error.to_string())?;
        Ok(json!({ "bufferedAmount": open.sender.buffered().await }))
    }

    pub(super) async fn list_channels(&mut self) -> Value {
        let mut list = Vec::new();
        for (number, open) in &self.channels.open {
            list.push(json!({
                "channel": number,
                "label": open.label,
                "peer": open.peer,
                "bufferedAmount": open.sender.buffered().await,
            }));
        }
        Value::Array(list)
    }

    pub(super) fn close_channel(&mut self, number: u64) -> Result<Value, String> {
        self.open_of(number)?;
        self.channel_closed(number);
        Ok(Value::Null)
    }

    fn open_of(&self, number: u64) -> Result<&Open, String> {
        let open = self.channels.open.get(&number);
        open.ok_or_else(|| {
            format!("there is no open channel {number}; channel-opened tells which there are")
        })
    }
}

/// Tells each message of a channel.
async fn hear(
    mut incoming: mpsc::Receiver<ChannelMessage>,
    events: mpsc::Sender<Event>,
    peer: PeerRef,
    channel: u64,
) {
    while let Some(message) = incoming.recv().await {
        let (text, data) = match message.text {
            true => (
                Some(String::from_utf8_lossy(&message.data).into_owned()),
                None,
            ),
            false => (None, Some(BASE64_STANDARD.encode(&message.data))),
        };
        while events.capacity() < ROOM && !events.is_closed() {
            tokio::time::sleep(AGAIN).await;
        }
        let told = Event::ChannelMessage {
            peer: peer.clone(),
            channel,
            text,
            data,
        };
        if events.send(told).await.is_err() {
            return;
        }
    }
}
