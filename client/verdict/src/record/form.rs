//! A record as a file: every value with its time, so that who reads it may judge it as who measured it would.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{PeerRecord, Record, Sample, Series};
use crate::report::SamplePicture;

/// Version of this form; raised when a member changes its meaning or goes.
const VERSION: u32 = 1;

/// A record, what came of its call, and some of what was seen in it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Whether the call itself came to a good end.
    pub held: bool,
    /// What came of it, in words.
    pub words: String,
    /// What was measured.
    pub record: Record,
    /// Some of what was received.
    pub pictures: Vec<SamplePicture>,
}

/// Why a text is no record.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It is none at all.
    #[error("this is no record: {0}")]
    None(#[from] serde_json::Error),
    /// It was written by another version.
    #[error("this is a record of version {0}, and version {VERSION} is read")]
    Version(u32),
    /// A picture in it is none.
    #[error("a picture in the record cannot be read: {0}")]
    Picture(#[from] base64::DecodeError),
    /// A time in it is none.
    #[error("{0} is no time in a record")]
    Time(f64),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    v: u32,
    /// Seconds since the Unix epoch.
    began: f64,
    seconds: f64,
    held: bool,
    words: String,
    peers: BTreeMap<String, Peer>,
    pictures: Vec<Picture>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    name: String,
    since: f64,
    connected: Option<f64>,
    until: Option<f64>,
    notes: Vec<(f64, String)>,
    /// Times and values by quantity.
    values: BTreeMap<String, Vec<(f64, f64)>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Picture {
    peer: String,
    at: f64,
    caption: String,
    png: String,
}

impl Told {
    /// As JSON.
    ///
    /// # Errors
    /// When it has no such form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        write(self.held, &self.words, &self.record, &self.pictures)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// When the text is none.
    pub fn from_json(text: &str) -> Result<Self, FormError> {
        let form: Form = serde_json::from_str(text)?;
        if form.v != VERSION {
            return Err(FormError::Version(form.v));
        }
        let mut record = Record {
            end: time(form.seconds)?,
            began: time(form.began)?,
            ..Record::default()
        };
        for (id, peer) in form.peers {
            record.peers.insert(id, read_peer(peer)?);
        }
        let picture = |picture: Picture| {
            Ok(SamplePicture {
                peer: picture.peer,
                at: time(picture.at)?,
                caption: picture.caption,
                png: BASE64_STANDARD.decode(picture.png)?,
            })
        };
        Ok(Self {
            held: form.held,
            words: form.words,
            record,
            pictures: form
                .pictures
                .into_iter()
                .map(picture)
                .collect::<Result<_, FormError>>()?,
        })
    }
}

/// As JSON.
pub(crate) fn write(
    held: bool,
    words: &str,
    record: &Record,
    pictures: &[SamplePicture],
) -> Result<String, serde_json::Error> {
    let picture = |picture: &SamplePicture| Picture {
        peer: picture.peer.clone(),
        at: picture.at.as_secs_f64(),
        caption: picture.caption.clone(),
        png: BASE64_STANDARD.encode(&picture.png),
    };
    let form = Form {
        v: VERSION,
        began: record.began.as_secs_f64(),
        seconds: record.end.as_secs_f64(),
        held,
        words: words.to_owned(),
        peers: record
            .peers
            .iter()
            .map(|(id, peer)| (id.clone(), write_peer(peer)))
            .collect(),
        pictures: pictures.iter().map(picture).collect(),
    };
    serde_json::to_string(&form)
}

fn write_peer(peer: &PeerRecord) -> Peer {
    let values = |(name, series): (&String, &Series)| {
        let all = series.samples.iter();
        let all = all.map(|sample| (sample.at.as_secs_f64(), sample.value));
        (name.clone(), all.collect())
    };
    Peer {
        name: peer.name.clone(),
        since: peer.since.as_secs_f64(),
        connected: peer.connected.map(|at| at.as_secs_f64()),
        until: peer.until.map(|at| at.as_secs_f64()),
        notes: peer
            .notes
            .iter()
            .map(|(at, text)| (at.as_secs_f64(), text.clone()))
            .collect(),
        values: peer.series.iter().map(values).collect(),
    }
}

fn read_peer(peer: Peer) -> Result<PeerRecord, FormError> {
    let mut read = PeerRecord {
        name: peer.name,
        since: time(peer.since)?,
        connected: peer.connected.map(time).transpose()?,
        until: peer.until.map(time).transpose()?,
        ..PeerRecord::default()
    };
    for (at, text) in peer.notes {
        read.note(time(at)?, text);
    }
    for (name, values) in peer.values {
        let mut series = Series::default();
        for (at, value) in values {
            let at = time(at)?;
            // They stand in order in what we wrote; in what others did they may not.
            match series.samples.back() {
                Some(Sample { at: last, .. }) if *last > at => series.push(at, value),
                _ => series.samples.push_back(Sample { at, value }),
            }
        }
        read.series.insert(name, series);
    }
    Ok(read)
}

fn time(seconds: f64) -> Result<Duration, FormError> {
    Duration::try_from_secs_f64(seconds).map_err(|_| FormError::Time(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::{Expectation, judge::judge};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn what_is_read_is_judged_as_what_was_written() {
        let mut record = Record::default();
        let peer = record.peer("1", "bob", MS(3));
        peer.connected(MS(40));
        peer.once("connect", MS(40), MS(37));
        for at in 0..90 {
            peer.add("video.frames", MS(50 + 33 * at), 1.0);
            peer.add("video.latency", MS(50 + 33 * at), 20.0 + at as f64 / 7.0);
        }
        peer.note(MS(700), "the connection is back");
        peer.left(MS(4_000));
        record.begin_at(Duration::from_micros(1_700_000_000_123_456));
        record.end(MS(5_000));
        let told = Told {
            held: true,
            words: "well".into(),
            record,
            pictures: vec![SamplePicture {
                peer: "bob".into(),
                at: MS(9),
                caption: "the first".into(),
                png: vec![1, 2, 3],
            }],
        };
        let read = Told::from_json(&told.to_json().unwrap()).unwrap();
        assert_eq!(read.pictures, told.pictures);
        assert!(read.record.began().abs_diff(told.record.began()) < Duration::from_micros(2));
        let expected: Vec<Expectation> =
            ["connect<30ms", "latency.p95<30ms", "video.fps>=29 after 1s"]
                .map(|text| text.parse().unwrap())
                .to_vec();
        let [before, after] = [&told, &read].map(|told| judge(&told.record, &expected));
        assert_eq!(before, after);
    }

    #[test]
    fn what_is_no_record_is_refused_in_words() {
        for (text, told) in [
            ("{", "this is no record"),
            (
                r#"{"v":9,"began":0,"seconds":0,"held":true,"words":"","peers":{},"pictures":[]}"#,
                "version 9",
            ),
            (
                r#"{"v":1,"began":0,"seconds":-1,"held":true,"words":"","peers":{},"pictures":[]}"#,
                "-1 is no time",
            ),
        ] {
            let error = Told::from_json(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,120}") {
            let _ = Told::from_json(&text);
        }
    }
}
