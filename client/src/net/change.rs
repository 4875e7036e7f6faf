//! When the network has changed under a running call, as a pure rule.
//!
//! Addresses come and go in steps: an interface goes down, another comes up, its IPv6 address is ready a second later. So
//! a change counts once it has stayed the same for a while, and only when there is a network again.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

/// Addresses that have stayed the same for so long are settled.
const SETTLED: Duration = Duration::from_millis(900);

/// A clock of the calendar that is ahead of one that stands still in sleep by this much tells of a sleep. Paths through
/// NATs last half a minute or more; shorter naps do no harm.
const SLEPT: Duration = Duration::from_secs(10);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Addresses are others.
    Addresses {
        /// Not there any more.
        gone: Vec<IpAddr>,
        /// New.
        come: Vec<IpAddr>,
    },
    /// The machine slept: what it was connected by is forgotten on the way.
    Slept(Duration),
}

impl Change {
    /// Whether a connection that uses this local address needs a new way.
    #[must_use]
    pub fn breaks(&self, used: Option<IpAddr>) -> bool {
        match self {
            Self::Addresses { gone, .. } => {
                used.map_or(!gone.is_empty(), |used| gone.contains(&used))
            }
            Self::Slept(_) => true,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &[IpAddr]| {
            let all: Vec<_> = all.iter().map(ToString::to_string).collect();
            all.join(", ")
        };
        match self {
            Self::Addresses { gone, come } => {
                f.write_str("the network has changed:")?;
                if !gone.is_empty() {
                    write!(f, " {} went", list(gone))?;
                }
                if !gone.is_empty() && !come.is_empty() {
                    f.write_str(",")?;
                }
                if !come.is_empty() {
                    write!(f, " {} came", list(come))?;
                }
                Ok(())
            }
            Self::Slept(long) => write!(f, "this machine slept for {} s", long.as_secs()),
        }
    }
}

/// What is known of the network.
#[derive(Debug, Default)]
pub struct Networks {
    /// What connections count on.
    known: Option<Vec<IpAddr>>,
    /// What there is, and since when.
    seen: Option<(Vec<IpAddr>, Instant)>,
    clocks: Option<(Instant, SystemTime)>,
}

impl Networks {
    /// Takes the addresses that calls would use now, and both clocks; gives what has happened, once.
    pub fn observe(
        &mut self,
        now: Instant,
        calendar: SystemTime,
        mut addresses: Vec<IpAddr>,
    ) -> Option<Change> {
        let slept = self.slept(now, calendar);
        addresses.sort_unstable();
        addresses.dedup();
        let since = match self.seen.take() {
            Some((seen, since)) if seen == addresses => since,
            _ => now,
        };
        self.seen = Some((addresses.clone(), since));
        if slept.is_some() {
            return slept;
        }
        let Some(known) = &self.known else {
            self.known = Some(addresses);
            return None;
        };
        let nowhere = addresses.iter().all(IpAddr::is_loopback);
        let early = now.saturating_duration_since(since) < SETTLED;
        if *known == addresses || nowhere || early {
            return None;
        }
        let missing = |all: &[IpAddr], of: &[IpAddr]| -> Vec<IpAddr> {
            of.iter().filter(|ip| !all.contains(ip)).copied().collect()
        };
        let change = Change::Addresses {
            gone: missing(&addresses, known),
            come: missing(known, &addresses),
        };
        self.known = Some(addresses);
        Some(change)
    }

    /// Whether there is no network at this moment where there was one: nothing can be mended now.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let nowhere = |all: &[IpAddr]| all.iter().all(IpAddr::is_loopback);
        let known = self.known.as_deref().unwrap_or_default();
        let seen = self.seen.as_ref().map(|(seen, _)| seen.as_slice());
        !nowhere(known) && seen.is_some_and(nowhere)
    }

