#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::LazyLock;

use proptest::prelude::*;
use stun_types::attribute::{Nonce, Realm, UnknownAttributes, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, MessageIntegrityCredentials,
    MessageWriteVec, Method,
};
use stun_types::prelude::*;
use turn_types::AddressFamily;
use turn_types::attribute::{
    ChannelNumber, Data, DontFragment, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport, ReservationToken, XorPeerAddress, XorRelayedAddress,
};

use super::super::{Keys, Peers};
use super::*;

const REALM: &str = "example.org";
const RELAYED: &str = "198.51.100.1:50000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One client of a relay, on a clock of its own.
struct Stage {
    rules: Rules,
    now: Now,
    path: Path,
    user: &'static str,
    password: &'static str,
    nonce: String,
}

type Attributes<'a> = &'a [&'a dyn AttributeWrite];

impl Stage {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut TurnConfig)) -> Self {
        let users = ["ann:secret", "bob:other"].map(|user| user.parse().unwrap());
        let mut config = TurnConfig {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            realm: REALM.into(),
            keys: Keys::new(None, users.into()),
            credential_lifetime: LONGEST,
            relay: vec!["198.51.100.1".parse().unwrap()],
            external: Vec::new(),
            ports: 49_152..=65_535,
            peers: Peers::default(),
            per_user: 2,
            allocations: 3,
            rate: None,
            host: None,
        };
        change(&mut config);
        let mut stage = Self {
            rules: Rules::new(config, Nonces::new().unwrap()),
            now: Now {
                instant: Instant::now(),
                unix: Duration::from_secs(1_700_000_000),
            },
            path: Path {
                carrier: Carrier::Udp,
                server: address("198.51.100.1:3478"),
                client: address("203.0.113.7:40000"),
            },
            user: "ann",
            password: "secret",
            nonce: String::new(),
        };
        stage.nonce = stage.fresh_nonce();
        stage
    }

    fn fresh_nonce(&mut self) -> String {
        let asked = Message::builder_request(ALLOCATE, MessageWriteVec::new()).finish();
        let answer = self.answer(&asked);
        let answer = Message::from_bytes(&answer).unwrap();
        assert_eq!(code(&answer), 401);
        assert_eq!(answer.attribute::<Realm>().unwrap().realm(), REALM);
        answer.attribute::<Nonce>().unwrap().nonce().to_owned()
    }

    fn pass(&mut self, time: Duration) -> Vec<Ended> {
        self.now.instant += time;
        self.now.unix += time;
        self.rules.tick(self.now)
    }

    fn request(&self, method: Method, attributes: Attributes<'_>) -> Vec<u8> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        for attribute in attributes {
            message.add_attribute(*attribute).unwrap();
        }
        message
            .add_attribute(&Username::new(self.user).unwrap())
            .unwrap();
        message.add_attribute(&Realm::new(REALM).unwrap()).unwrap();
        message
            .add_attribute(&Nonce::new(&self.nonce).unwrap())
            .unwrap();
        message
            .add_message_integrity(&self.credentials(), IntegrityAlgorithm::Sha1)
            .unwrap();
        message.finish()
    }

    fn credentials(&self) -> MessageIntegrityCredentials {
        LongTermKeyCredentials::new(self.user.into(), self.password.into(), REALM.into()).into()
    }

    fn said(&mut self, bytes: &[u8]) -> Option<Output> {
        self.rules.said(self.now, self.path, bytes)
    }

    fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self.said(bytes) {
            Some(Output::Answer(answer) | Output::Farewell(answer, _)) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// The code of the refusal, or 0.
    fn ask(&mut self, method: Method, attributes: Attributes<'_>) -> u16 {
        let request = self.request(method, attributes);
        let answer = self.answer(&request);
        code(&Message::from_bytes(&answer).unwrap())
    }

    fn open(&mut self, attributes: Attributes<'_>) -> (Id, Port) {
        let mut all: Vec<&dyn AttributeWrite> = vec![&*UDP];
        all.extend(attributes);
        let request = self.request(ALLOCATE, &all);
        match self.said(&request) {
            Some(Output::Open { id, port, .. }) => (id, port),
            other => panic!("{other:?}"),
        }
    }

    fn allocate(&mut self) -> Id {
        let (id, _) = self.open(&[]);
        let opened = Opened {
            relayed: address(RELAYED),
            token: None,
        };
        let (path, answer) = self.rules.opened(self.now, id, Some(opened)).unwrap();
        assert_eq!(path, self.path);
        let answer = Message::from_bytes(&answer).unwrap();
        answer.validate_integrity(&self.credentials()).unwrap();
        let transaction = answer.transaction_id();
        assert_eq!(
            answer
                .attribute::<XorRelayedAddress>()
                .unwrap()
                .addr(transaction),
            address(RELAYED)
        );
        assert_eq!(
            answer
                .attribute::<XorMappedAddress>()
                .unwrap()
                .addr(transaction),
            self.path.client
        );
        assert_eq!(answer.attribute::<Lifetime>().unwrap().seconds(), 600);
        id
    }

    fn permit(&mut self, peer: &str) -> u16 {
        self.with_peer(CREATE_PERMISSION, peer, None)
    }

    fn bind(&mut self, number: u16, peer: &str) -> u16 {
        self.with_peer(CHANNEL_BIND, peer, Some(number))
    }

    fn with_peer(&mut self, method: Method, peer: &str, number: Option<u16>) -> u16 {
        // The address is mixed with the transaction's id, so it can only be written once that is known.
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        let transaction = message.transaction_id();
        message
            .add_attribute(&XorPeerAddress::new(address(peer), transaction))
            .unwrap();
        if let Some(number) = number {
            message.add_attribute(&ChannelNumber::new(number)).unwrap();
        }
        message
            .add_attribute(&Username::new(self.user).unwrap())
            .unwrap();
        message.add_attribute(&Realm::new(REALM).unwrap()).unwrap();
        message
            .add_attribute(&Nonce::new(&self.nonce).unwrap())
            .unwrap();
        message
            .add_message_integrity(&self.credentials(), IntegrityAlgorithm::Sha1)
            .unwrap();
        let answer = self.answer(&message.finish());
        code(&Message::from_bytes(&answer).unwrap())
    }

    fn send(&mut self, peer: &str, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = message.transaction_id();
        message
            .add_attribute(&XorPeerAddress::new(address(peer), transaction))
            .unwrap();
        message.add_attribute(&Data::new(data)).unwrap();
        self.relayed(&message.finish())
    }

    fn relayed(&mut self, bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        match self.said(bytes) {
            Some(Output::Relay { to, data, .. }) => Some((to, bytes[data].to_vec())),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    fn heard(&mut self, id: Id, peer: &str, data: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let path = self
            .rules
            .heard(self.now, id, address(peer), data, &mut out)?;
        assert_eq!(path, self.path);
        Some(out)
    }
}

static UDP: LazyLock<RequestedTransport> =
    LazyLock::new(|| RequestedTransport::new(RequestedTransport::UDP));

fn code(message: &Message<'_>) -> u16 {
    message
        .attribute::<ErrorCode>()
        .map_or(0, |error| error.code())
}

#[test]
fn who_asks_for_its_address_is_told_without_a_name() {
    let mut stage = Stage::new();
    let asked = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
    let answer = stage.answer(&asked);
    let answer = Message::from_bytes(&answer).unwrap();
    let mapped = answer.attribute::<XorMappedAddress>().unwrap();
    assert_eq!(mapped.addr(answer.transaction_id()), stage.path.client);
}

#[test]
fn nobody_allocates_without_the_password() {
    let mut stage = Stage::new();
    stage.password = "guessed";
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 401);
    (stage.user, stage.password) = ("carol", "secret");
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 401);
    (stage.user, stage.nonce) = ("ann", "6553f100-000000000000000000000000".into());
    assert_eq!(
        stage.ask(ALLOCATE, &[&*UDP]),
        438,
        "a nonce that is not ours"
    );
    assert_eq!(stage.rules.len(), 0);
    assert_eq!(stage.rules.counts.refused, 4);
}

