//! STUN and TURN as their client says and hears them (RFC 8489, RFC 8656, RFC 5780). Pure.

use std::net::SocketAddr;

use stun_types::attribute::{
    AttributeType, ErrorCode, Nonce, RawAttribute, Realm, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWriteVec,
    TransactionId,
};
use stun_types::prelude::*;
use turn_types::attribute::{
    Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CREATE_PERMISSION, DATA, REFRESH, SEND};

/// RFC 8489, section 14.1: of servers older than the one that hides it from meddling routers.
const MAPPED_ADDRESS: u16 = 0x0001;

/// RFC 5780, section 7.
const CHANGE_REQUEST: u16 = 0x0003;
const PADDING: u16 = 0x0026;
const OTHER_ADDRESS: u16 = 0x802c;

/// Headers of a Binding request with a padding.
const HEADERS: usize = 20 + 4;

/// A request, and what its answer carries.
pub(super) type Asked = (TransactionId, Vec<u8>);

/// From where a server is asked to answer instead (RFC 5780 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Port,
    AddressAndPort,
}

/// Who asks a relay, once it said what it wants to know.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) realm: String,
    pub(super) nonce: String,
}

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The code and the words of a refusal.
    pub(super) refused: Option<(u16, String)>,
    pub(super) mapped: Option<SocketAddr>,
    pub(super) relayed: Option<SocketAddr>,
    /// Its other address, where it has one.
    pub(super) other: Option<SocketAddr>,
    pub(super) realm: Option<String>,
    pub(super) nonce: Option<String>,
}

/// A Binding request of at least so many bytes.
pub(super) fn binding(change: Option<Change>, bytes: usize) -> Asked {
    let mut message = Message::builder_request(BINDING, MessageWriteVec::new());
    if let Some(change) = change {
        let flags: u8 = match change {
            Change::Port => 0x02,
            Change::AddressAndPort => 0x06,
        };
        put_raw(&mut message, CHANGE_REQUEST, &[0, 0, 0, flags]);
    }
    if let Some(padding) = bytes.checked_sub(HEADERS).filter(|padding| *padding > 0) {
        put_raw(&mut message, PADDING, &vec![0; padding.next_multiple_of(4)]);
    }
    finished(message, None)
}

/// Asks for a relayed address; without a proof, to be told what it takes.
pub(super) fn allocate(proof: Option<&Proof>) -> Asked {
    let mut message = Message::builder_request(ALLOCATE, MessageWriteVec::new());
    put(
        &mut message,
        &RequestedTransport::new(RequestedTransport::UDP),
    );
    finished(message, proof)
}

/// Lets a peer send to our relayed address.
pub(super) fn permit(proof: &Proof, peer: SocketAddr) -> Asked {
    let mut message = Message::builder_request(CREATE_PERMISSION, MessageWriteVec::new());
    let transaction = message.transaction_id();
    put(&mut message, &XorPeerAddress::new(peer, transaction));
    finished(message, Some(proof))
}

/// Gives the relayed address back.
pub(super) fn release(proof: &Proof) -> Asked {
    let mut message = Message::builder_request(REFRESH, MessageWriteVec::new());
    put(&mut message, &Lifetime::new(0));
    finished(message, Some(proof))
}

/// Bytes for a peer, by way of the relay.
pub(super) fn send(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
    let transaction = message.transaction_id();
    put(&mut message, &XorPeerAddress::new(peer, transaction));
    put(&mut message, &Data::new(data));
    message.finish()
}

/// The answer to a request, if it is one.
pub(super) fn read(bytes: &[u8], asked: TransactionId) -> Option<Answer> {
    let message = Message::from_bytes(bytes).ok()?;
    if message.transaction_id() != asked {
        return None;
    }
    let refused = match message.class() {
        MessageClass::Success => None,
        MessageClass::Error => {
            let error = message.attribute::<ErrorCode>().ok();
            Some(error.map_or((0, String::new()), |error| {
                (error.code(), error.reason().to_owned())
            }))
        }
        _ => return None,
    };
    let xored = message.attribute::<XorMappedAddress>().ok();
    let plain = message.raw_attribute(AttributeType::new(MAPPED_ADDRESS));
    Some(Answer {
        refused,
        mapped: xored
            .map(|mapped| mapped.addr(asked))
            .or_else(|| plain.and_then(|mapped| address(&mapped.value))),
        relayed: message
            .attribute::<XorRelayedAddress>()
            .ok()
            .map(|relayed| relayed.addr(asked)),
        other: message
            .raw_attribute(AttributeType::new(OTHER_ADDRESS))
            .and_then(|raw| address(&raw.value)),
        realm: message
            .attribute::<Realm>()
            .ok()
            .map(|realm| realm.realm().to_owned()),
        nonce: message
            .attribute::<Nonce>()
            .ok()
            .map(|nonce| nonce.nonce().to_owned()),
    })
}

