//! What is measured: one table, from which the parser, the judge, `--help` and the docs are made.

use crate::expectation::Statistic;
use crate::stats;
use crate::unit::Unit;

/// How a quantity comes about, and so what may be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It happens once or never: a time since the start.
    Once,
    /// Things that add up.
    Tally,
    /// Values, each for itself.
    Samples,
    /// Things that add up in another quantity, by second.
    Rate(&'static str),
    /// A statistic of `RTCStatsReport` that only grows; asked for what it grew by.
    Counter,
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Its name in expectations.
    pub name: &'static str,
    /// What it is a number of.
    pub unit: Unit,
    /// How it comes about.
    pub kind: Kind,
    /// What is meant where no statistic is named.
    pub usual: Statistic,
    /// Where nothing was measured it is zero, if the quantity of this name was (no freeze is none if pictures came).
    pub zero_with: Option<&'static str>,
    /// In words, for people.
    pub what: &'static str,
}

const fn new(
    name: &'static str,
    unit: Unit,
    kind: Kind,
    usual: Statistic,
    what: &'static str,
) -> Quantity {
    Quantity {
        name,
        unit,
        kind,
        usual,
        zero_with: None,
        what,
    }
}

const fn tally(name: &'static str, of: &'static str, what: &'static str) -> Quantity {
    Quantity {
        zero_with: Some(of),
        ..new(name, Unit::Count, Kind::Tally, Statistic::Total, what)
    }
}

const fn samples(name: &'static str, unit: Unit, what: &'static str) -> Quantity {
    new(name, unit, Kind::Samples, Statistic::Mean, what)
}

/// Everything but the statistics of W3C webrtc-stats, which [`stats`] has.
pub const CATALOGUE: &[Quantity] = &[
    new(
        "connect",
        Unit::Time,
        Kind::Once,
        Statistic::Value,
        "from our join, or the peer's coming if that was later, to a connection that stands",
    ),
    new(
        "video.first",
        Unit::Time,
        Kind::Once,
        Statistic::Value,
        "to the first picture that was decoded",
    ),
    new(
        "audio.first",
        Unit::Time,
        Kind::Once,
        Statistic::Value,
        "to the first sound that was decoded",
    ),
    new(
        "video.fps",
        Unit::PerSecond,
        Kind::Rate("video.frames"),
        Statistic::Mean,
        "pictures shown in each second",
    ),
    Quantity {
        zero_with: None,
        ..tally("video.frames", "video.frames", "pictures shown")
    },
    tally(
        "video.missing",
        "video.marked",
        "pictures of the test source that never came, by their numbers",
    ),
    tally(
        "video.repeated",
        "video.marked",
        "pictures that came again: a frozen camera repeats",
    ),
    tally(
        "video.late",
        "video.marked",
        "pictures that came after a later one",
    ),
    Quantity {
        zero_with: None,
        ..tally(
            "video.marked",
            "video.marked",
            "pictures whose mark was read",
        )
    },
    tally(
        "video.unreadable",
        "video.frames",
        "pictures without a readable mark",
    ),
    Quantity {
        zero_with: Some("video.frames"),
        ..new(
            "video.freeze",
            Unit::Time,
            Kind::Samples,
            Statistic::Max,
            "each time for which no new picture was shown, where that was three times the usual and 150 ms more",
        )
    },
    samples(
        "video.interval",
        Unit::Time,
        "between a picture and the next",
    ),
    samples(
        "video.latency",
        Unit::Time,
        "from the taking of a picture to its showing",
    ),
    samples(
        "video.psnr",
        Unit::Decibel,
        "of luma, against the known picture, at the size received",
    ),
    samples(
        "video.ssim",
        Unit::Score,
        "structural similarity of luma to the known picture, 0 to 1",
    ),
    samples(
        "video.vmaf",
        Unit::Score,
        "VMAF of each picture against the known one, 0 to 100, by ffmpeg",
    ),
    samples("video.width", Unit::Pixels, "columns of the pictures shown"),
    samples("video.height", Unit::Pixels, "rows of the pictures shown"),
    samples("video.bitrate", Unit::Bitrate, "of the pictures received"),
    tally(
        "audio.gaps",
        "audio.tone",
        "stretches of at least 5 ms without the tone, once it has begun",
    ),
    Quantity {
        zero_with: Some("audio.tone"),
        ..new(
            "audio.silence",
            Unit::Time,
            Kind::Samples,
            Statistic::Max,
            "each of those stretches, how long it was",
        )
    },
    tally(
        "audio.clicks",
        "audio.tone",
        "places where the tone breaks off and goes on at once, once it has begun",
    ),
    Quantity {
        zero_with: None,
        ..tally(
            "audio.tone",
            "audio.tone",
            "seconds of sound since a tone has begun",
        )
    },
    Quantity {
        zero_with: None,
        ..tally(
            "audio.seconds",
            "audio.seconds",
            "seconds of sound that were heard",
        )
    },
    samples(
        "audio.latency",
        Unit::Time,
        "from the making of the tone to its hearing, modulo a second",
    ),
    samples(
        "audio.frequency",
        Unit::Frequency,
        "of the tone, over each second; 0 where it is silent",
    ),
    samples(
        "audio.purity",
        Unit::Share,
        "of the sound's power that is at the tone, over each second",
    ),
    samples("audio.level", Unit::Level, "of the sound, over each second"),
    samples(
        "audio.echo",
        Unit::Decibel,
        "of our own tone in the sound, beside what we send, over each second",
    ),
    samples(
        "audio.concealed",
        Unit::Share,
        "of the samples played that were invented for lost ones, over each second",
    ),
    samples("audio.bitrate", Unit::Bitrate, "of the sound received"),
    samples(
        "audio.mos",
        Unit::Score,
        "of the sound by ITU-T G.107, over each second, from concealment and delay",
    ),
    samples(
        "lipsync",
        Unit::Time,
        "how far picture and sound are apart, without sign",
    ),
    samples(
        "network.rtt",
        Unit::Time,
        "round trip of the connection in use",
    ),
    samples(
        "network.loss",
        Unit::Share,
        "of the packets to us that were lost, over each second",
    ),
    samples("network.received", Unit::Bitrate, "of all that came"),
    samples("network.sent", Unit::Bitrate, "of all that went"),
    Quantity {
        zero_with: Some("connect"),
        ..new(
            "network.disconnected",
            Unit::Time,
            Kind::Samples,
            Statistic::Total,
            "for how long a connection that stood did not",
        )
    },
];

