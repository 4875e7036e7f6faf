//! How speech would be rated, by the E-model of ITU-T G.107 with the inputs that a call knows.
//!
//! All other inputs are the recommendation's own (no noise, no loudness or echo that disturbs), where R without delay and loss is
//! 93.2. Of Opus no equipment impairment is published; taken are Ie = 0 and, for what concealment cannot hide, Bpl = 25.1, which
//! ITU-T G.113 (appendix I) has for G.711 with concealment. So it compares calls with one another; it is no listening test.

/// R of a call without delay and loss (G.107, section 7.7, with its default values).
const BEST: f64 = 93.2;
const EQUIPMENT: f64 = 0.0;
const ROBUSTNESS: f64 = 25.1;

/// What a call knows of its sound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Inputs {
    /// From mouth to ear, milliseconds.
    pub delay_ms: f64,
    /// Share of the sound that was invented for what was lost, 0 to 1.
    pub concealed: f64,
    /// How much longer losses are than by chance; 1 where they are by chance.
    pub burst_ratio: f64,
}

/// The transmission rating R.
#[must_use]
pub fn rating(inputs: Inputs) -> f64 {
    let lost = 100.0 * inputs.concealed.clamp(0.0, 1.0);
    let burst = inputs.burst_ratio.max(1.0);
    let equipment = EQUIPMENT + (95.0 - EQUIPMENT) * lost / (lost / burst + ROBUSTNESS);
    BEST - delay_impairment(inputs.delay_ms) - equipment
}

/// Idd of section 7.4: delay alone, without echo.
fn delay_impairment(delay_ms: f64) -> f64 {
    if delay_ms <= 100.0 {
        return 0.0;
    }
    let x = (delay_ms / 100.0).log2();
    let sixth = |base: f64| (1.0 + base.powi(6)).powf(1.0 / 6.0);
    25.0 * (sixth(x) - 3.0 * sixth(x / 3.0) + 2.0)
}

/// Mean opinion score, 1 to 4.5, of a rating (annex B).
#[must_use]
pub fn of_rating(r: f64) -> f64 {
    if r <= 0.0 {
        return 1.0;
    }
    if r >= 100.0 {
        return 4.5;
    }
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

/// The score of a call.
#[must_use]
pub fn score(inputs: Inputs) -> f64 {
    of_rating(rating(inputs))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recommendation's own figures: annex B's table of ratings and scores, and Idd at some delays.
    #[test]
    fn figures_of_the_recommendation_are_met() {
        for (r, mos) in [
            (93.2, 4.41),
            (90.0, 4.34),
            (80.0, 4.02),
            (70.0, 3.6),
            (60.0, 3.1),
            (50.0, 2.58),
        ] {
            assert!((of_rating(r) - mos).abs() < 0.01, "{r}: {}", of_rating(r));
        }
        for (delay, idd) in [
            (100.0, 0.0),
            (150.0, 0.3),
            (200.0, 3.0),
            (300.0, 14.0),
            (400.0, 24.0),
        ] {
            let got = delay_impairment(delay);
            assert!((got - idd).abs() < 2.0, "{delay} ms: {got}");
        }
    }

    #[test]
    fn more_delay_or_loss_is_never_better() {
        let score_of = |delay_ms, concealed| {
            score(Inputs {
                delay_ms,
                concealed,
                burst_ratio: 1.0,
            })
        };
        for step in 0..40 {
            let (delay, lost) = (f64::from(step) * 20.0, f64::from(step) * 0.02);
            assert!(score_of(delay + 20.0, 0.0) <= score_of(delay, 0.0));
            assert!(score_of(0.0, lost + 0.02) <= score_of(0.0, lost));
        }
        assert!((score_of(0.0, 0.0) - 4.41).abs() < 0.01);
        assert!(score_of(0.0, 1.0) >= 1.0);
    }
}
