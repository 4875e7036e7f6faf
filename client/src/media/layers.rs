//! Temporal layers: pictures that a receiver, or a server on the way, may leave out, and the rest still decodes (RFC 7741). Pure.

/// How pictures are layered: `scalabilityMode` of W3C webrtc-svc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scalability {
    /// Every picture refers to the one before.
    #[default]
    L1T1,
    /// Every other picture may be left out.
    L1T2,
    /// Every other picture may be left out, and then every other of the rest.
    L1T3,
}

/// The place of a picture among the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TemporalLayer {
    /// 0 is needed by all, others by those of their number and above.
    pub id: u8,
    /// It refers to nothing but layer 0: from here on a receiver may begin to take this layer.
    pub sync: bool,
}

/// What a picture of the pattern refers to, beside the last one of layer 0, and what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it belongs.
    pub layer: TemporalLayer,
    /// It refers to what the middle layer kept, too.
    pub reads_middle: bool,
    /// It is kept, as the last picture of its layer.
    pub kept: bool,
}

const fn slot(id: u8, sync: bool, reads_middle: bool, kept: bool) -> Slot {
    Slot {
        layer: TemporalLayer { id, sync },
        reads_middle,
        kept,
    }
}

const T1: [Slot; 1] = [slot(0, false, false, true)];
const T2: [Slot; 2] = [slot(0, false, false, true), slot(1, true, false, false)];
const T3: [Slot; 4] = [
    slot(0, false, false, true),
    slot(2, true, false, false),
    slot(1, true, false, true),
    slot(2, false, true, false),
];

impl Scalability {
    /// The mode of this W3C name, if we have it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "L1T1" => Some(Self::L1T1),
            "L1T2" => Some(Self::L1T2),
            "L1T3" => Some(Self::L1T3),
            _ => None,
        }
    }

    /// The W3C name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1T1 => "L1T1",
            Self::L1T2 => "L1T2",
            Self::L1T3 => "L1T3",
        }
    }

    /// What pictures are by turns, a key frame the first.
    #[must_use]
    pub const fn pattern(self) -> &'static [Slot] {
        match self {
            Self::L1T1 => &T1,
            Self::L1T2 => &T2,
            Self::L1T3 => &T3,
        }
    }

    /// The percent of the bits that each layer and those below it get, as browsers share them out.
    #[must_use]
    pub const fn shares(self) -> &'static [u32] {
        match self {
            Self::L1T1 => &[100],
            Self::L1T2 => &[60, 100],
            Self::L1T3 => &[40, 60, 100],
        }
    }
}

/// Follows the pattern: a key frame begins it anew, and what the encoder drops takes no turn.
#[derive(Debug)]
pub struct Turns {
    mode: Scalability,
    next: usize,
}

impl Turns {
    /// Begins with a key frame.
    #[must_use]
    pub const fn new(mode: Scalability) -> Self {
        Self { mode, next: 0 }
    }

    /// What the next picture is.
    pub fn next(&mut self, key: bool) -> Slot {
        if key {
            self.next = 0;
        }
        let pattern = self.mode.pattern();
        pattern[self.next % pattern.len()]
    }

    /// A picture of this slot came out; where the encoder made a key frame by itself, it is of layer 0. Tells where it is,
    /// if there are layers at all.
    pub fn done(&mut self, slot: Slot, key: bool) -> Option<TemporalLayer> {
        let slot = if key {
            self.next = 0;
            self.mode.pattern()[0]
        } else {
            slot
        };
        self.next = (self.next + 1) % self.mode.pattern().len();
        (self.mode != Scalability::L1T1).then_some(slot.layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(turns: &mut Turns, keys: &[bool]) -> Vec<(u8, bool)> {
        let one = |key: &bool| {
            let slot = turns.next(*key);
            let layer = turns.done(slot, *key)?;
            Some((layer.id, layer.sync))
        };
        keys.iter().filter_map(one).collect()
    }

    #[test]
    fn layers_take_turns_and_a_key_frame_begins_anew() {
        let mut three = Turns::new(Scalability::L1T3);
        let keys = [true, false, false, false, false, false, true, false];
        assert_eq!(
            ids(&mut three, &keys),
            [
                (0, false),
                (2, true),
                (1, true),
                (2, false),
                (0, false),
                (2, true),
                (0, false),
                (2, true)
            ]
        );
        let mut two = Turns::new(Scalability::L1T2);
        assert_eq!(
            ids(&mut two, &[true, false, false]),
            [(0, false), (1, true), (0, false)]
        );
        assert_eq!(ids(&mut Turns::new(Scalability::L1T1), &keys), []);
    }

    #[test]
    fn a_dropped_picture_takes_no_turn_and_an_unasked_key_frame_is_of_layer_0() {
        let mut turns = Turns::new(Scalability::L1T2);
        let first = turns.next(true);
        assert_eq!(turns.done(first, true).map(|l| l.id), Some(0));
        assert_eq!(turns.next(false).layer.id, 1);
        let again = turns.next(false);
        assert_eq!(again.layer.id, 1, "dropped before");
        assert_eq!(turns.done(again, true).map(|l| l.id), Some(0));
        assert_eq!(turns.next(false).layer.id, 1);
    }

    #[test]
    fn names_are_those_of_the_standard() {
        for name in ["L1T1", "L1T2", "L1T3"] {
            assert_eq!(Scalability::named(name).map(Scalability::name), Some(name));
        }
        assert_eq!(Scalability::named("L3T3"), None);
    }
}
