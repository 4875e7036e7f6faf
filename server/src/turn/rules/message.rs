//! What stands in the messages that the rules read and write.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use stun_types::attribute::{
    AttributeType, ErrorCode, MessageIntegrity, MessageIntegritySha256, Nonce, Realm, Software,
    UnknownAttributes, Username, XorMappedAddress,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWriteVec, Method, TransactionId,
};
use stun_types::prelude::*;
use turn_types::AddressFamily;
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber, Data, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport, ReservationToken, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::DATA;

use super::{Carrier, Opened, Port};

/// Channels that may be bound: RFC 8656 narrowed them to 0x4fff, and clients of RFC 5766 are still there.
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// By this code.
    Code(u16),
    /// It asks for what must be understood and is not.
    Unknown(Vec<AttributeType>),
}

/// Who a request says it is from.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) user: String,
    pub(super) realm: String,
    pub(super) nonce: String,
}

/// A request whose sender has proven who it is.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) user: String,
    pub(super) transaction: TransactionId,
    method: Method,
    key: IntegrityKey,
}

/// What an Allocate asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) ipv6: bool,
    pub(super) lifetime: Option<Duration>,
    pub(super) port: Port,
}

/// What a Refresh asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewal {
    pub(super) ipv6: Option<bool>,
    pub(super) lifetime: Option<Duration>,
}

impl Claim {
    /// The request, if the message carries the proof that its sender knows the password.
    pub(super) fn proven(self, message: &Message<'_>, password: String) -> Option<Request> {
        let credentials = LongTermKeyCredentials::new(self.user.clone(), password, self.realm);
        let key = credentials.make_key(IntegrityAlgorithm::Sha1);
        message.validate_integrity_with_key(&key).ok()?;
        Some(Request {
            user: self.user,
            transaction: message.transaction_id(),
            method: message.method(),
            key,
        })
    }
}

/// Who a message says it is from: none where it does not try to prove anything.
pub(super) fn claim(message: &Message<'_>) -> Option<Result<Claim, Problem>> {
    let tries = message.has_attribute(MessageIntegrity::TYPE)
        || message.has_attribute(MessageIntegritySha256::TYPE);
    tries.then(|| {
        let claim = || {
            Some(Claim {
                user: message.attribute::<Username>().ok()?.username().to_owned(),
                realm: message.attribute::<Realm>().ok()?.realm().to_owned(),
                nonce: message.attribute::<Nonce>().ok()?.nonce().to_owned(),
            })
        };
        claim().ok_or(Problem::Code(ErrorCode::BAD_REQUEST))
    })
}

/// RFC 8656, section 7.2, in its order.
pub(super) fn wish(message: &Message<'_>) -> Result<Wish, Problem> {
    let transport = attribute::<RequestedTransport>(message)?.ok_or(BAD)?;
    if transport.protocol() != RequestedTransport::UDP {
        return Err(Problem::Code(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL));
    }
    understood(
        message,
        &[
            RequestedTransport::TYPE,
            Lifetime::TYPE,
            RequestedAddressFamily::TYPE,
            AdditionalAddressFamily::TYPE,
            EvenPort::TYPE,
            ReservationToken::TYPE,
        ],
    )?;
    let family = attribute::<RequestedAddressFamily>(message)?;
    let more = attribute::<AdditionalAddressFamily>(message)?;
    let even = attribute::<EvenPort>(message)?;
    let kept = attribute::<ReservationToken>(message)?;
    if more.as_ref().is_some_and(|more| {
        more.family() != AddressFamily::IPV6 || family.is_some() || even.is_some()
    }) {
        return Err(BAD);
    }
    let port = match (even, kept) {
        (Some(_), Some(_)) => return Err(BAD),
        (None, Some(_)) if family.is_some() || more.is_some() => return Err(BAD),
        (None, Some(kept)) => Port::Kept(kept.token()),
        (Some(even), None) if even.requested() => Port::Pair,
        (Some(_), None) => Port::Even,
        (None, None) => Port::Any,
    };
    Ok(Wish {
        // Who asks for an additional family gets the first alone, and asks for the other by itself.
        ipv6: family.is_some_and(|family| family.family() == AddressFamily::IPV6),
        lifetime: attribute::<Lifetime>(message)?.map(seconds),
        port,
    })
}

