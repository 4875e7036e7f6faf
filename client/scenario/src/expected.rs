//! What is expected of a step: `video.fps>=25 within 3s`, `bob: audio.level<-50dBFS after 1s`.

use std::time::Duration;

use rtc_verdict::Expectation;
use rtc_verdict::unit::Unit;

/// Who measures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observer {
    /// Whose step it is.
    Own,
    /// Somebody by name.
    Peer(String),
    /// Everybody.
    All,
}

/// One thing that is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// As it was written.
    pub text: String,
    /// Who measures it.
    pub observer: Observer,
    /// It has to hold over one second at least that ends no later than this after the step.
    pub within: Option<Duration>,
    /// What.
    pub expectation: Expectation,
}

impl Expected {
    /// Reads one.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = text.trim();
        let (observer, rest) = match whole.split_once(':') {
            Some((name, rest)) if !name.contains(['<', '>', '=', '!']) => {
                let name = name.trim();
                let observer = if name == "all" {
                    Observer::All
                } else {
                    Observer::Peer(name.to_owned())
                };
                (observer, rest.trim())
            }
            _ => (Observer::Own, whole),
        };
        let (rest, within) = match rest.rsplit_once(" within ") {
            Some((rest, time)) => (rest.trim(), Some(duration(time.trim())?)),
            None => (rest, None),
        };
        let expectation: Expectation = rest.parse().map_err(|error| format!("{error}"))?;
        if let Some(within) = within {
            if within < Duration::from_secs(1) {
                return Err(format!(
                    "{whole:?}: within less than a second nothing is known; write within 1s or more"
                ));
            }
            if expectation.until.is_some()
                || !expectation.after.is_zero()
                || expectation.share.is_some()
            {
                return Err(format!(
                    "{whole:?}: within goes neither with after, until nor for"
                ));
            }
        }
        Ok(Self {
            text: whole.to_owned(),
            observer,
            within,
            expectation,
        })
    }
}

/// A time with its unit: `500ms`, `2s`, `1min`.
///
/// # Errors
/// In words, where it is none, or longer than a day.
pub fn duration(text: &str) -> Result<Duration, String> {
    let millis = Unit::Time
        .parse(text)
        .map_err(|error| format!("{text:?}: {error}"))?;
    Duration::try_from_secs_f64(millis / 1e3)
        .ok()
        .filter(|time| *time <= Duration::from_secs(86_400))
        .ok_or_else(|| format!("{text:?} is not between 0 and a day"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_measures_and_how_soon_are_read() {
        let read = Expected::parse("bob: video.fps>=25 of ann within 3s").unwrap();
        assert_eq!(read.observer, Observer::Peer("bob".into()));
        assert_eq!(read.within, Some(Duration::from_secs(3)));
        assert_eq!(read.expectation.text, "video.fps>=25 of ann");
        let read = Expected::parse("audio.level<-50dBFS after 1s").unwrap();
        assert_eq!((read.observer, read.within), (Observer::Own, None));
        assert_eq!(
            Expected::parse("all: fps>=1").unwrap().observer,
            Observer::All
        );
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for (text, told) in [
            ("video.fsp>=25", "Did you mean video.fps?"),
            ("fps>=25 within 3", "has no unit"),
            ("fps>=25 within 300ms", "less than a second"),
            ("fps>=25 after 1s within 3s", "neither with after"),
            ("bob: fps", "compares nothing"),
        ] {
            let error = Expected::parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn times_have_units_and_an_end() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(
            duration("-1s").is_err() && duration("9999999s").is_err() && duration("x").is_err()
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            let _ = Expected::parse(&text);
        }
    }
}