/// Other names of the same.
pub const ALIASES: &[(&str, &str)] = &[
    ("latency", "video.latency"),
    ("fps", "video.fps"),
    ("freeze", "video.freeze"),
    ("psnr", "video.psnr"),
    ("mos", "audio.mos"),
    ("video.lost", "video.missing"),
    ("rtt", "network.rtt"),
    ("loss", "network.loss"),
];

/// The quantity of a name, also of a statistic such as `inbound-rtp.video.framesDropped`.
#[must_use]
pub fn find(name: &str) -> Option<Quantity> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, of)| of);
    let known = CATALOGUE.iter().find(|quantity| quantity.name == name);
    known.copied().or_else(|| stats::find(name))
}

/// The known name that is most like this one.
#[must_use]
pub fn nearest(name: &str) -> Option<String> {
    let own = CATALOGUE.iter().map(|quantity| quantity.name.to_owned());
    let others = ALIASES.iter().map(|(alias, _)| (*alias).to_owned());
    own.chain(others)
        .chain(stats::names())
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(like, _)| *like > 0.6)
        .map(|(_, known)| known)
}

impl Quantity {
    /// Whether this may be asked of it.
    #[must_use]
    pub const fn has(&self, statistic: Statistic) -> bool {
        match self.kind {
            Kind::Once => matches!(statistic, Statistic::Value),
            Kind::Tally | Kind::Counter => {
                matches!(
                    statistic,
                    Statistic::Total | Statistic::Max | Statistic::Min
                )
            }
            Kind::Rate(_) => !matches!(statistic, Statistic::Value | Statistic::Total),
            Kind::Samples => !matches!(statistic, Statistic::Value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_what_they_refer_to_is_there() {
        let mut names = HashSet::new();
        for quantity in CATALOGUE {
            assert!(names.insert(quantity.name), "{}", quantity.name);
            assert!(quantity.has(quantity.usual), "{}", quantity.name);
            if let Some(of) = quantity.zero_with {
                assert!(find(of).is_some(), "{of}");
            }
            if let Kind::Rate(of) = quantity.kind {
                assert_eq!(find(of).map(|q| q.kind), Some(Kind::Tally), "{of}");
            }
        }
        for (alias, of) in ALIASES {
            assert!(
                names.insert(alias) && find(alias) == find(of) && find(of).is_some(),
                "{alias}"
            );
        }
    }

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        for (typed, meant) in [
            ("video.fsp", "video.fps"),
            ("vidoe.latency", "video.latency"),
            ("audio.gap", "audio.gaps"),
            ("conect", "connect"),
            (
                "inbound-rtp.video.framesDroped",
                "inbound-rtp.video.framesDropped",
            ),
        ] {
            assert_eq!(nearest(typed).as_deref(), Some(meant));
        }
        assert_eq!(nearest("zzzz"), None);
    }
}