    fn slept(&mut self, now: Instant, calendar: SystemTime) -> Option<Change> {
        let (then, before) = self.clocks.replace((now, calendar))?;
        let awake = now.saturating_duration_since(then);
        let passed = calendar.duration_since(before).ok()?;
        let slept = passed.saturating_sub(awake);
        (slept >= SLEPT).then_some(Change::Slept(slept))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Rig {
        networks: Networks,
        now: Instant,
        calendar: SystemTime,
    }

    impl Rig {
        fn new() -> Self {
            Self {
                networks: Networks::default(),
                now: Instant::now(),
                calendar: SystemTime::UNIX_EPOCH,
            }
        }

        fn after(&mut self, millis: u64, addresses: &[&str]) -> Option<Change> {
            self.now += Duration::from_millis(millis);
            self.calendar += Duration::from_millis(millis);
            let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
            self.networks.observe(self.now, self.calendar, addresses)
        }
    }

    #[test]
    fn another_address_is_told_once_it_has_settled() {
        let mut rig = Rig::new();
        assert_eq!(rig.after(0, &["192.0.2.1"]), None);
        assert_eq!(rig.after(1_000, &["192.0.2.1"]), None);
        assert_eq!(
            rig.after(1_000, &["127.0.0.1"]),
            None,
            "no network is no way out"
        );
        assert_eq!(rig.after(9_000, &["127.0.0.1"]), None);
        assert!(rig.networks.is_away());
        assert_eq!(
            rig.after(1_000, &["198.51.100.1"]),
            None,
            "it may not be all yet"
        );
        assert!(!rig.networks.is_away());
        assert_eq!(rig.after(500, &["198.51.100.1", "2001:db8::1"]), None);
        let change = rig.after(1_000, &["2001:db8::1", "198.51.100.1"]).unwrap();
        assert_eq!(
            change.to_string(),
            "the network has changed: 192.0.2.1 went, 198.51.100.1, 2001:db8::1 came"
        );
        assert!(change.breaks(Some("192.0.2.1".parse().unwrap())));
        assert!(change.breaks(None));
        assert!(!change.breaks(Some("198.51.100.1".parse().unwrap())));
        assert_eq!(rig.after(1_000, &["2001:db8::1", "198.51.100.1"]), None);
    }

    #[test]
    fn what_comes_back_as_it_was_has_not_changed() {
        let mut rig = Rig::new();
        let _ = rig.after(0, &["192.0.2.1"]);
        for _ in 0..5 {
            assert_eq!(rig.after(500, &[]), None);
            assert_eq!(rig.after(500, &["192.0.2.1", "192.0.2.2"]), None);
        }
        assert_eq!(rig.after(1_000, &["192.0.2.1"]), None);
        assert_eq!(rig.after(1_000, &["192.0.2.1"]), None);
    }

    #[test]
    fn one_more_address_breaks_nothing() {
        let mut rig = Rig::new();
        let _ = rig.after(0, &["192.0.2.1"]);
        let both = ["192.0.2.1", "192.0.2.2"];
        assert_eq!(rig.after(1_000, &both), None);
        let change = rig.after(1_000, &both).unwrap();
        assert_eq!(
            change.to_string(),
            "the network has changed: 192.0.2.2 came"
        );
        assert!(!change.breaks(Some("192.0.2.1".parse().unwrap())));
        assert!(!change.breaks(None));
    }

    #[test]
    fn a_calendar_ahead_of_the_clock_tells_of_a_sleep() {
        let mut rig = Rig::new();
        let _ = rig.after(0, &["192.0.2.1"]);
        rig.calendar += Duration::from_secs(5);
        assert_eq!(
            rig.after(1_000, &["192.0.2.1"]),
            None,
            "set right, or a nap"
        );
        rig.calendar += Duration::from_secs(3_600);
        let change = rig.after(1_000, &["192.0.2.1"]).unwrap();
        assert_eq!(change, Change::Slept(Duration::from_secs(3_600)));
        assert!(change.breaks(Some("192.0.2.1".parse().unwrap())));
        rig.calendar -= Duration::from_secs(3_600);
        assert_eq!(
            rig.after(1_000, &["192.0.2.1"]),
            None,
            "a calendar set back"
        );
        // A busy machine that looked late has not slept.
        assert_eq!(rig.after(60_000, &["192.0.2.1"]), None);
    }
}