pub(super) fn lifetime(message: &Message<'_>) -> Result<Renewal, Problem> {
    understood(message, &[Lifetime::TYPE, RequestedAddressFamily::TYPE])?;
    let family = attribute::<RequestedAddressFamily>(message)?;
    Ok(Renewal {
        ipv6: family.map(|family| family.family() == AddressFamily::IPV6),
        lifetime: attribute::<Lifetime>(message)?.map(seconds),
    })
}

/// Whom a CreatePermission names: one at least.
pub(super) fn peers(message: &Message<'_>) -> Result<Vec<SocketAddr>, Problem> {
    understood(message, &[XorPeerAddress::TYPE])?;
    let mut peers = Vec::new();
    for (_, raw) in message.iter_attributes() {
        if raw.get_type() == XorPeerAddress::TYPE {
            let peer = XorPeerAddress::from_raw(raw).map_err(|_| BAD)?;
            peers.push(plain(peer.addr(message.transaction_id())));
        }
    }
    if peers.is_empty() {
        Err(BAD)
    } else {
        Ok(peers)
    }
}

/// What a ChannelBind joins.
pub(super) fn binding_of(message: &Message<'_>) -> Result<(u16, SocketAddr), Problem> {
    understood(message, &[XorPeerAddress::TYPE, ChannelNumber::TYPE])?;
    let number = attribute::<ChannelNumber>(message)?.ok_or(BAD)?.channel();
    let peer = attribute::<XorPeerAddress>(message)?.ok_or(BAD)?;
    if !CHANNELS.contains(&number) {
        return Err(BAD);
    }
    Ok((number, plain(peer.addr(message.transaction_id()))))
}

/// What a Send indication carries, and where in the message that is. None where it asks for what we cannot do.
pub(super) fn send(message: &Message<'_>) -> Option<(SocketAddr, Range<usize>)> {
    understood(message, &[XorPeerAddress::TYPE, Data::TYPE]).ok()?;
    let peer = message.attribute::<XorPeerAddress>().ok()?;
    let (offset, data) = message.raw_attribute_and_offset(Data::TYPE)?;
    let start = offset + 4;
    Some((
        plain(peer.addr(message.transaction_id())),
        start..start + data.value.len(),
    ))
}

const BAD: Problem = Problem::Code(ErrorCode::BAD_REQUEST);

/// An attribute that may be absent and must not be broken.
fn attribute<'a, A: AttributeFromRaw<'a> + AttributeStaticType>(
    message: &'a Message<'_>,
) -> Result<Option<A>, Problem> {
    if !message.has_attribute(A::TYPE) {
        return Ok(None);
    }
    message.attribute::<A>().map(Some).map_err(|_| BAD)
}

/// Refuses what must be understood and is not (RFC 8489, section 6.3.1).
fn understood(message: &Message<'_>, known: &[AttributeType]) -> Result<(), Problem> {
    let foreign = |kind: &AttributeType| {
        kind.comprehension_required()
            && !known.contains(kind)
            && ![
                Username::TYPE,
                Realm::TYPE,
                Nonce::TYPE,
                MessageIntegrity::TYPE,
                MessageIntegritySha256::TYPE,
            ]
            .contains(kind)
    };
    let all = message.iter_attributes().map(|(_, raw)| raw.get_type());
    let foreign: Vec<AttributeType> = all.filter(foreign).collect();
    if foreign.is_empty() {
        Ok(())
    } else {
        Err(Problem::Unknown(foreign))
    }
}

fn seconds(lifetime: Lifetime) -> Duration {
    Duration::from_secs(lifetime.seconds().into())
}

/// `::ffff:192.0.2.1` is `192.0.2.1`.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The answer to a Binding request (RFC 8489, section 12).
pub(super) fn binding(message: &Message<'_>, client: SocketAddr) -> Vec<u8> {
    let mut answer = match understood(message, &[]) {
        Ok(()) => Message::builder_success(message, MessageWriteVec::with_capacity(64)),
        Err(problem) => error(message.method(), message.transaction_id(), &problem),
    };
    if answer.has_class(MessageClass::Success) {
        put(
            &mut answer,
            &XorMappedAddress::new(plain(client), message.transaction_id()),
        );
    }
    sealed(answer, None)
}

/// An answer that says how to prove who one is.
pub(super) fn challenge(message: &Message<'_>, code: u16, realm: &str, nonce: &str) -> Vec<u8> {
    let mut answer = error(
        message.method(),
        message.transaction_id(),
        &Problem::Code(code),
    );
    if let (Ok(realm), Ok(nonce)) = (Realm::new(realm), Nonce::new(nonce)) {
        put(&mut answer, &realm);
        put(&mut answer, &nonce);
    }
    sealed(answer, None)
}

