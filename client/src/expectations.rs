//! `rtc-client expectations`: what can be expected of a call, as people read it.

use std::fmt::Write;

use rtc_verdict::quantity::{ALIASES, CATALOGUE, Kind};
use rtc_verdict::stats;

const HEAD: &str = "\
What can be expected of a call: --expect 'QUANTITY[.STATISTIC] OP VALUE [after TIME] [until TIME] [for SHARE] [of PEER]'

  OP         <  <=  >  >=  ==  !=
  STATISTIC  min max mean median p0 to p100 total count last; without it the one in the list is meant
  after      what comes sooner after the connection stands does not count; until: nor what comes later
  for        it need not hold over the whole, but in this share of the seconds: for 95%
  of         of this peer alone; otherwise each of them is held to it

What was never measured fulfils no expectation. Examples:
  connect<2s                       video.fps>=25 after 2s          video.psnr.min>=30dB
  video.freeze<200ms               latency.p95<250ms               audio.gaps==0
  video.fps>=29 for 95%            audio.frequency>=439Hz of bob   inbound-rtp.video.framesDropped==0
";

/// The list.
pub(crate) fn list() -> String {
    let mut text = format!("{HEAD}\nQuantities:\n");
    for quantity in CATALOGUE {
        let usual = match quantity.kind {
            Kind::Once => "once".to_owned(),
            _ => quantity.usual.to_string(),
        };
        let _ = writeln!(text, "  {:<21} {usual:<6} {}", quantity.name, quantity.what);
    }
    text.push_str("\nOther names:\n");
    for (alias, of) in ALIASES {
        let _ = writeln!(text, "  {alias:<21} {of}");
    }
    text.push_str("\nStatistics of W3C webrtc-stats, counters by what they grew by:\n");
    for name in stats::names() {
        let _ = writeln!(text, "  {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_is_listed_here_and_explained_in_the_docs() {
        let list = list();
        let docs = include_str!("../../docs/verdicts.md");
        for quantity in CATALOGUE {
            assert!(list.contains(quantity.name), "{}", quantity.name);
            assert!(
                docs.contains(&format!("`{}`", quantity.name)),
                "{}",
                quantity.name
            );
        }
    }

    #[test]
    fn its_examples_are_expectations() {
        for line in HEAD
            .lines()
            .skip_while(|line| !line.contains("Examples"))
            .skip(1)
        {
            for text in line
                .split("  ")
                .map(str::trim)
                .filter(|text| !text.is_empty())
            {
                let read = text.parse::<rtc_verdict::Expectation>();
                assert!(read.is_ok(), "{text}: {read:?}");
            }
        }
    }
}
