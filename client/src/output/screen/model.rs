//! What the screen knows: pure, fed with events and keys.

use std::collections::VecDeque;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;

use super::line::LineInput;
use crate::event::{Event, Kind, PeerRef};
use crate::media::clock::Timestamp;
use crate::output::quality::Quality;
use crate::output::text::{clean, name};
use crate::output::{Action, command, lines};

/// Most lines of chat and notes kept; older ones scroll away for good.
const KEPT_LINES: usize = 300;

/// What takes the room of the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panel {
    /// The pictures.
    #[default]
    Pictures,
    /// Statistics with their W3C names.
    Details,
    /// What the keys do.
    Help,
}

/// Somebody else in the room. All text is clean.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The server's id.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Sound muted.
    pub muted: bool,
    /// Camera off.
    pub camera_off: bool,
    /// `RTCPeerConnectionState`, as far as we were told.
    pub state: String,
    /// The last statistics.
    pub report: Option<Value>,
    /// What they say.
    pub quality: Quality,
}

/// Who says a line of the chat pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// This program.
    Note,
    /// We.
    Own(String),
    /// A far peer.
    Peer(String),
}

/// A line of the chat pane. All text is clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Whose.
    pub speaker: Speaker,
    /// What.
    pub text: String,
}

/// Everything the screen shows but pictures and levels. All text in it is clean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScreenModel {
    /// The room's name, once joined.
    pub room: Option<String>,
    /// What a browser opens.
    pub url: String,
    /// Our id and name.
    pub me: Option<PeerRef>,
    /// When we joined.
    pub since: Option<Timestamp>,
    /// The others, in the order they came.
    pub members: Vec<Member>,
    /// The chat pane's lines, oldest first.
    pub chat: VecDeque<ChatLine>,
    /// The line being typed.
    pub input: LineInput,
    /// Whether keys go to the chat line.
    pub typing: bool,
    /// What is shown in the large.
    pub panel: Panel,
    /// Lines of details scrolled away.
    pub scroll: usize,
    /// Our sound is muted.
    pub muted: bool,
    /// Our camera is off.
    pub camera_off: bool,
    /// We hold the call.
    pub on_hold: bool,
    /// The signaling link is lost.
    pub signaling_lost: bool,
    /// We asked to leave.
    pub leaving: bool,
    /// Our own picture is not shown beside the others.
    pub own_hidden: bool,
    /// What stands under our picture in a preview, line by line.
    pub caption: Vec<String>,
    /// Whether a call rings, to be taken by `a` or refused by `r`.
    pub rung: bool,
}

