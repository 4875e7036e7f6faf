//! The broker on Redis or Valkey, from 7.0 on: one server, a Redis Cluster, or whatever Sentinels watch.
//!
//! The ledger is a library of Functions (`seats.lua`), loaded by whoever finds it missing; each node's inbox is a stream of
//! bounded length. Asking and reading have a connection each, as waiting for an inbox would keep others waiting. A connection
//! that fails is thrown away, and the next who needs one makes it.

mod fullness;
mod tls;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::sentinel::{
    SentinelClient, SentinelClientBuilder, SentinelNodeConnectionInfo, SentinelServerType,
};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, RedisError,
    TlsCertificates, TlsMode, Value, cmd,
};
use futures_util::future::{BoxFuture, try_join_all};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::backplane::{Away, Backplane};
use super::seats::{Answer, Request};
use super::words::NodeId;
use crate::tls::provider;
use fullness::Fullness;
pub use tls::BrokerTls;
use url::Kind;
pub use url::{BrokerUrl, BrokerUrlError};

/// The rules, as Redis runs them.
const LIBRARY: &str = include_str!("seats.lua");

/// What all keys, and the library's functions, begin with. A broker keeps the library that it has, so its number counts up
/// with any change of it.
const NUMBERED: &str = "rtc_5";

/// Gives what is new; refused by a broker that has no memory left.
const GIVE: &str = "rtc_5_give";

/// Everything else that is asked.
const KEEP: &str = "rtc_5_keep";

/// Brings parcels.
const BRING: &str = "rtc_5_bring";

/// What the library of that number is.
#[cfg(test)]
const LIBRARY_SHA256: &str = "2f9da796ec6b16d5459b7332824e1fd27e4f94a242ec48788081498b92d9d390";

/// For a connection to be there, or an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two attempts to connect.
const REST: Duration = Duration::from_millis(200);

/// How long a look into an empty inbox waits.
const LOOK: Duration = Duration::from_secs(1);

/// Entries of an inbox; what is over it is lost there and sent again.
const INBOX: usize = 10_000;

/// Bytes of entries that were read, until the broker may forget them.
const KEPT: usize = 4 << 20;

/// Entries read at once.
const BATCH: usize = 128;

/// How long an inbox is kept that nobody reads.
const UNREAD_MS: usize = 120_000;

/// Signs that would end the part of a key by which Redis Cluster chooses a place.
const BRACES: &AsciiSet = &CONTROLS.add(b'{').add(b'}').add(b'%');

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn run(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = match self {
            Self::One(one) => one.req_packed_command(command).await,
            Self::Cluster(cluster) => cluster.req_packed_command(command).await,
        };
        answer?.extract_error()
    }
}

/// How connections are made.
enum Way {
    One(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinels(Box<SentinelClient>),
}

/// One node's way to the broker.
pub(crate) struct Redis {
    me: NodeId,
    urls: Vec<BrokerUrl>,
    tls: BrokerTls,
    /// Whether a connection has ever come about.
    reached: AtomicBool,
    asks: Mutex<Asks>,
    reads: Mutex<Reader>,
    fullness: std::sync::Mutex<Fullness>,
}

#[derive(Default)]
struct Asks {
    connection: Option<Connection>,
    /// When none came about last, and why.
    failed: Option<(Instant, Away)>,
}

#[derive(Default)]
struct Reader {
    connection: Option<Connection>,
    /// The last entry that was read.
    last: Option<String>,
    /// Entries since the inbox was last cut.
    read: usize,
    /// Bytes of them.
    bytes: usize,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Nothing is connected before it is needed.
    pub(crate) fn new(me: NodeId, urls: Vec<BrokerUrl>) -> Self {
        Self {
            me,
            urls,
            tls: BrokerTls::default(),
            reached: AtomicBool::new(false),
            asks: Mutex::default(),
            reads: Mutex::default(),
            fullness: std::sync::Mutex::default(),
        }
    }

    /// Goes by these files where its addresses are over TLS.
    pub(crate) fn by(self, tls: BrokerTls) -> Self {
        Self { tls, ..self }
    }

    fn is_tls(&self) -> bool {
        self.urls.first().is_some_and(BrokerUrl::is_tls)
    }

    /// Made anew for each connection, so that certificates are those that there are now.
    async fn way(&self) -> Result<Way, Away> {
        if !self.is_tls() {
            return way(&self.urls, None);
        }
        // The client library takes the process's; somebody may have set it before, which is as well.
        let _ = provider().install_default();
        let tls = self.tls.clone();
        match spawn_blocking(move || tls.read()).await {
            Ok(Ok(certificates)) => way(&self.urls, Some(certificates)),
            Ok(Err(error)) => Err(Away(error.to_string())),
            Err(error) => Err(Away(error.to_string())),
        }
    }

