//! What two peers say to each other through the server to set up their connection.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::brief::brief;
use crate::raw::Raw;

/// Kind of a session description (W3C webrtc-pc section 4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SdpType {
    /// An offer.
    Offer,
    /// A provisional answer.
    Pranswer,
    /// An answer.
    Answer,
    /// Takes the offer back.
    Rollback,
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Description {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: SdpType,
    /// Its text (RFC 8866); empty for a rollback.
    #[serde(default)]
    pub sdp: String,
}

/// A candidate as W3C's `RTCIceCandidateInit` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The candidate line (RFC 8839 section 5.1) without `a=`.
    pub candidate: String,
    /// The m-section by identification tag.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The m-section by position.
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// One signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A session description.
    Description(Description),
    /// One more way to be reached (trickle ICE, RFC 8838).
    Candidate(Candidate),
    /// There are no more candidates in this generation.
    EndOfCandidates,
    /// The far side asks for an ICE restart, which only the one that makes offers can start.
    Restart,
}

/// A signal that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The fields are not as documented.
    #[error("the signal cannot be read ({0}); send one of description, candidate, restart")]
    Fields(String),
    /// None of the known ones.
    #[error("the signal holds none of description, candidate and restart:true; send exactly one")]
    Nothing,
    /// More than one of them.
    #[error(
        "the signal holds more than one of description, candidate and restart; send one at a time"
    )]
    Several,
}

/// The JSON form of [`Signal`]: exactly one of the fields.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Signal", extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct SignalWire {
    /// A session description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<Description>,
    /// A candidate, or null when there are no more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schemars(with = "Option<Candidate>")]
    candidate: Option<Option<Candidate>>,
    /// True: the far side asks for an ICE restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart: Option<bool>,
}

/// Tells `null` from an absent field.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Candidate>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Signal {
    /// Reads a signal from the raw JSON of a message.
    ///
    /// A candidate with an empty line says the same as `null` (W3C webrtc-pc section 4.8.1).
    pub fn from_raw(raw: &Raw) -> Result<Self, SignalError> {
        let wire: SignalWire = raw
            .to()
            .map_err(|error| SignalError::Fields(brief(&error)))?;
        match (wire.description, wire.candidate, wire.restart) {
            (Some(description), None, None) => Ok(Self::Description(description)),
            (None, Some(None), None) => Ok(Self::EndOfCandidates),
            (None, Some(Some(candidate)), None) if candidate.candidate.is_empty() => {
                Ok(Self::EndOfCandidates)
            }
            (None, Some(Some(candidate)), None) => Ok(Self::Candidate(candidate)),
            (None, None, Some(true)) => Ok(Self::Restart),
            (None, None, _) => Err(SignalError::Nothing),
            _ => Err(SignalError::Several),
        }
    }

    /// Writes the signal as the raw JSON of a message.
    pub fn to_raw(&self) -> Result<Raw, serde_json::Error> {
        let mut wire = SignalWire::default();
        match self {
            Self::Description(description) => wire.description = Some(description.clone()),
            Self::Candidate(candidate) => wire.candidate = Some(Some(candidate.clone())),
            Self::EndOfCandidates => wire.candidate = Some(None),
            Self::Restart => wire.restart = Some(true),
        }
        Raw::of(&wire)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Signal, SignalError> {
        Signal::from_raw(&Raw::parse(text).unwrap())
    }

    #[test]
    fn a_browser_s_forms_are_understood() {
        assert_eq!(
            read(r#"{"description":{"type":"offer","sdp":"v=0\r\n"}}"#).unwrap(),
            Signal::Description(Description {
                kind: SdpType::Offer,
                sdp: "v=0\r\n".into()
            })
        );
        assert_eq!(
            read(r#"{"candidate":{"candidate":"candidate:1 1 UDP 1 1.2.3.4 5 typ host","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"x"}}"#).unwrap(),
            Signal::Candidate(Candidate {
                candidate: "candidate:1 1 UDP 1 1.2.3.4 5 typ host".into(),
                sdp_mid: Some("0".into()),
                sdp_m_line_index: Some(0),
                username_fragment: Some("x".into()),
            })
        );
        assert_eq!(read(r#"{"candidate":null}"#), Ok(Signal::EndOfCandidates));
        assert_eq!(
            read(r#"{"candidate":{"candidate":""}}"#),
            Ok(Signal::EndOfCandidates)
        );
        assert_eq!(read(r#"{"restart":true}"#), Ok(Signal::Restart));
    }

    #[test]
    fn anything_else_is_a_typed_error() {
        assert_eq!(read("{}"), Err(SignalError::Nothing));
        assert_eq!(read(r#"{"restart":false}"#), Err(SignalError::Nothing));
        assert_eq!(
            read(r#"{"candidate":null,"restart":true}"#),
            Err(SignalError::Several)
        );
        for bad in [
            "null",
            "[]x".get(..2).unwrap(),
            r#""offer""#,
            r#"{"description":{"type":"toString","sdp":""}}"#,
            r#"{"description":{"type":"offer","sdp":1}}"#,
            r#"{"candidate":{"candidate":"a","sdpMLineIndex":70000}}"#,
            r#"{"candidate":null,"candidate":null}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    fn any_signal() -> impl Strategy<Value = Signal> {
        prop_oneof![
            (
                prop_oneof![
                    Just(SdpType::Offer),
                    Just(SdpType::Pranswer),
                    Just(SdpType::Answer),
                    Just(SdpType::Rollback)
                ],
                any::<String>()
            )
                .prop_map(|(kind, sdp)| Signal::Description(Description { kind, sdp })),
            (
                ".+",
                any::<Option<String>>(),
                any::<Option<u16>>(),
                any::<Option<String>>()
            )
                .prop_map(
                    |(candidate, sdp_mid, sdp_m_line_index, username_fragment)| {
                        Signal::Candidate(Candidate {
                            candidate,
                            sdp_mid,
                            sdp_m_line_index,
                            username_fragment,
                        })
                    }
                ),
            Just(Signal::EndOfCandidates),
            Just(Signal::Restart),
        ]
    }

    proptest! {
        #[test]
        fn every_signal_comes_back(signal in any_signal()) {
            prop_assert_eq!(Signal::from_raw(&signal.to_raw().unwrap()), Ok(signal));
        }
    }
}