#[test]
fn a_nonce_grows_stale() {
    let mut stage = Stage::new();
    stage.pass(Duration::from_secs(3600));
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 438);
    stage.nonce = stage.fresh_nonce();
    stage.allocate();
}

#[test]
fn data_goes_to_permitted_peers_and_comes_from_them() {
    let mut stage = Stage::new();
    let id = stage.allocate();
    assert_eq!(stage.send("1.1.1.1:5000", b"early"), None);
    assert_eq!(stage.heard(id, "1.1.1.1:5000", b"early"), None);
    assert_eq!(
        stage.permit("1.1.1.1:1"),
        0,
        "a permission is for an address, whatever its port"
    );
    let sent = stage.send("1.1.1.1:5000", b"hello");
    assert_eq!(sent, Some((address("1.1.1.1:5000"), b"hello".to_vec())));
    let heard = stage.heard(id, "1.1.1.1:5000", b"hi there").unwrap();
    let heard = Message::from_bytes(&heard).unwrap();
    assert!(heard.has_class(MessageClass::Indication));
    assert_eq!(heard.attribute::<Data>().unwrap().data(), b"hi there");
    let from = heard.attribute::<XorPeerAddress>().unwrap();
    assert_eq!(from.addr(heard.transaction_id()), address("1.1.1.1:5000"));
    assert_eq!(stage.heard(id, "1.1.1.2:5000", b"stranger"), None);
    let counts = stage.rules.counts;
    assert_eq!(
        (counts.bytes_out, counts.bytes_in, counts.dropped),
        (5, 8, 3)
    );
}