impl ScreenModel {
    /// Takes in what happened.
    pub fn event(&mut self, now: Timestamp, event: &Event) {
        match event {
            Event::Joined {
                room,
                me,
                peers,
                url,
            } => {
                self.room = Some(clean(room));
                self.url = clean(url);
                self.me = Some(PeerRef {
                    id: me.id.clone(),
                    name: name(&me.name, &me.id),
                });
                self.since.get_or_insert(now);
                self.members
                    .retain(|member| peers.iter().any(|peer| peer.id == member.id));
                for peer in peers {
                    self.member(peer);
                }
                self.note(event);
            }
            Event::SignalingLost { .. } => {
                self.signaling_lost = true;
                self.note(event);
            }
            Event::SignalingBack { .. } => {
                self.signaling_lost = false;
                self.note(event);
            }
            Event::PeerJoined { peer } => {
                self.member(peer);
                self.note(event);
            }
            Event::Connected { peer, .. } => "connected".clone_into(&mut self.member(peer).state),
            Event::ConnectionTroubled { peer, state } => {
                self.member(peer).state = clean(state);
                self.note(event);
            }
            Event::PeerMuted { peer, kind, muted } => self.set_muted(peer, *kind, *muted),
            Event::Chat { from, text, own } => {
                let who = name(&from.name, &from.id);
                self.say(ChatLine {
                    speaker: if *own {
                        Speaker::Own(who)
                    } else {
                        Speaker::Peer(who)
                    },
                    text: clean(text),
                });
            }
            Event::PeerHeld { peer, held } => {
                if self.me.as_ref().is_some_and(|me| me.id == peer.id) {
                    self.on_hold = *held;
                }
                self.note(event);
            }
            Event::Stats { peer, report, .. } => {
                let member = self.member(peer);
                member.quality = Quality::of(report, member.report.as_ref());
                member.report = Some(report.clone());
            }
            Event::PeerLeft { peer, .. } => {
                self.members.retain(|member| member.id != peer.id);
                self.note(event);
            }
            Event::Rung { .. } => {
                self.rung = true;
                self.note(event);
            }
            Event::RingEnded { .. } => {
                self.rung = false;
                self.note(event);
            }
            Event::Preview(preview) => {
                self.room.get_or_insert_with(|| "preview".into());
                self.since.get_or_insert(now);
                self.caption = lines::preview_parts(preview);
            }
            Event::ServerStarted { .. }
            | Event::Notice { .. }
            | Event::Broadcast { .. }
            | Event::ChannelOpened { .. }
            | Event::ChannelMessage { .. }
            | Event::ChannelClosed { .. }
            | Event::Undecryptable { .. }
            | Event::SourceChanged { .. }
            | Event::Doctor(_)
            | Event::ToneReceived { .. }
            | Event::Copy { .. }
            | Event::Waiting { .. }
            | Event::Ringing { .. }
            | Event::Accepted { .. }
            | Event::Left { .. } => {
                self.note(event);
            }
            Event::FirstFrame { .. } | Event::Answer { .. } | Event::Summary(_) => {}
        }
    }

