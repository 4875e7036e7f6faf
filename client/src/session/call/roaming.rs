//! When the machine goes from one network to another, and the call with it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::Call;
use crate::net::interfaces;

impl Call {
    /// Looks whether the network is still the one that connections were made over; those that lose their way get another
    /// by an ICE restart (RFC 8445, section 2.4). A new address alone changes nothing for who is well: a restart interrupts.
    pub(super) async fn watch_network(&mut self) {
        let present = match interfaces::present() {
            Ok(present) => present,
            Err(error) => return tracing::debug!("the system does not say its addresses: {error}"),
        };
        let addresses = self.options.network.of(&present);
        let calendar = SystemTime::now();
        let Some(change) = self.networks.observe(Instant::now(), calendar, addresses) else {
            return;
        };
        tracing::info!("{change}");
        if change.breaks(None) {
            // The way of restarts goes first.
            self.signaling.anew().await;
        }
        if !self.signaling.terms().restarts {
            return;
        }
        let (mut names, mut restart) = (Vec::new(), Vec::new());
        for far in self.far.values() {
            let Some(link) = far.link.as_ref().filter(|_| far.present && !far.by_http) else {
                continue;
            };
            if link.unwell_since.is_some() || change.breaks(link.local) {
                names.push(far.who.name.clone());
                restart.push(Arc::clone(&link.peer));
            }
        }
        if restart.is_empty() {
            return;
        }
        let names = names.join(", ");
        self.notice(format!("{change}; a new way to {names} is looked for"));
        for peer in restart {
            peer.restart_ice().await;
        }
    }
}

/// The address of this machine that a connection goes by, as its statistics say: the candidate's own, or the one behind it.
pub(super) fn local_address(report: &Value) -> Option<IpAddr> {
    let all = report.as_object()?;
    let transport = all.values().find(|s| s["type"] == "transport")?;
    let pair = all.get(transport["selectedCandidatePairId"].as_str()?)?;
    let local = all.get(pair["localCandidateId"].as_str()?)?;
    let address = |key: &str| local[key].as_str()?.parse().ok();
    address("relatedAddress").or_else(|| address("address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(local: &Value) -> Value {
        json!({
            "T": {"type": "transport", "selectedCandidatePairId": "P"},
            "P": {"type": "candidate-pair", "localCandidateId": "L"},
            "L": local,
        })
    }

    #[test]
    fn the_address_behind_a_candidate_is_the_machines() {
        let host = json!({"address": "192.0.2.1", "relatedAddress": ""});
        assert_eq!(local_address(&report(&host)), Some([192, 0, 2, 1].into()));
        let relay = json!({"address": "203.0.113.1", "relatedAddress": "192.0.2.1"});
        assert_eq!(local_address(&report(&relay)), Some([192, 0, 2, 1].into()));
        assert_eq!(local_address(&json!({})), None);
    }
}