#[test]
fn a_permission_ends_after_five_minutes() {
    let mut stage = Stage::new();
    let id = stage.allocate();
    stage.permit("1.1.1.1:1");
    stage.pass(Duration::from_secs(299));
    assert!(stage.heard(id, "1.1.1.1:5000", b"x").is_some());
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.heard(id, "1.1.1.1:5000", b"x"), None);
    assert_eq!(stage.send("1.1.1.1:5000", b"x"), None);
}

#[test]
fn a_channel_saves_the_header() {
    let mut stage = Stage::new();
    let id = stage.allocate();
    assert_eq!(stage.bind(0x4001, "1.1.1.1:5000"), 0);
    let sent = stage.relayed(&[0x40, 0x01, 0, 3, b'a', b'b', b'c']);
    assert_eq!(sent, Some((address("1.1.1.1:5000"), b"abc".to_vec())));
    assert_eq!(
        stage.heard(id, "1.1.1.1:5000", b"abc").unwrap(),
        [0x40, 0x01, 0, 3, b'a', b'b', b'c']
    );
    assert_eq!(
        stage.relayed(&[0x40, 0x02, 0, 1, b'a']),
        None,
        "a number that nobody has"
    );
    let heard = stage.heard(id, "1.1.1.1:5001", b"abc").unwrap();
    assert!(heard[0] < 0x40, "another port has no number");
    assert_eq!(
        stage.bind(0x4001, "1.1.1.2:5000"),
        400,
        "a number has one peer"
    );
    assert_eq!(
        stage.bind(0x4002, "1.1.1.1:5000"),
        400,
        "a peer has one number"
    );
    assert_eq!(stage.bind(0x3fff, "1.1.1.3:5000"), 400);
    assert_eq!(stage.bind(0x7fff, "1.1.1.3:5000"), 400);
    stage.pass(Duration::from_secs(299));
    stage.permit("1.1.1.1:1");
    stage.pass(Duration::from_secs(300));
    assert_eq!(
        stage.relayed(&[0x40, 0x01, 0, 1, b'a']),
        None,
        "the permission has ended"
    );
}

#[test]
fn over_a_stream_channel_data_fill_words() {
    let mut stage = Stage::new();
    stage.path.carrier = Carrier::Tcp;
    stage.nonce = stage.fresh_nonce();
    let id = stage.allocate();
    stage.bind(0x4001, "1.1.1.1:5000");
    assert_eq!(stage.heard(id, "1.1.1.1:5000", b"abcde").unwrap().len(), 12);
}

#[test]
fn peers_behind_the_server_are_refused() {
    let mut stage = Stage::new();
    stage.allocate();
    for peer in ["127.0.0.1:80", "10.0.0.1:80", "169.254.169.254:80"] {
        assert_eq!(stage.permit(peer), 403, "{peer}");
        assert_eq!(stage.bind(0x4001, peer), 403, "{peer}");
        assert_eq!(stage.send(peer, b"x"), None);
    }
    assert_eq!(
        stage.permit("[2606:4700::1111]:80"),
        443,
        "the allocation is of IPv4"
    );
}

#[test]
fn an_allocation_is_refreshed_ended_and_runs_out() {
    let mut stage = Stage::new();
    let id = stage.allocate();
    stage.pass(Duration::from_secs(599));
    assert_eq!(stage.ask(REFRESH, &[&Lifetime::new(700)]), 0);
    assert_eq!(stage.pass(Duration::from_secs(699)), []);
    assert_eq!(stage.pass(Duration::from_secs(1)), [Ended::Allocation(id)]);
    assert_eq!(stage.ask(REFRESH, &[]), 437);
    let id = stage.allocate();
    let request = stage.request(REFRESH, &[&Lifetime::new(0)]);
    let farewell = stage.said(&request);
    assert!(
        matches!(farewell, Some(Output::Farewell(_, ended)) if ended == id),
        "{farewell:?}"
    );
    assert_eq!(stage.rules.len(), 0);
    assert_eq!(stage.pass(LONGEST), []);
    assert_eq!(stage.rules.counts.opened, stage.rules.counts.ended);
}

