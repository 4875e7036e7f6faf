//! What the findings mean together: advice, and the exit code. Pure.

use super::url::By;
use crate::event::doctor::{Finding, Health};
use crate::exit::Ending;

/// What is said of a relay that does not take our credential.
pub(super) const NOT_TAKEN: &str = "it does not take user and credential";

/// What is known of a server beyond its finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) relays: bool,
    pub(super) by: By,
    pub(super) health: Health,
}

/// Whether media will find a way.
fn media(tried: &[Tried]) -> Health {
    let works = |tried: &&Tried| matches!(tried.health, Health::Ok | Health::Warning);
    if tried.is_empty() {
        return Health::Unknown;
    }
    match tried.iter().filter(works).count() {
        0 => Health::Failed,
        all if all == tried.len() => Health::Ok,
        _ => Health::Warning,
    }
}

/// What a person should do, most needed first.
pub(super) fn advice(findings: &[Finding], tried: &[Tried]) -> Vec<String> {
    let mut advice = Vec::new();
    let works = |tried: &Tried| matches!(tried.health, Health::Ok | Health::Warning);
    let of = |relays: bool, by: By| {
        tried
            .iter()
            .filter(move |t| t.relays == relays && t.by == by)
    };
    let failed = |check: &str| {
        let mut all = findings.iter().filter(|f| f.check == check);
        all.any(|f| f.health == Health::Failed)
    };
    let bad = |check: &str| {
        let mut all = findings.iter().filter(|f| f.check == check);
        all.any(|f| f.health == Health::Warning)
    };
    if failed("signaling") {
        advice.push(
            "without the signaling server nobody finds anybody: start one with `rtc-server`, or check --server, name and firewall"
                .to_owned(),
        );
    }
    let udp: Vec<&Tried> = tried.iter().filter(|t| t.by == By::Udp).collect();
    let streams: Vec<&Tried> = tried.iter().filter(|t| t.by != By::Udp).collect();
    let udp_works = udp.iter().any(|t| works(t));
    let streams_work = streams.iter().any(|t| works(t));
    if !udp.is_empty() && !udp_works {
        if streams_work {
            advice.push(
                "UDP gets no answer, and TCP or TLS does: UDP is blocked here, or the server's UDP port is. Calls go by TURN over TCP or TLS, with more delay; allow UDP to the server's port if you can"
                    .to_owned(),
            );
        } else if streams.is_empty() {
            advice.push(
                "UDP gets no answer. Allow it in the firewall; for networks that block it give rtc-server --turn and --turn-tls, which serve TCP and TLS, too"
                    .to_owned(),
            );
        } else {
            advice.push(
                "no STUN or TURN server answers by UDP, TCP or TLS: check that it runs, its address (--turn-host), and the firewall before it"
                    .to_owned(),
            );
        }
    }
    if tried.iter().any(|t| t.relays && t.health == Health::Failed) && udp_works {
        let text = findings.iter().filter(|f| f.check == "turn");
        if text.clone().any(|f| f.text.contains(NOT_TAKEN)) {
            advice.push(
                "a TURN server does not take the credential: check user and credential, and that both servers have the same secret (--turn-secret) and clock"
                    .to_owned(),
            );
        }
    }
    if tried.is_empty() {
        advice.push(
            "no STUN or TURN server is known: calls work within one network; across networks give rtc-server --turn ADDR:PORT, or --ice-server"
                .to_owned(),
        );
    } else if !tried.iter().any(|t| t.relays) {
        advice.push(
            "no TURN server is known: where both sides are behind strict NATs or UDP is blocked, calls will not connect; give rtc-server --turn ADDR:PORT"
                .to_owned(),
        );
    } else if of(true, By::Tls).next().is_none() && of(true, By::Tcp).next().is_none() {
        advice.push(
            "TURN is offered by UDP alone: where UDP is blocked, calls will not connect; give rtc-server --turn-tls ADDR:443"
                .to_owned(),
        );
    }
    if bad("nat") {
        advice.push(
            "your NAT gives each peer another address: two such peers connect by way of TURN alone"
                .to_owned(),
        );
    }
    if bad("path") {
        advice.push(
            "the path loses or delays packets: use a cable instead of radio, or a nearer server; `--audio-red on` helps sound".to_owned(),
        );
    }
    if failed("mtu") {
        advice.push("raise the MTU of the VPN or tunnel to 1280 bytes at least".to_owned());
    }
    advice
}

/// How the process ends.
pub(super) fn ending(findings: &[Finding], tried: &[Tried]) -> Ending {
    let failed = |check: &str| {
        let mut all = findings.iter().filter(|f| f.check == check);
        all.any(|f| f.health == Health::Failed)
    };
    let refused = |f: &&Finding| f.check == "turn" && f.text.contains(NOT_TAKEN);
    if failed("signaling") {
        Ending::NoServer
    } else if findings.iter().any(|f| refused(&f)) {
        Ending::Refused
    } else if media(tried) == Health::Failed || failed("mtu") {
        Ending::NeverConnected
    } else {
        Ending::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: &str, health: Health) -> Finding {
        Finding {
            check: check.to_owned(),
            target: None,
            health,
            text: String::new(),
            figures: Default::default(),
        }
    }

    const fn tried(relays: bool, by: By, health: Health) -> Tried {
        Tried { relays, by, health }
    }

    #[test]
    fn all_well_needs_no_advice() {
        let findings = [found("signaling", Health::Ok), found("nat", Health::Ok)];
        let all = [
            tried(false, By::Udp, Health::Ok),
            tried(true, By::Udp, Health::Ok),
            tried(true, By::Tls, Health::Ok),
        ];
        assert_eq!(advice(&findings, &all), Vec::<String>::new());
        assert_eq!(ending(&findings, &all), Ending::Done);
    }

    #[test]
    fn blocked_udp_is_told_from_a_dead_server() {
        let findings = [found("signaling", Health::Ok)];
        let mut all = vec![
            tried(false, By::Udp, Health::Failed),
            tried(true, By::Tcp, Health::Ok),
        ];
        assert!(advice(&findings, &all)[0].contains("UDP is blocked"));
        assert_eq!(ending(&findings, &all), Ending::Done);
        all[1].health = Health::Failed;
        assert!(advice(&findings, &all)[0].contains("check that it runs"));
        assert_eq!(ending(&findings, &all), Ending::NeverConnected);
        all.pop();
        assert!(advice(&findings, &all)[0].contains("--turn-tls"));
    }

    #[test]
    fn without_a_server_nothing_else_counts() {
        let findings = [found("signaling", Health::Failed)];
        assert_eq!(ending(&findings, &[]), Ending::NoServer);
        let alone = [found("signaling", Health::Warning)];
        assert_eq!(ending(&alone, &[]), Ending::Done, "a client starts one");
    }
}