    async fn connect(&self) -> Result<Connection, Away> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let way = self.way().await?;
        let connect = async {
            Ok(match way {
                Way::One(client) => {
                    let one = client.get_multiplexed_async_connection_with_config(&config);
                    Connection::One(one.await?)
                }
                Way::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
                Way::Sentinels(mut client) => {
                    let one = client.get_async_connection_with_config(&config);
                    Connection::One(one.await?)
                }
            })
        };
        match timeout(PATIENCE * 2, connect).await {
            Ok(Ok(connection)) => {
                self.reached.store(true, Ordering::Relaxed);
                Ok(connection)
            }
            Ok(Err(error)) => Err(self.unreached(error)),
            Err(_) => Err(Away("no connection came about in time".into())),
        }
    }

    /// Why no connection came about, and what to do.
    fn unreached(&self, error: RedisError) -> Away {
        let Away(text) = away(error);
        // What was reached before speaks what it is spoken to in, and hangs or is gone.
        let known = self.reached.load(Ordering::Relaxed);
        let on_scheme = || tls::advice_on_scheme(&text, self.is_tls()).filter(|_| !known);
        match tls::advice(&text).or_else(on_scheme) {
            Some(advice) => Away(format!("{text}; {advice}")),
            None => Away(text),
        }
    }

    /// The connection for asking, made when there is none.
    async fn connection(&self) -> Result<Connection, Away> {
        let mut held = self.asks.lock().await;
        if let Some(connection) = &held.connection {
            return Ok(connection.clone());
        }
        // Whoever waited for this attempt need not make one more each.
        if let Some((at, why)) = &held.failed
            && at.elapsed() < REST
        {
            return Err(why.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                *held = Asks {
                    connection: Some(connection.clone()),
                    failed: None,
                };
                Ok(connection)
            }
            Err(error) => {
                held.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// What is asked next makes a new connection.
    async fn disconnect(&self) {
        self.asks.lock().await.connection = None;
    }

    async fn run(&self, command: &Cmd) -> Result<Value, Away> {
        let mut connection = self.connection().await?;
        let mut answer = connection.run(command).await;
        if answer.as_ref().is_err_and(is_missing) {
            load(&mut connection).await?;
            answer = connection.run(command).await;
        }
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                if is_over(&error) {
                    self.disconnect().await;
                }
                Err(away(error))
            }
        }
    }

    async fn call(&self, request: Request) -> Result<Answer, Away> {
        let json = serde_json::to_string(&request).map_err(|error| Away(error.to_string()))?;
        let gives = gives(&request);
        let mut call = cmd("FCALL");
        call.arg(if gives { GIVE } else { KEEP });
        call.arg(1).arg(key(&request)).arg(json);
        let answer = self.run(&call).await;
        match &answer {
            Ok(_) if gives => self.tell_fullness(false),
            Err(Away(why)) if why.contains("OOM") => self.tell_fullness(true),
            _ => {}
        }
        let text = match answer? {
            Value::BulkString(text) => text,
            other => return Err(Away(format!("it answered {other:?}"))),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let text = String::from_utf8_lossy(&text);
            Away(format!("its answer {text} cannot be read: {error}"))
        })
    }

    async fn bring(&self, parcels: Vec<(NodeId, Vec<u8>)>) -> Result<(), Away> {
        let mut calls: BTreeMap<NodeId, Cmd> = BTreeMap::new();
        for (to, parcel) in parcels {
            let call = calls.entry(to).or_insert_with(|| {
                let mut call = cmd("FCALL");
                call.arg(BRING).arg(1).arg(inbox(to));
                call.arg(INBOX).arg(UNREAD_MS);
                call
            });
            call.arg(parcel);
        }
        let brought = try_join_all(calls.values().map(|call| self.run(call)));
        brought.await.map(drop)
    }

    /// Tells the administrator once when the broker has no memory left, and when it has again.
    fn tell_fullness(&self, refused: bool) {
        let fullness = self.fullness.lock();
        let mut fullness = fullness.unwrap_or_else(PoisonError::into_inner);
        match fullness.news(Instant::now(), refused) {
            Some(true) => tracing::warn!(
                "the broker has no memory left, so nobody is let into rooms: give it more (maxmemory), or find what else fills it"
            ),
            Some(false) => tracing::info!("the broker has memory again"),
            None => {}
        }
    }

    async fn look(&self) -> Result<Vec<Vec<u8>>, Away> {
        let mut reader = self.reads.lock().await;
        let found = self.look_with(&mut reader).await;
        if found.is_err() {
            // What comes twice is known by its number; what a new broker has may be numbered lower.
            *reader = Reader::default();
        }
        found
    }