#[test]
fn a_lifetime_is_ten_minutes_at_least_and_an_hour_at_most() {
    for (asked, granted) in [(1, 600), (600, 600), (601, 601), (9_999_999, 3600)] {
        let mut stage = Stage::new();
        stage.allocate();
        let request = stage.request(REFRESH, &[&Lifetime::new(asked)]);
        let answer = stage.answer(&request);
        let answer = Message::from_bytes(&answer).unwrap();
        assert_eq!(answer.attribute::<Lifetime>().unwrap().seconds(), granted);
    }
}

#[test]
fn an_allocation_is_its_makers_alone() {
    let mut stage = Stage::new();
    stage.allocate();
    (stage.user, stage.password) = ("bob", "other");
    assert_eq!(stage.permit("1.1.1.1:1"), 441);
    assert_eq!(stage.ask(REFRESH, &[&Lifetime::new(0)]), 441);
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 437);
    stage.path.client = address("203.0.113.7:40001");
    assert_eq!(
        stage.permit("1.1.1.1:1"),
        437,
        "another port has allocated nothing"
    );
}

#[test]
fn a_request_that_comes_twice_is_answered_twice_and_done_once() {
    let mut stage = Stage::new();
    let request = stage.request(ALLOCATE, &[&*UDP]);
    let Some(Output::Open { id, .. }) = stage.said(&request) else {
        panic!("no socket was asked for")
    };
    assert_eq!(stage.said(&request), None, "still being opened");
    let opened = Opened {
        relayed: address(RELAYED),
        token: None,
    };
    let (_, answer) = stage.rules.opened(stage.now, id, Some(opened)).unwrap();
    assert_eq!(stage.answer(&request), answer);
    assert_eq!(stage.rules.len(), 1);
}

#[test]
fn a_port_that_cannot_be_had_is_told_and_leaves_nothing() {
    let mut stage = Stage::new();
    let (id, _) = stage.open(&[]);
    let (_, answer) = stage.rules.opened(stage.now, id, None).unwrap();
    assert_eq!(code(&Message::from_bytes(&answer).unwrap()), 508);
    assert_eq!(stage.rules.len(), 0);
    assert_eq!(stage.rules.counts.ended, 0);
    stage.allocate();
}

#[test]
fn credentials_and_the_server_have_their_quotas() {
    let mut stage = Stage::new();
    for port in 1..=2 {
        stage.path.client.set_port(port);
        stage.allocate();
    }
    stage.path.client.set_port(3);
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 486);
    (stage.user, stage.password) = ("bob", "other");
    stage.allocate();
    stage.path.client.set_port(4);
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 508, "the server is full");
    stage.pass(LIFETIME);
    stage.allocate();
}

#[test]
fn what_a_credential_has_at_other_servers_counts() {
    let mut stage = Stage::new();
    let elsewhere = |user, held| HashMap::from([(Key::of(user), held)]);
    stage.rules.elsewhere(elsewhere("ann", 1));
    assert_eq!(stage.rules.heaviest(1, 9), []);
    stage.allocate();
    assert_eq!(stage.rules.heaviest(1, 9), [(Key::of("ann"), 1)]);
    assert_eq!(stage.rules.heaviest(2, 9), []);
    stage.path.client.set_port(2);
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 486);
    stage.rules.elsewhere(elsewhere("bob", 9));
    stage.allocate();
    stage.path.client.set_port(3);
    (stage.user, stage.password) = ("bob", "other");
    assert_eq!(stage.ask(ALLOCATE, &[&*UDP]), 486);
    stage.rules.elsewhere(HashMap::new());
    stage.allocate();
}

#[test]
fn more_than_the_rate_is_not_relayed() {
    let mut stage = Stage::with(|config| config.rate = Some(1000));
    let id = stage.allocate();
    stage.permit("1.1.1.1:1");
    assert!(stage.send("1.1.1.1:1", &[0; 600]).is_some());
    assert_eq!(stage.send("1.1.1.1:1", &[0; 600]), None);
    assert_eq!(
        stage.heard(id, "1.1.1.1:1", &[0; 600]),
        None,
        "both directions share it"
    );
    stage.pass(Duration::from_millis(300));
    assert!(stage.heard(id, "1.1.1.1:1", &[0; 600]).is_some());
}

