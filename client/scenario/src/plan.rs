//! Who does what when.

use std::time::Duration;

use crate::action::Action;
use crate::scenario::Scenario;
use crate::seed::Luck;

/// One thing that somebody does.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// When, from the beginning on.
    pub at: Duration,
    /// Who.
    pub peer: usize,
    /// Which step it belongs to; none for its coming by itself.
    pub step: Option<usize>,
    /// Whether it ends what the step began.
    pub ends: bool,
    /// What.
    pub action: Action,
    /// For how long the page may be waited for.
    pub patience: Option<Duration>,
}

/// All that is done, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What.
    pub deeds: Vec<Deed>,
    /// How long it all lasts.
    pub duration: Duration,
}

impl Scenario {
    /// Makes the plan; of times that are left to chance the seed decides.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        let mut luck = Luck::new(seed);
        let mut deeds = Vec::new();
        for (peer, one) in self.peers.iter().enumerate() {
            deeds.extend(one.join.map(|at| Deed {
                at,
                peer,
                step: None,
                ends: false,
                action: Action::Rejoin,
                patience: None,
            }));
        }
        for (number, step) in self.steps.iter().enumerate() {
            let (from, to) = step.at;
            let at = to.map_or(from, |to| from + (to - from).mul_f64(luck.share()));
            let deed = |at, action, ends| Deed {
                at,
                peer: step.peer,
                step: Some(number),
                ends,
                action,
                patience: step.lasting,
            };
            deeds.push(deed(at, step.action.clone(), false));
            if let (Some(lasting), Some(undone)) = (step.lasting, step.action.undone()) {
                deeds.push(deed(at + lasting, undone, true));
            }
        }
        // What is at one time stays in the file's order.
        deeds.sort_by_key(|deed| deed.at);
        Plan {
            deeds,
            duration: self.duration,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = r#"
[[peer]]
name = "ann"
[[peer]]
name = "bob"
join = "1s"
[[step]]
at = "4s..6s"
peer = "ann"
do = "network lost"
for = "2s"
[[step]]
at = "2s"
peer = "bob"
do = "mute audio"
"#;

    #[test]
    fn equal_seeds_make_equal_plans() {
        let scenario = crate::read(TEXT, "x").unwrap();
        assert_eq!(scenario.plan(7), scenario.plan(7));
        assert_ne!(scenario.plan(7), scenario.plan(8));
    }

    #[test]
    fn deeds_stand_in_the_order_of_their_times_and_what_lasts_ends() {
        let plan = crate::read(TEXT, "x").unwrap().plan(7);
        let order: Vec<_> = plan
            .deeds
            .iter()
            .map(|deed| (deed.step, deed.ends))
            .collect();
        assert_eq!(
            order,
            [
                (None, false),
                (None, false),
                (Some(1), false),
                (Some(0), false),
                (Some(0), true)
            ]
        );
        assert_eq!(plan.deeds[4].at - plan.deeds[3].at, Duration::from_secs(2));
        assert!((4..6).contains(&plan.deeds[3].at.as_secs()));
        assert!(plan.deeds[4].at < plan.duration);
    }
}