    async fn look_with(&self, reader: &mut Reader) -> Result<Vec<Vec<u8>>, Away> {
        loop {
            let connection = match &mut reader.connection {
                Some(connection) => connection,
                none => none.insert(self.connect().await?),
            };
            let from = reader.last.as_deref().unwrap_or("0");
            if reader.read >= INBOX / 10 || reader.bytes >= KEPT {
                let mut cut = cmd("XTRIM");
                cut.arg(inbox(self.me)).arg("MINID").arg(from);
                connection.run(&cut).await.map_err(away)?;
                (reader.read, reader.bytes) = (0, 0);
            }
            let mut read = cmd("XREAD");
            read.arg("COUNT")
                .arg(BATCH)
                .arg("BLOCK")
                .arg(LOOK.as_millis() as usize);
            read.arg("STREAMS").arg(inbox(self.me)).arg(from);
            let found = entries(connection.run(&read).await.map_err(away)?);
            let Some((last, parcels)) = found else {
                continue;
            };
            reader.read += parcels.len();
            reader.bytes += parcels.iter().map(Vec::len).sum::<usize>();
            reader.last = Some(last);
            return Ok(parcels);
        }
    }
}

/// How to reach what is at these addresses; with certificates where they are over TLS.
fn way(urls: &[BrokerUrl], tls: Option<TlsCertificates>) -> Result<Way, Away> {
    let addresses: Vec<String> = urls.iter().map(BrokerUrl::address).collect();
    let Some(first) = urls.first() else {
        return Err(Away("no address of a broker is given".into()));
    };
    Ok(match (first.kind(), tls) {
        (Kind::Sentinel { master }, tls) => {
            Way::Sentinels(Box::new(sentinels(addresses, master, tls).map_err(away)?))
        }
        (Kind::Server, tls) if urls.len() > 1 => {
            let mut builder = ClusterClient::builder(addresses)
                .connection_timeout(PATIENCE)
                .response_timeout(PATIENCE)
                .retries(2);
            if let Some(tls) = tls {
                builder = builder.certs(tls);
            }
            Way::Cluster(Box::new(builder.build().map_err(away)?))
        }
        (Kind::Server, tls) => {
            let client = match tls {
                Some(tls) => Client::build_with_tls(first.address(), tls),
                None => Client::open(first.address()),
            };
            Way::One(Box::new(client.map_err(away)?))
        }
    })
}

