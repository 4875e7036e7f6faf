//! What a call amounts to: from what happened to the ending and its words. Pure.

use std::time::Duration;

use rtc_protocol::RefuseCode;

use crate::control::Command;
use crate::event::Undecryptable;
use crate::exit::Ending;

/// A peer that stayed shorter than this is not blamed for having no connection yet.
const TIME_TO_CONNECT: Duration = Duration::from_secs(10);

/// A connection that stood shorter than this is not blamed for having brought nothing yet.
const TIME_TO_MEDIA: Duration = Duration::from_secs(3);

/// How the call came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// A person or program hung up, by key, signal or command.
    HungUp,
    /// `--duration` passed.
    TimeUp,
    /// `--until-alone`: the last of the others left.
    Alone,
    /// The other side of a call ended it.
    Over,
    /// Whom we called did not take the call: why, and in words.
    NotTaken(RefuseCode, String),
    /// A moderator removed us.
    Kicked(String),
    /// No key could be made of what `--e2ee` says.
    Unprotected(String),
    /// The two sides never got to hear of each other: how that ends, and why.
    NotSignaled(Ending, String),
    /// The signaling was lost for good, and no call stood without it.
    SignalingLost(String),
}

impl How {
    /// The end that a command asks for: one that wants a judgement gets that of a call whose time is up.
    #[must_use]
    pub const fn of_command(command: &Command) -> Option<Self> {
        match command {
            Command::HangUp { judged: true } => Some(Self::TimeUp),
            Command::HangUp { judged: false } => Some(Self::HungUp),
            _ => None,
        }
    }
}

/// What is known of one far peer at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// Its name, for the words.
    pub name: String,
    /// How long it was in the room with us.
    pub present: Duration,
    /// How long media was connected.
    pub connected: Option<Duration>,
    /// Its description promised pictures.
    pub promised_video: bool,
    /// Its description promised sound.
    pub promised_audio: bool,
    /// A picture was decoded.
    pub had_video: bool,
    /// Sound was decoded.
    pub had_audio: bool,
    /// Why what it sent was not taken, where it was not.
    pub undecryptable: Option<Undecryptable>,
    /// The connection had broken off and was not back at the end.
    pub lost: bool,
}

/// Judges the call. `strict` is for calls without a person at them: there nothing is
/// forgiven, unless somebody asked for the end: who hangs up has seen enough.
#[must_use]
pub fn judge(how: &How, strict: bool, peers: &[PeerFacts]) -> (Ending, String) {
    match how {
        How::Kicked(reason) => {
            return (Ending::Refused, format!("removed from the room: {reason}"));
        }
        How::Unprotected(why) => {
            let words = format!("the call cannot be encrypted: {why}");
            return (Ending::Failed, words);
        }
        How::SignalingLost(reason) => {
            return (Ending::Lost, format!("the server was lost: {reason}"));
        }
        How::NotSignaled(ending, why) => return (*ending, why.clone()),
        How::NotTaken(code, words) => {
            let ending = match code {
                RefuseCode::Busy => Ending::Busy,
                RefuseCode::NoAnswer => Ending::NoAnswer,
                _ => Ending::Refused,
            };
            return (ending, words.clone());
        }
        How::HungUp | How::TimeUp | How::Alone | How::Over => {}
    }
    let asked = *how == How::HungUp;
    let fault = if strict && !asked { fault(peers) } else { None };
    fault.unwrap_or_else(|| {
        let words = match how {
            How::TimeUp => "time was up",
            How::Alone => "the others have left",
            How::Over => "the other side hung up",
            _ => "hung up",
        };
        (Ending::Done, words.to_owned())
    })
}