    /// Takes in a key or a paste; gives what is to be done about it outside.
    pub fn input(&mut self, input: &Input) -> Option<Action> {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Input::Paste(text) if !self.leaving => {
                self.typing = true;
                self.input.insert(text);
                None
            }
            _ => None,
        }
    }

    fn key(&mut self, key: &KeyEvent) -> Option<Action> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Some(self.hang_up());
        }
        if self.typing {
            return self.typing_key(key.code, control);
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return None;
        }
        match key.code {
            KeyCode::Char('a') if std::mem::take(&mut self.rung) => return Some(Action::Answer),
            KeyCode::Char('r') if std::mem::take(&mut self.rung) => return Some(Action::Decline),
            KeyCode::Char('q') => return Some(self.hang_up()),
            KeyCode::Char(key @ ('0'..='9' | '*' | '#')) => return Some(Action::Dial(key.into())),
            KeyCode::Char('m') => return Some(Action::ToggleMute),
            KeyCode::Char('v') => return Some(Action::ToggleCamera),
            KeyCode::Char('p') => self.own_hidden = !self.own_hidden,
            KeyCode::Char('d') => self.toggle(Panel::Details),
            KeyCode::Char('h') => return Some(Action::Hold(None)),
            KeyCode::Char('?') => self.toggle(Panel::Help),
            KeyCode::Esc => self.panel = Panel::Pictures,
            KeyCode::Tab | KeyCode::Enter => self.typing = true,
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.scroll = self.scroll.saturating_add(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(10),
            _ => {}
        }
        None
    }

    fn typing_key(&mut self, code: KeyCode, control: bool) -> Option<Action> {
        match code {
            KeyCode::Enter => {
                self.typing = false;
                let text = self.input.take();
                return command::said(&text);
            }
            KeyCode::Esc | KeyCode::Tab => self.typing = false,
            _ => self.input.key(code, control),
        }
        None
    }

    const fn hang_up(&mut self) -> Action {
        self.leaving = true;
        Action::HangUp
    }

    fn toggle(&mut self, panel: Panel) {
        self.scroll = 0;
        self.panel = if self.panel == panel {
            Panel::Pictures
        } else {
            panel
        };
    }

    fn set_muted(&mut self, peer: &PeerRef, kind: Kind, muted: bool) {
        let own = self.me.as_ref().is_some_and(|me| me.id == peer.id);
        let flag = match (own, kind) {
            (true, Kind::Audio) => &mut self.muted,
            (true, Kind::Video) => &mut self.camera_off,
            (false, Kind::Audio) => &mut self.member(peer).muted,
            (false, Kind::Video) => &mut self.member(peer).camera_off,
        };
        *flag = muted;
    }

    /// The member of a peer, made where the event is the first to name it.
    fn member(&mut self, peer: &PeerRef) -> &mut Member {
        let shown = name(&peer.name, &peer.id);
        let at = match self.members.iter().position(|m| m.id == peer.id) {
            Some(at) => at,
            None => {
                self.members.push(Member {
                    id: peer.id.clone(),
                    name: String::new(),
                    muted: false,
                    camera_off: false,
                    state: "connecting".into(),
                    report: None,
                    quality: Quality::default(),
                });
                self.members.len() - 1
            }
        };
        let member = &mut self.members[at];
        member.name = shown;
        member
    }

    fn note(&mut self, event: &Event) {
        self.say(ChatLine {
            speaker: Speaker::Note,
            text: lines::words(event),
        });
    }

    fn say(&mut self, line: ChatLine) {
        if self.chat.len() >= KEPT_LINES {
            self.chat.pop_front();
        }
        self.chat.push_back(line);
    }

    /// A window's title: the room and who is in it.
    #[must_use]
    pub fn title(&self) -> String {
        let Some(room) = &self.room else {
            return "rtc-client".into();
        };
        let mut title = room.clone();
        for (at, member) in self.members.iter().enumerate() {
            title.push_str(if at == 0 { ": " } else { ", " });
            title.push_str(&member.name);
            if member.muted {
                title.push_str(" (muted)");
            }
        }
        if self.muted {
            title.push_str(" [you are muted]");
        }
        if self.camera_off {
            title.push_str(" [your camera is off]");
        }
        if self.on_hold {
            title.push_str(" [on hold]");
        }
        title
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::{every_event, peer};

    fn press(model: &mut ScreenModel, code: KeyCode) -> Option<Action> {
        model.input(&Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn type_text(model: &mut ScreenModel, text: &str) {
        for c in text.chars() {
            assert_eq!(press(model, KeyCode::Char(c)), None);
        }
    }

    #[test]
    fn letters_are_keys_until_the_chat_line_is_entered() {
        let mut model = ScreenModel::default();
        assert_eq!(
            press(&mut model, KeyCode::Char('m')),
            Some(Action::ToggleMute)
        );
        assert_eq!(
            press(&mut model, KeyCode::Char('v')),
            Some(Action::ToggleCamera)
        );
        press(&mut model, KeyCode::Tab);
        type_text(&mut model, "mqv 李");
        assert_eq!(
            press(&mut model, KeyCode::Enter),
            Some(Action::Chat("mqv 李".into()))
        );
        assert_eq!(press(&mut model, KeyCode::Char('q')), Some(Action::HangUp));
    }

    #[test]
    fn digits_are_keys_of_a_telephone_and_so_is_a_line_that_says_so() {
        let mut model = ScreenModel::default();
        for key in ['0', '9', '*', '#'] {
            let dialled = Some(Action::Dial(key.into()));
            assert_eq!(press(&mut model, KeyCode::Char(key)), dialled);
        }
        let mut line = |text: &str| {
            press(&mut model, KeyCode::Enter);
            type_text(&mut model, text);
            press(&mut model, KeyCode::Enter)
        };
        assert_eq!(line("/dtmf 12,A#"), Some(Action::Dial("12,A#".into())));
        assert_eq!(line("call 911"), Some(Action::Chat("call 911".into())));
    }

    #[test]
    fn control_c_hangs_up_even_while_typing() {
        let mut model = ScreenModel::default();
        press(&mut model, KeyCode::Enter);
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(model.input(&Input::Key(key)), Some(Action::HangUp));
        assert_eq!(model.input(&Input::Key(key)), Some(Action::HangUp));
    }

    #[test]
    fn an_empty_line_is_not_sent_and_escape_keeps_what_was_typed() {
        let mut model = ScreenModel::default();
        press(&mut model, KeyCode::Enter);
        type_text(&mut model, "  ");
        assert_eq!(press(&mut model, KeyCode::Enter), None);
        press(&mut model, KeyCode::Enter);
        type_text(&mut model, "hi");
        press(&mut model, KeyCode::Esc);
        assert!(!model.typing);
        press(&mut model, KeyCode::Tab);
        assert_eq!(
            press(&mut model, KeyCode::Enter),
            Some(Action::Chat("hi".into()))
        );
    }

    #[test]
    fn a_paste_becomes_one_line() {
        let mut model = ScreenModel::default();
        model.input(&Input::Paste("one\ntwo\x1b[2J".into()));
        assert_eq!(
            press(&mut model, KeyCode::Enter),
            Some(Action::Chat("one two\u{fffd}[2J".into()))
        );
    }

    #[test]
    fn mutes_are_told_apart_by_peer_and_sense() {
        let mut model = ScreenModel::default();
        model.event(
            Timestamp::default(),
            &Event::Joined {
                room: "foo".into(),
                me: peer("me", "alice"),
                peers: vec![peer("b", "bob")],
                url: "http://localhost:8080/foo".into(),
            },
        );
        let mut mute = |id: &str, kind| {
            let event = Event::PeerMuted {
                peer: peer(id, id),
                kind,
                muted: true,
            };
            model.event(Timestamp::default(), &event);
            let b = &model.members[0];
            (model.muted, model.camera_off, b.muted, b.camera_off)
        };
        assert_eq!(mute("me", Kind::Audio), (true, false, false, false));
        assert_eq!(mute("b", Kind::Video), (true, false, false, true));
        assert_eq!(model.members.len(), 1);
        assert_eq!(model.title(), "foo: b [you are muted]");
    }

    #[test]
    fn our_own_picture_is_hidden_and_shown_by_a_key() {
        let mut model = ScreenModel::default();
        assert_eq!(press(&mut model, KeyCode::Char('p')), None);
        assert!(model.own_hidden);
        press(&mut model, KeyCode::Char('p'));
        assert!(!model.own_hidden);
    }

    #[test]
    fn a_preview_tells_its_figures_under_the_picture() {
        let mut model = ScreenModel::default();
        for event in every_event("cam")
            .iter()
            .filter(|e| matches!(e, Event::Preview(_)))
        {
            model.event(Timestamp::default(), event);
        }
        assert_eq!(model.title(), "preview");
        assert!(model.caption[0].contains("29.5 fps"), "{:?}", model.caption);
    }

    #[test]
    fn a_rejoin_forgets_who_left_meanwhile() {
        let mut model = ScreenModel::default();
        let join = |peers| Event::Joined {
            room: "foo".into(),
            me: peer("me", "alice"),
            peers,
            url: String::new(),
        };
        model.event(
            Timestamp::default(),
            &join(vec![peer("b", "bob"), peer("c", "carol")]),
        );
        model.event(
            Timestamp::default(),
            &join(vec![peer("c", "carol"), peer("d", "dave")]),
        );
        let names: Vec<_> = model.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["carol", "dave"]);
    }

    #[test]
    fn the_chat_pane_is_bounded() {
        let mut model = ScreenModel::default();
        for _ in 0..100 {
            for event in every_event("x") {
                model.event(Timestamp::default(), &event);
            }
        }
        assert_eq!(model.chat.len(), KEPT_LINES);
    }
}