#[test]
fn a_pair_of_ports_is_kept_for_who_asked_and_for_half_a_minute() {
    let mut stage = Stage::with(|config| (config.per_user, config.allocations) = (9, 9));
    let (id, port) = stage.open(&[&EvenPort::new(true)]);
    assert_eq!(port, Port::Pair);
    let opened = Opened {
        relayed: address(RELAYED),
        token: Some(77),
    };
    let (_, answer) = stage.rules.opened(stage.now, id, Some(opened)).unwrap();
    let answer = Message::from_bytes(&answer).unwrap();
    assert_eq!(answer.attribute::<ReservationToken>().unwrap().token(), 77);
    stage.path.client.set_port(2);
    let (_, port) = stage.open(&[&ReservationToken::new(77)]);
    assert_eq!(port, Port::Kept(77));
    stage.path.client.set_port(3);
    (stage.user, stage.password) = ("bob", "other");
    assert_eq!(
        stage.ask(ALLOCATE, &[&*UDP, &ReservationToken::new(77)]),
        508,
        "used up"
    );
    let (id, port) = stage.open(&[&EvenPort::new(false)]);
    assert_eq!(port, Port::Even);
    let opened = Opened {
        relayed: address(RELAYED),
        token: Some(78),
    };
    stage.rules.opened(stage.now, id, Some(opened)).unwrap();
    stage.path.client.set_port(4);
    (stage.user, stage.password) = ("ann", "secret");
    let asked = stage.ask(ALLOCATE, &[&*UDP, &ReservationToken::new(78)]);
    assert_eq!(asked, 508, "kept for bob");
    assert_eq!(stage.pass(RESERVED), [Ended::Reservation(78)]);
}

#[test]
fn what_is_not_had_is_refused_by_its_own_code() {
    let mut stage = Stage::new();
    assert_eq!(stage.ask(ALLOCATE, &[]), 400);
    assert_eq!(
        stage.ask(
            ALLOCATE,
            &[&RequestedTransport::new(RequestedTransport::TCP)]
        ),
        442
    );
    assert_eq!(
        stage.ask(
            ALLOCATE,
            &[&*UDP, &RequestedAddressFamily::new(AddressFamily::IPV6)]
        ),
        440
    );
    assert_eq!(
        stage.ask(
            ALLOCATE,
            &[&*UDP, &EvenPort::new(true), &ReservationToken::new(1)]
        ),
        400
    );
    let request = stage.request(ALLOCATE, &[&*UDP, &DontFragment::new()]);
    let answer = stage.answer(&request);
    let answer = Message::from_bytes(&answer).unwrap();
    assert_eq!(code(&answer), 420);
    assert!(
        answer
            .attribute::<UnknownAttributes>()
            .unwrap()
            .has_attribute(DontFragment::TYPE)
    );
    stage.allocate();
    assert_eq!(stage.ask(CREATE_PERMISSION, &[]), 400, "nobody is named");
    assert_eq!(
        stage.ask(
            REFRESH,
            &[&RequestedAddressFamily::new(AddressFamily::IPV6)]
        ),
        443
    );
}

#[test]
fn a_stream_that_ends_takes_its_allocation_along() {
    let mut stage = Stage::new();
    let id = stage.allocate();
    assert_eq!(stage.rules.gone(stage.path), Some(id));
    assert_eq!(stage.rules.gone(stage.path), None);
    assert_eq!(stage.rules.len(), 0);
}

#[test]
fn the_permissions_of_one_allocation_are_bounded() {
    let mut stage = Stage::new();
    stage.allocate();
    let mut refused = 0;
    for n in 0..600u32 {
        let peer = format!("1.1.{}.{}:1", n / 256, n % 256);
        refused += u32::from(stage.permit(&peer) == 508);
    }
    assert_eq!(refused, 600 - 512);
    stage.pass(Duration::from_secs(300));
    assert_eq!(stage.permit("1.2.3.4:1"), 0);
}

proptest! {
    #[test]
    fn no_bytes_of_a_client_panic_or_relay(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut stage = Stage::new();
        stage.allocate();
        let came = stage.said(&bytes);
        let harmless = !matches!(came, Some(Output::Relay { .. } | Output::Open { .. }));
        prop_assert!(harmless, "{:?}", came);
    }

    #[test]
    fn no_change_of_a_request_gets_in(place in 0usize..200, flip in 1u8..=255) {
        let mut stage = Stage::new();
        let mut request = stage.request(ALLOCATE, &[&*UDP, &Lifetime::new(900)]);
        let place = place % request.len();
        request[place] ^= flip;
        let came = stage.said(&request);
        let opens = matches!(came, Some(Output::Open { .. }));
        prop_assert!(!opens, "byte {}", place);
    }
}