/// What a peer sent to our relayed address, and who.
pub(super) fn relayed(bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
    let message = Message::from_bytes(bytes).ok()?;
    if message.class() != MessageClass::Indication || message.method() != DATA {
        return None;
    }
    let peer = message.attribute::<XorPeerAddress>().ok()?;
    let data = message.attribute::<Data>().ok()?;
    Some((peer.addr(message.transaction_id()), data.data().to_vec()))
}

/// The value of an attribute that holds an address in clear (RFC 8489 section 14.1).
fn address(value: &[u8]) -> Option<SocketAddr> {
    let (head, ip) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([head[2], head[3]]);
    match head[1] {
        1 => Some((<[u8; 4]>::try_from(ip).ok()?, port).into()),
        2 => Some((<[u8; 16]>::try_from(ip).ok()?, port).into()),
        _ => None,
    }
}

fn put(message: &mut MessageWriteVec, attribute: &dyn AttributeWrite) {
    let added = message.add_attribute(attribute);
    debug_assert!(added.is_ok(), "{added:?}");
}

fn put_raw(message: &mut MessageWriteVec, kind: u16, value: &[u8]) {
    put(message, &RawAttribute::new(AttributeType::new(kind), value));
}

fn finished(mut message: MessageWriteVec, proof: Option<&Proof>) -> Asked {
    let transaction = message.transaction_id();
    if let Some(proof) = proof {
        let texts = (
            Username::new(&proof.user),
            Realm::new(&proof.realm),
            Nonce::new(&proof.nonce),
        );
        // Longer ones than fit are refused by the server as none at all.
        if let (Ok(user), Ok(realm), Ok(nonce)) = texts {
            put(&mut message, &user);
            put(&mut message, &realm);
            put(&mut message, &nonce);
        }
        let credentials = LongTermKeyCredentials::new(
            proof.user.clone(),
            proof.password.clone(),
            proof.realm.clone(),
        );
        let key = credentials.make_key(IntegrityAlgorithm::Sha1);
        let signed = message.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1);
        debug_assert!(signed.is_ok(), "{signed:?}");
    }
    let marked = message.add_fingerprint();
    debug_assert!(marked.is_ok(), "{marked:?}");
    (transaction, message.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_padded_request_is_as_long_as_asked() {
        for bytes in [0, 548, 1172, 1200, 1472] {
            let (_, request) = binding(None, bytes);
            // What is not a whole number of words is rounded up, and a fingerprint follows.
            assert!(
                request.len() >= bytes && request.len() < bytes + 40,
                "{bytes}"
            );
            assert_eq!(Message::from_bytes(&request).unwrap().method(), BINDING);
        }
    }

    #[test]
    fn an_answer_is_of_its_own_request_alone() {
        let (asked, request) = binding(None, 0);
        let (other, _) = binding(Some(Change::Port), 0);
        let message = Message::from_bytes(&request).unwrap();
        let mut answer = Message::builder_success(&message, MessageWriteVec::new());
        let mine: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        put(&mut answer, &XorMappedAddress::new(mine, asked));
        put_raw(
            &mut answer,
            OTHER_ADDRESS,
            &[0, 1, 0x0d, 0x97, 192, 0, 2, 9],
        );
        let answer = answer.finish();
        assert_eq!(read(&answer, other), None);
        let read = read(&answer, asked).unwrap();
        assert_eq!(read.mapped, Some(mine));
        assert_eq!(read.other, "192.0.2.9:3479".parse().ok());
        assert_eq!(read.refused, None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_worth_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (asked, _) = binding(None, 0);
            prop_assert!(read(&bytes, asked).is_none());
            let _ = (relayed(&bytes), address(&bytes));
        }
    }
}