/// A refusal to whom is not known.
pub(super) fn unsigned(message: &Message<'_>, code: u16) -> Vec<u8> {
    sealed(
        error(
            message.method(),
            message.transaction_id(),
            &Problem::Code(code),
        ),
        None,
    )
}

/// A refusal of a request that was proven.
pub(super) fn refused(request: &Request, problem: &Problem) -> Vec<u8> {
    sealed(
        error(request.method, request.transaction, problem),
        Some(request),
    )
}

pub(super) fn allocated(
    request: &Request,
    opened: Opened,
    lifetime: Duration,
    client: SocketAddr,
) -> Vec<u8> {
    let mut answer = success(request);
    put(
        &mut answer,
        &XorRelayedAddress::new(opened.relayed, request.transaction),
    );
    put(&mut answer, &lifetime_of(lifetime));
    put(
        &mut answer,
        &XorMappedAddress::new(plain(client), request.transaction),
    );
    if let Some(token) = opened.token {
        put(&mut answer, &ReservationToken::new(token));
    }
    if let Ok(software) = Software::new(concat!("rtc-server/", env!("CARGO_PKG_VERSION"))) {
        put(&mut answer, &software);
    }
    sealed(answer, Some(request))
}

pub(super) fn refreshed(request: &Request, lifetime: Duration) -> Vec<u8> {
    let mut answer = success(request);
    put(&mut answer, &lifetime_of(lifetime));
    sealed(answer, Some(request))
}

pub(super) fn done(request: &Request) -> Vec<u8> {
    sealed(success(request), Some(request))
}

/// A peer's bytes for a client that has given it a number (RFC 8656, section 12.4).
pub(super) fn channel(number: u16, data: &[u8], carrier: Carrier, out: &mut Vec<u8>) {
    out.extend(number.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(data);
    if carrier != Carrier::Udp {
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// A peer's bytes for a client that has not.
pub(super) fn indication(peer: SocketAddr, data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut message =
        Message::builder_indication(DATA, MessageWriteVec::with_capacity(data.len() + 64));
    let transaction = message.transaction_id();
    message
        .add_attribute(&XorPeerAddress::new(peer, transaction))
        .ok()?;
    message.add_attribute(&Data::new(data)).ok()?;
    out.extend(message.finish());
    Some(())
}

fn lifetime_of(lifetime: Duration) -> Lifetime {
    // Rounded up: a second less would be refreshed for nothing.
    let seconds = lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
    Lifetime::new(u32::try_from(seconds).unwrap_or(u32::MAX))
}

fn success(request: &Request) -> MessageWriteVec {
    let kind = MessageType::from_class_method(MessageClass::Success, request.method);
    Message::builder(
        kind,
        request.transaction,
        MessageWriteVec::with_capacity(160),
    )
}

fn error(method: Method, transaction: TransactionId, problem: &Problem) -> MessageWriteVec {
    let kind = MessageType::from_class_method(MessageClass::Error, method);
    let mut answer = Message::builder(kind, transaction, MessageWriteVec::with_capacity(160));
    let code = match problem {
        Problem::Code(code) => *code,
        Problem::Unknown(_) => ErrorCode::UNKNOWN_ATTRIBUTE,
    };
    if let Ok(code) = ErrorCode::builder(code).build() {
        put(&mut answer, &code);
    }
    if let Problem::Unknown(kinds) = problem {
        put(&mut answer, &UnknownAttributes::new(kinds));
    }
    answer
}

/// Adds what always fits: our own attributes are few and short, and none is added twice.
fn put(message: &mut MessageWriteVec, attribute: &dyn AttributeWrite) {
    let added = message.add_attribute(attribute);
    debug_assert!(added.is_ok(), "{added:?}");
}

/// With the proof that we know the password too, and a fingerprint.
fn sealed(mut message: MessageWriteVec, request: Option<&Request>) -> Vec<u8> {
    if let Some(request) = request {
        let signed = message.add_message_integrity_with_key(&request.key, IntegrityAlgorithm::Sha1);
        debug_assert!(signed.is_ok(), "{signed:?}");
    }
    let marked = message.add_fingerprint();
    debug_assert!(marked.is_ok(), "{marked:?}");
    message.finish()
}
