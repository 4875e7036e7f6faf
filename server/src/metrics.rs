//! What the server counts, and how Prometheus reads it.
//!
//! Every counter is documented where it is made: its comment is its HELP text. Things that come and go are counted as
//! pairs (`opened` and `closed`), so what is there now is a subtraction, and nothing is lost between two looks. Labels are
//! enums, or regions named at the start: no name, address or room of a peer ever becomes one. Counting is one relaxed atomic addition.

mod account;
mod kind;
mod label;
mod process;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use rtc_protocol::{Dialect, ErrorCode, LeaveReason};

use crate::cluster::regions::Regions;

pub(crate) use account::Account;
pub(crate) use kind::{By, By2, ByRegion, Highest, Level};
pub(crate) use label::{Begun, CallEnd, CloseReason, Label, Limit, Refused};

/// What the answer to a scrape is called (OpenMetrics 1.0, section "ABNF"; Prometheus reads it since 2.5).
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A dialect as a label; none is `rtc.v1` itself.
pub(crate) type Spoken = Option<Dialect>;

/// Makes the struct and registers each field under its own name with its own comment.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ty),* $(,)?) => {
        /// See the module.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[doc = $help])+ pub(crate) $name: $kind,)*
        }

        impl Counters {
            fn register(&self, registry: &mut Registry) {
                $(registry.register(
                    stringify!($name),
                    concat!($($help),+).trim().trim_end_matches('.'),
                    self.$name.clone(),
                );)*
            }
        }
    };
}

counters! {
    /// Connections whose peer was greeted, whatever they came by; those there now are opened - closed.
    connections_opened: By<Spoken>,
    /// Greeted connections that ended, and why.
    connections_closed: By2<Spoken, CloseReason>,
    /// Connections that ended before their peer was greeted, and why.
    connections_refused: By<Refused>,
    /// What peers said that the room core was given; heartbeats and what could not be understood are not among it.
    messages_received: By<Spoken>,
    /// What the room core said to peers and their connection took; heartbeats are not among it.
    messages_sent: By<Spoken>,
    /// Bytes of text or data that peers sent, before any transport's framing.
    bytes_received: By<Spoken>,
    /// Bytes of what the room core said to peers, as rtc.v1 has it, before translation and framing.
    bytes_sent: By<Spoken>,
    /// Requests that were refused, by the code of the answer.
    requests_refused: By<ErrorCode>,
    /// How often each limit was hit.
    limits_hit: By<Limit>,
    /// Peers whose connection was ended because they did not read what was sent to them.
    slow_readers: Counter,
    /// Sessions begun, or come from another server (`moved`); those there now are begun - ended, connected or within their resume window.
    sessions_begun: By<Begun>,
    /// Sessions that a new connection took up where the old one ended.
    sessions_resumed: Counter,
    /// Sessions that ended, and why.
    sessions_ended: By<LeaveReason>,
    /// Rooms that somebody entered first; those there now are opened - closed.
    rooms_opened: Counter,
    /// Rooms that the last member left.
    rooms_closed: Counter,
    /// Members that entered a room; those inside now are joins - leaves.
    room_joins: Counter,
    /// Members that went out of a room, and why.
    room_leaves: By<LeaveReason>,
    /// Calls that rang; those ringing or taken now are rung - ended.
    calls_rung: Counter,
    /// Calls that were accepted.
    calls_accepted: Counter,
    /// Calls that ended, and how.
    calls_ended: By<CallEnd>,
    /// Inputs that the room core was given: greetings, messages, endings.
    core_inputs: Counter,
    /// The most bytes that ever waited for one peer.
    peer_queue_highest_bytes: Highest,
    /// 1 while the server drains, else 0.
    draining: Level,
    /// Allocations that the relay made; those there now are opened - ended.
    turn_allocations_opened: Counter,
    /// Allocations that ended: given up by their client, or run out.
    turn_allocations_ended: Counter,
    /// Requests that the relay refused; each client's first one, which asks for a nonce, is among them.
    turn_requests_refused: Counter,
    /// Bytes relayed from clients to peers.
    turn_bytes_to_peers: Counter,
    /// Bytes relayed from peers to clients.
    turn_bytes_from_peers: Counter,
    /// Datagrams not relayed: there was no permission, or no rate left.
    turn_dropped: Counter,
    /// In a cluster: nodes of the own region that live, this one among them, when its broker was last asked.
    cluster_nodes: Level,
    /// In a cluster: 1 while the own region's broker answers, else 0.
    cluster_broker_reached: Level,
    /// Questions that the broker did not answer.
    cluster_questions_failed: Counter,
    /// Words that this node said to others; each is counted once, however often it was sent.
    cluster_words_sent: Counter,
    /// Words of other nodes that came here, each once.
    cluster_words_received: Counter,
    /// Words that other nodes had not taken when this was last looked at.
    cluster_words_waiting: Level,
    /// In a cluster: addresses and credentials that this node told the others of, as they hold much here.
    cluster_holders_told: Level,
    /// In a cluster: the same, of which others told this node.
    cluster_holders_heard: Level,
    /// Refusals for what an address holds at other nodes, which has not its fill here.
    cluster_limits_hit: Counter,
    /// In a cluster of regions: nodes of each that live, when its broker was last asked.
    cluster_region_nodes: ByRegion,
    /// In a cluster of regions: 1 while that one's broker answers, else 0.
    cluster_region_reached: ByRegion,
    /// In a cluster of regions: words that nodes of that one had not taken when this was last looked at.
    cluster_region_words_waiting: ByRegion,
}

/// The server's counters; cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

