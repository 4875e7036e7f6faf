//! Which repair packet covers which media packets.

use super::COVERED;

/// How losses come on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losses {
    /// One here, one there.
    Single,
    /// Several in a row.
    Bursts,
}

/// For each of `repairs` repair packets the media packets it covers, of `media`: bit 0 is the first.
///
/// Against bursts neighbours are in different repair packets, each in one alone. Against single losses some are in two: more pairs of
/// losses then leave a repair packet that misses one packet only.
#[must_use]
pub fn masks(media: usize, repairs: usize, losses: Losses) -> Vec<u64> {
    let media = media.min(COVERED);
    let repairs = repairs.min(media);
    let mut masks = vec![0; repairs];
    let mut cover = |repair: usize, packet: usize| {
        if let Some(mask) = masks.get_mut(repair) {
            *mask |= 1_u64 << packet;
        }
    };
    let pairs = (0..repairs).flat_map(|one| (one + 1..repairs).map(move |two| (one, two)));
    let each = (0..repairs).map(|one| (one, one));
    let ways: Vec<(usize, usize)> = match losses {
        Losses::Bursts => each.collect(),
        Losses::Single => each.chain(pairs).collect(),
    };
    for (packet, (one, two)) in (0..media).zip(ways.iter().cycle()) {
        cover(*one, packet);
        cover(*two, packet);
    }
    masks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Whether repair packets bring back all of these.
    fn recovers(masks: &[u64], mut lost: u64) -> bool {
        while lost != 0 {
            let Some(mask) = masks.iter().find(|mask| (*mask & lost).count_ones() == 1) else {
                return false;
            };
            lost &= !mask;
        }
        true
    }

    fn share_of_pairs(media: usize, repairs: usize, losses: Losses) -> f64 {
        let masks = masks(media, repairs, losses);
        let pairs = (0..media).flat_map(|a| (a + 1..media).map(move |b| 1 << a | 1 << b));
        let (mut all, mut good) = (0.0, 0.0);
        for lost in pairs {
            all += 1.0;
            good += f64::from(u8::from(recovers(&masks, lost)));
        }
        good / all
    }

    #[test]
    fn every_packet_is_covered_and_one_loss_is_always_made_good() {
        for losses in [Losses::Single, Losses::Bursts] {
            for media in 1..=COVERED {
                for repairs in 1..=media {
                    let masks = masks(media, repairs, losses);
                    assert_eq!(masks.len(), repairs);
                    for packet in 0..media {
                        assert!(recovers(&masks, 1 << packet), "{media} {repairs}");
                    }
                    assert!(masks.iter().all(|mask| *mask != 0));
                }
            }
        }
    }

    #[test]
    fn a_burst_as_long_as_there_are_repair_packets_is_made_good() {
        for (media, repairs) in [(10, 3), (48, 8), (5, 2)] {
            let masks = masks(media, repairs, Losses::Bursts);
            for first in 0..=media - repairs {
                assert!(
                    recovers(&masks, ((1 << repairs) - 1) << first),
                    "{media} {first}"
                );
            }
        }
    }

    #[test]
    fn more_pairs_of_single_losses_are_made_good_where_packets_are_covered_twice() {
        for (media, repairs) in [(12, 2), (20, 3), (40, 4)] {
            let single = share_of_pairs(media, repairs, Losses::Single);
            let bursts = share_of_pairs(media, repairs, Losses::Bursts);
            assert!(single > bursts, "{media} {repairs}: {single} {bursts}");
        }
    }

    #[test]
    fn what_cannot_be_is_cut_to_what_can() {
        assert!(masks(0, 3, Losses::Single).is_empty());
        assert_eq!(masks(100, 1, Losses::Single), [(1 << 48) - 1]);
    }
}
