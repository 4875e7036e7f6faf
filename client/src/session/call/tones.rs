//! The keys of a telephone: pressed by us, and by the others.

use super::Call;
use crate::event::Event;
use crate::media::tones::receive::Heard;
use crate::media::tones::{Step, dialled};

impl Call {
    /// Presses keys in the ears of everybody who is connected.
    pub(super) fn dial(&self, keys: &str) {
        let steps = match dialled(keys) {
            Ok(steps) => steps,
            Err(error) => return self.notice(format!("{keys:?} is not dialled: {error}")),
        };
        if self.audio.is_none() {
            return self.notice("keys are sent as part of our sound, and there is none (--audio)");
        }
        let connected = |id: &&String| {
            let link = self.far.get(*id).and_then(|far| far.link.as_ref());
            link.is_some_and(|link| link.connected())
        };
        let to: Vec<&String> = self.far.keys().filter(connected).collect();
        if to.is_empty() {
            return self.notice(format!("{keys:?} is not dialled: nobody is connected"));
        }
        for id in to {
            self.press(id, &steps);
        }
    }

    /// Presses what was asked for at the start, in the ear of one who has just been connected.
    pub(super) fn dial_first(&self, id: &str) {
        if !self.options.dtmf.is_empty() {
            self.press(id, &self.options.dtmf);
        }
    }

    fn press(&self, id: &str, steps: &[Step]) {
        let Some(link) = self.far.get(id).and_then(|far| far.link.as_ref()) else {
            return;
        };
        if !link.peer.audio().dial(steps) {
            let name = self.name(id);
            self.notice(format!("{name}: too many keys still wait to be pressed"));
        }
    }

    /// Somebody pressed one.
    pub(super) fn tone(&self, id: &str, heard: Heard) {
        let Some(far) = self.far.get(id) else { return };
        self.tell(Event::ToneReceived {
            peer: far.who.clone(),
            tone: heard.tone.name().into(),
            duration_ms: heard.duration.as_secs_f64() * 1000.0,
        });
    }
}