fn fault(peers: &[PeerFacts]) -> Option<(Ending, String)> {
    if peers.is_empty() {
        return Some((Ending::NeverConnected, "nobody else came".to_owned()));
    }
    if let Some(peer) = peers.iter().find(|p| p.lost) {
        return Some((
            Ending::Lost,
            format!("the connection to {} was lost", peer.name),
        ));
    }
    if let Some(peer) = peers
        .iter()
        .find(|p| p.connected.is_none() && p.present >= TIME_TO_CONNECT)
    {
        return Some((
            Ending::NeverConnected,
            format!(
                "no media connection to {} in {:.0} s",
                peer.name,
                peer.present.as_secs_f64()
            ),
        ));
    }
    if peers.iter().all(|p| p.connected.is_none()) {
        return Some((
            Ending::NeverConnected,
            "no media connection to anybody".to_owned(),
        ));
    }
    peers.iter().find_map(|peer| {
        let owed = match (
            peer.promised_video && !peer.had_video,
            peer.promised_audio && !peer.had_audio,
        ) {
            (true, true) => "picture and sound",
            (true, false) => "picture",
            (false, true) => "sound",
            (false, false) => return None,
        };
        if let Some(why) = peer.undecryptable {
            let (name, why) = (&peer.name, why.words());
            let words = format!("{owed} of {name} could not be decrypted: {why}");
            return Some((Ending::NoMedia, words));
        }
        let connected = peer.connected.filter(|time| *time >= TIME_TO_MEDIA)?;
        Some((
            Ending::NoMedia,
            format!(
                "{} promised {owed} and sent none in {:.0} s",
                peer.name,
                connected.as_secs_f64()
            ),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> PeerFacts {
        PeerFacts {
            name: "bob".into(),
            present: Duration::from_secs(20),
            connected: Some(Duration::from_secs(19)),
            promised_video: true,
            promised_audio: true,
            had_video: true,
            had_audio: true,
            undecryptable: None,
            lost: false,
        }
    }

    fn ending_of(peer: &PeerFacts) -> Ending {
        ending(How::TimeUp, true, std::slice::from_ref(peer))
    }

    fn ending(how: How, strict: bool, peers: &[PeerFacts]) -> Ending {
        judge(&how, strict, peers).0
    }

    #[test]
    fn a_call_that_worked_is_done() {
        assert_eq!(ending(How::TimeUp, true, &[good()]), Ending::Done);
    }

    #[test]
    fn each_fault_has_its_own_ending() {
        let cases = [
            (vec![], Ending::NeverConnected),
            (
                vec![
                    good(),
                    PeerFacts {
                        connected: None,
                        ..good()
                    },
                ],
                Ending::NeverConnected,
            ),
            (
                vec![PeerFacts {
                    had_video: false,
                    ..good()
                }],
                Ending::NoMedia,
            ),
            (
                vec![PeerFacts {
                    had_audio: false,
                    ..good()
                }],
                Ending::NoMedia,
            ),
            (
                vec![PeerFacts {
                    lost: true,
                    ..good()
                }],
                Ending::Lost,
            ),
        ];
        for (peers, expected) in cases {
            assert_eq!(ending(How::TimeUp, true, &peers), expected, "{peers:?}");
            assert_eq!(
                ending(How::HungUp, true, &peers),
                Ending::Done,
                "a person who hangs up has seen it"
            );
        }
    }

    #[test]
    fn who_hangs_up_by_command_may_ask_for_a_judgement() {
        let ended =
            |judged| How::of_command(&Command::HangUp { judged }).map(|how| ending(how, true, &[]));
        assert_eq!(ended(false), Some(Ending::Done));
        assert_eq!(ended(true), Some(Ending::NeverConnected));
        assert_eq!(How::of_command(&Command::Hold), None);
    }

    #[test]
    fn who_came_a_moment_ago_is_not_blamed() {
        let new = PeerFacts {
            present: Duration::from_secs(1),
            connected: None,
            had_audio: false,
            had_video: false,
            ..good()
        };
        assert_eq!(
            ending(How::TimeUp, true, &[good(), new.clone()]),
            Ending::Done
        );
        assert_eq!(
            ending(How::TimeUp, true, &[new]),
            Ending::NeverConnected,
            "but somebody must have connected"
        );
    }

    #[test]
    fn nothing_promised_is_nothing_owed() {
        let silent = PeerFacts {
            promised_audio: false,
            promised_video: false,
            had_audio: false,
            had_video: false,
            ..good()
        };
        assert_eq!(ending(How::TimeUp, true, &[silent]), Ending::Done);
    }

    #[test]
    fn what_could_not_be_decrypted_never_arrived_and_the_words_name_the_key() {
        let locked = PeerFacts {
            connected: Some(Duration::from_secs(1)),
            had_audio: false,
            had_video: false,
            undecryptable: Some(Undecryptable::OtherKey),
            ..good()
        };
        let (ending, words) = judge(&How::TimeUp, true, std::slice::from_ref(&locked));
        assert_eq!(ending, Ending::NoMedia);
        assert!(words.contains("bob") && words.contains("key"), "{words}");
        let in_the_end = PeerFacts {
            had_audio: true,
            had_video: true,
            ..locked
        };
        assert_eq!(ending_of(&in_the_end), Ending::Done);
    }

    #[test]
    fn a_call_that_was_not_taken_says_why_by_its_ending() {
        for (code, expected) in [
            (RefuseCode::Declined, Ending::Refused),
            (RefuseCode::Busy, Ending::Busy),
            (RefuseCode::NoAnswer, Ending::NoAnswer),
        ] {
            assert_eq!(
                ending(How::NotTaken(code, String::new()), false, &[]),
                expected
            );
        }
        assert_eq!(ending(How::Over, true, &[good()]), Ending::Done);
        assert_eq!(ending(How::Over, true, &[]), Ending::NeverConnected);
    }

    #[test]
    fn endings_from_outside_count_for_people_too() {
        assert_eq!(
            ending(How::Kicked("spam".into()), false, &[good()]),
            Ending::Refused
        );
        assert_eq!(
            ending(How::SignalingLost("gone".into()), false, &[good()]),
            Ending::Lost
        );
    }
}