struct Inner {
    counters: Counters,
    registry: Registry,
}

impl Metrics {
    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// From now on there is a row for each of these.
    pub(crate) fn name_regions(&self, regions: &Regions) {
        let names: Vec<&str> = regions.named().map(|(_, name)| name.as_str()).collect();
        for level in [
            &self.cluster_region_nodes,
            &self.cluster_region_reached,
            &self.cluster_region_words_waiting,
        ] {
            level.name(&names);
        }
    }

    /// Counts a refused request, and the limit behind it where there is one.
    pub(crate) fn refused(&self, code: ErrorCode) {
        self.requests_refused.inc(code);
        let limit = match code {
            ErrorCode::TooLarge => Limit::MessageBytes,
            ErrorCode::RateLimited => Limit::Rate,
            ErrorCode::TooManyRooms => Limit::RoomsPerPeer,
            ErrorCode::RoomFull => Limit::RoomCapacity,
            ErrorCode::Busy => Limit::Calls,
            _ => return,
        };
        self.limits_hit.inc(limit);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        let own = registry.sub_registry_with_prefix("rtc");
        let counters = Counters::default();
        counters.register(own);
        own.register(
            "build",
            "Which program this is",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        own.register_with_unit(
            "start_time",
            "When the server was made, since the Unix epoch",
            Unit::Seconds,
            Level::at(
                SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
            ),
        );
        Self(Arc::new(Inner { counters, registry }))
    }
}

impl Deref for Metrics {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0.counters
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.counters).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_counter_is_there_from_the_start_with_its_help() {
        let text = Metrics::default().text().unwrap();
        assert!(text.ends_with("# EOF\n"));
        assert!(text.contains("# TYPE rtc_connections_opened counter\n"));
        assert!(text.contains("rtc_connections_opened_total{dialect=\"rtc.v1\"} 0\n"));
        assert!(text.contains("rtc_connections_opened_total{dialect=\"codelab\"} 0\n"));
        assert!(text.contains("rtc_requests_refused_total{code=\"room-full\"} 0\n"));
        let build = concat!(
            "rtc_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        );
        assert!(text.contains(build), "{text}");
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            let help = format!("# HELP {name} ");
            assert!(text.contains(&help), "{name} has no help");
        }
    }

    #[test]
    fn the_table_of_the_documentation_says_what_the_code_says() {
        let metrics = Metrics::default();
        let region = "a".parse().unwrap();
        metrics.name_regions(&Regions::new(&region, [region.clone()]).unwrap());
        let text = metrics.text().unwrap();
        let mut table = String::from("| metric | labels | meaning |\n| --- | --- | --- |\n");
        for line in text.lines().filter(|line| line.starts_with("# HELP rtc_")) {
            let mut words = line.splitn(4, ' ').skip(2);
            let (name, help) = (words.next().unwrap(), words.next().unwrap());
            let sample = text.lines().find(|line| {
                let rest = line
                    .strip_prefix(name)
                    .map(|rest| rest.trim_start_matches("_total"));
                rest.is_some_and(|rest| rest.starts_with('{'))
            });
            let labels = sample.and_then(|line| line.split_once('{')?.1.split_once('}'));
            let labels: Vec<String> = labels
                .map(|(labels, _)| labels.split(',').filter_map(|one| one.split_once('=')))
                .into_iter()
                .flatten()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            let help = help.trim_end_matches('.');
            table += &format!("| `{name}` | {} | {help} |\n", labels.join(", "));
        }
        let path = "docs/operations.md";
        let page = crate::published::read(path);
        let (head, rest) = page.split_once("<!-- metrics -->\n").unwrap();
        let (_, tail) = rest.split_once("<!-- /metrics -->").unwrap();
        let page = format!("{head}<!-- metrics -->\n{table}<!-- /metrics -->{tail}");
        crate::published::same_as_the_file(path, &page);
    }

    #[test]
    fn a_label_has_each_of_its_values_once() {
        fn check<L: Label + PartialEq + std::fmt::Debug>() {
            let mut seen = std::collections::BTreeSet::new();
            for (at, value) in L::ALL.iter().enumerate() {
                assert_eq!(value.index(), at, "{value:?}");
                assert!(seen.insert(value.text()), "{value:?}");
            }
        }
        check::<Spoken>();
        check::<CloseReason>();
        check::<Refused>();
        check::<ErrorCode>();
        check::<Limit>();
        check::<Begun>();
        check::<LeaveReason>();
        check::<CallEnd>();
    }

    #[test]
    fn counting_shows_in_the_text() {
        let metrics = Metrics::default();
        metrics.refused(ErrorCode::RoomFull);
        metrics.refused(ErrorCode::NotJoined);
        metrics
            .connections_closed
            .inc(Some(Dialect::Login), CloseReason::Lost);
        metrics.peer_queue_highest_bytes.seen(7);
        metrics.peer_queue_highest_bytes.seen(3);
        metrics.bytes_sent.add(None, 40);
        let text = metrics.text().unwrap();
        for line in [
            "rtc_requests_refused_total{code=\"room-full\"} 1",
            "rtc_requests_refused_total{code=\"not-joined\"} 1",
            "rtc_limits_hit_total{limit=\"room-capacity\"} 1",
            "rtc_connections_closed_total{dialect=\"login\",reason=\"lost\"} 1",
            "rtc_peer_queue_highest_bytes 7",
            "rtc_bytes_sent_total{dialect=\"rtc.v1\"} 40",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_tells_its_memory_and_files() {
        let text = Metrics::default().text().unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes ") > 100_000.0);
        assert!(value("process_open_fds ") >= 3.0);
    }
}