/// The primary's user and password are the Sentinels'; those over TLS have all the first one's.
fn sentinels(
    addresses: Vec<String>,
    master: &str,
    tls: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let infos = addresses
        .into_iter()
        .map(IntoConnectionInfo::into_connection_info);
    let infos: Vec<ConnectionInfo> = infos.collect::<Result<_, _>>()?;
    let login = infos.first().map(|info| info.redis_settings().clone());
    let login = login.unwrap_or_default();
    let Some(tls) = tls else {
        let primary = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
        let kind = SentinelServerType::Master;
        return SentinelClient::build(infos, master, Some(primary), kind);
    };
    let hosts = infos.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(hosts, master, SentinelServerType::Master)?
        .set_client_to_redis_tls_mode(TlsMode::Secure)
        .set_client_to_redis_certificates(tls.clone())
        .set_client_to_sentinel_certificates(tls);
    if let Some(user) = login.username() {
        builder = builder.set_client_to_redis_username(user);
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = login.password() {
        builder = builder.set_client_to_redis_password(password);
        builder = builder.set_client_to_sentinel_password(password);
    }
    builder.build()
}

impl Backplane for Redis {
    fn ask(&self, request: Request) -> BoxFuture<'_, Result<Answer, Away>> {
        Box::pin(self.call(request))
    }

    fn post(&self, parcels: Vec<(NodeId, Vec<u8>)>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(self.bring(parcels))
    }

    fn collect(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Away>> {
        Box::pin(self.look())
    }
}

/// Loads the rules; somebody else may have done so in the meantime.
async fn load(connection: &mut Connection) -> Result<(), Away> {
    let mut load = cmd("FUNCTION");
    load.arg("LOAD").arg(LIBRARY);
    match connection.run(&load).await {
        Err(error) if error.to_string().contains("already exists") => Ok(()),
        Err(error) => Err(away(error)),
        Ok(_) => Ok(()),
    }
}

/// Whether something new is asked for, which a broker without memory refuses: seats, names, and where a peer is. Who is not
/// noted there is looked for at all nodes.
const fn gives(request: &Request) -> bool {
    matches!(
        request,
        Request::Claim(_) | Request::Name { fresh: true, .. } | Request::Here { .. }
    )
}

/// Everything about one room, peer or name is at one place of a Redis Cluster, and different ones at different places.
fn key(request: &Request) -> String {
    let of = |kind: &str, text: &str| {
        let text = utf8_percent_encode(text, BRACES);
        format!("{NUMBERED}:{kind}:{{{text}}}")
    };
    match request {
        Request::Claim(claim) => of("room", claim.room.as_str()),
        Request::Sync(sync) => of("room", sync.room.as_str()),
        Request::Release { room, .. } | Request::PutOut { room, .. } => of("room", room.as_str()),
        Request::Beat { .. } => format!("{NUMBERED}:nodes"),
        Request::Turn { peer, .. }
        | Request::Here { peer, .. }
        | Request::Gone { peer, .. }
        | Request::Where { peer } => of("peer", peer.as_str()),
        Request::Name { name, .. } | Request::Unname { name, .. } | Request::Whose { name } => {
            of("name", name.as_str())
        }
    }
}

fn inbox(node: NodeId) -> String {
    format!("{NUMBERED}:inbox:{{{node}}}")
}

/// The last entry's number, and what is in all of them; none where there is none.
fn entries(value: Value) -> Option<(String, Vec<Vec<u8>>)> {
    let Value::Array(streams) = value else {
        return None;
    };
    let Some(Value::Array(mut stream)) = streams.into_iter().next() else {
        return None;
    };
    let Some(Value::Array(entries)) = stream.pop() else {
        return None;
    };
    let (mut last, mut parcels) = (None, Vec::with_capacity(entries.len()));
    for entry in entries {
        let Value::Array(mut entry) = entry else {
            continue;
        };
        if let (Some(Value::Array(mut fields)), Some(Value::BulkString(id))) =
            (entry.pop(), entry.pop())
        {
            last = String::from_utf8(id).ok();
            if let Some(Value::BulkString(parcel)) = fields.pop() {
                parcels.push(parcel);
            }
        }
    }
    last.map(|last| (last, parcels))
}

fn is_missing(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

/// Whether a connection is of no use any more: broken, hanging, or to somebody who is no primary now.
fn is_over(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN"))
}

fn away(error: RedisError) -> Away {
    Away(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_way_over_tls_is_to_one_server_a_redis_cluster_or_sentinels() {
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: None,
        };
        let to = |addresses: &[&str]| {
            let urls = addresses.iter().map(|text| text.parse().unwrap());
            way(&urls.collect::<Vec<_>>(), Some(certificates.clone()))
        };
        let Ok(Way::One(client)) = to(&["rediss://ann:pw@h"]) else {
            unreachable!("one server");
        };
        let address = client.get_connection_info().addr();
        assert!(
            matches!(
                address,
                ::redis::ConnectionAddr::TcpTls {
                    insecure: false,
                    tls_params: Some(_),
                    ..
                }
            ),
            "{address:?}"
        );
        assert!(matches!(
            to(&["rediss://:pw@h", "rediss://:pw@g"]),
            Ok(Way::Cluster(_))
        ));
        // That the primaries are, too, is shown by a real one: `tests/cluster/tls.rs`.
        assert!(matches!(
            to(&["sentinels://ann:pw@h/main", "sentinels://g/main"]),
            Ok(Way::Sentinels(_))
        ));
        // Where nothing else is said, all is as it is without TLS.
        let plain = |text: &str| way(&[text.parse().unwrap()], None);
        assert!(matches!(plain("redis://h"), Ok(Way::One(_))));
        assert!(matches!(plain("sentinel://h/main"), Ok(Way::Sentinels(_))));
    }

    #[test]
    fn a_full_broker_keeps_what_it_has_and_takes_nothing_new() {
        let peer = rtc_protocol::Token::from_random([1; 32]).peer_id();
        let (node, turn) = (NodeId::new(1), 1);
        assert!(gives(&Request::Here { peer, node, turn }));
        // Who comes back has to get its session, and who goes makes place.
        assert!(!gives(&Request::Turn { peer, node }));
        assert!(!gives(&Request::Gone { peer, node }));
    }

    #[test]
    fn the_librarys_number_counts_up_with_any_change_of_it() {
        let first = format!("#!lua name={NUMBERED}\n");
        assert!(LIBRARY.starts_with(&first));
        for function in [GIVE, KEEP, BRING] {
            assert!(function.starts_with(NUMBERED));
            assert!(LIBRARY.contains(&format!("'{function}'")), "{function}");
        }
        let hash = format!("{:x}", Sha256::digest(LIBRARY));
        assert_eq!(
            hash, LIBRARY_SHA256,
            "seats.lua is not {NUMBERED} any more: count up the number in all places, and write down this hash"
        );
    }
}
