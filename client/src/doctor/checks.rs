//! What is tried at STUN and TURN servers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::carrier::{Carrier, PATIENCE, socket_for, words};
use super::stun::{self, Change, Proof};
use super::url::{By, IceUrl};
use super::verdict::NOT_TAKEN;
use crate::event::doctor::{Finding, Health};
use crate::trust::Trust;

/// Probes of the path, and the time between two of them.
const PROBES: usize = 50;
const APART: Duration = Duration::from_millis(20);

/// Bytes of UDP that are tried, largest first: what Ethernet, PPPoE, most tunnels and IPv6's least carry below IPv4 and UDP.
const SIZES: [usize; 5] = [1472, 1452, 1372, 1232, 548];

/// What a call's packets need at least.
const NEEDED: usize = 1232;

/// A server with its URL, who we are there, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) url: IceUrl,
    pub(super) user: String,
    pub(super) password: String,
}

pub(super) fn finding(
    check: &str,
    target: Option<&IceUrl>,
    health: Health,
    text: String,
) -> Finding {
    Finding {
        check: check.to_owned(),
        target: target.map(ToString::to_string),
        health,
        text,
        figures: Default::default(),
    }
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The addresses of a server.
pub(super) async fn resolve(url: &IceUrl) -> Result<Vec<SocketAddr>, String> {
    let found = timeout(PATIENCE, lookup_host((url.host.as_str(), url.port))).await;
    match found {
        Ok(Ok(found)) => {
            let all: Vec<SocketAddr> = found.collect();
            if all.is_empty() {
                Err(format!("{} has no address", url.host))
            } else {
                Ok(all)
            }
        }
        Ok(Err(error)) => Err(format!("{} cannot be resolved: {error}", url.host)),
        Err(_) => Err(format!("{} cannot be resolved: no answer", url.host)),
    }
}

/// Asks a STUN server who we are.
pub(super) async fn stun(url: IceUrl, trust: Trust) -> Finding {
    let tried = async {
        let to = resolve(&url).await?[0];
        let mut carrier = Carrier::open(&url, to, &trust)
            .await
            .map_err(|e| words(&e))?;
        let began = Instant::now();
        let answer = carrier.ask(&stun::binding(None, 0)).await;
        let answer = answer.map_err(|e| words(&e))?;
        let mapped = answer.mapped.ok_or("it answers without our address")?;
        Ok::<_, String>((mapped, began.elapsed()))
    };
    match tried.await {
        Ok((mapped, took)) => {
            let text = format!("it sees us at {mapped}, {:.1} ms away", ms(took));
            let mut found = finding("stun", Some(&url), Health::Ok, text);
            found.figures.insert("roundTripMs".into(), ms(took));
            found
        }
        Err(why) => finding("stun", Some(&url), Health::Failed, why),
    }
}

/// Has a relay carry a datagram from us to its own relayed address, and so back to us.
pub(super) async fn turn(server: Server, trust: Trust) -> Finding {
    let url = &server.url;
    match relayed(&server, &trust).await {
        Ok((health, text, took)) => {
            let mut found = finding("turn", Some(url), health, text);
            found.figures.insert("allocateMs".into(), ms(took));
            found
        }
        Err(why) => finding("turn", Some(url), Health::Failed, why),
    }
}

async fn relayed(server: &Server, trust: &Trust) -> Result<(Health, String, Duration), String> {
    let url = &server.url;
    let to = resolve(url).await?[0];
    let failed = |error: std::io::Error| words(&error);
    let began = Instant::now();
    let mut carrier = Carrier::open(url, to, trust).await.map_err(failed)?;
    let first = carrier.ask(&stun::allocate(None)).await.map_err(failed)?;
    let (Some(realm), Some(nonce)) = (first.realm, first.nonce) else {
        return Err(match first.refused {
            Some((code, why)) => format!("it refuses to relay: {code} {why}"),
            None => "it relays for anybody, without asking who that is".to_owned(),
        });
    };
    let proof = Proof {
        user: server.user.clone(),
        password: server.password.clone(),
        realm,
        nonce,
    };
    let asked = stun::allocate(Some(&proof));
    let answer = carrier.ask(&asked).await.map_err(failed)?;
    if let Some((code, why)) = answer.refused {
        return Err(match code {
            401 => format!("{NOT_TAKEN} ({code} {why})"),
            403 => format!("it does not let this user relay ({code} {why})"),
            486 => format!("this user has no allocations left ({code} {why})"),
            508 => format!("it has no addresses left ({code} {why})"),
            _ => format!("it refuses to relay: {code} {why}"),
        });
    }
    let took = began.elapsed();
    let own = answer.relayed.ok_or("it relays without saying where")?;
    let permitted = carrier.ask(&stun::permit(&proof, own)).await;
    let refused = permitted.map_err(failed)?.refused;
    let result = match refused {
        Some((code, why)) => (
            Health::Warning,
            format!(
                "it relays at {own}, and not to its own network ({code} {why}), so that could not be tried through"
            ),
            took,
        ),
        None if returns(&mut carrier, own).await => (
            Health::Ok,
            format!(
                "it relays at {own}, and what is sent through it comes back ({:.1} ms to set up)",
                ms(took)
            ),
            took,
        ),
        None => (
            Health::Warning,
            format!("it gives {own}, and what is sent through that to itself does not come back"),
            took,
        ),
    };
    // It would end by itself; others may need its place before.
    let _ = timeout(Duration::from_secs(1), carrier.ask(&stun::release(&proof))).await;
    Ok(result)
}

/// Whether bytes come back by way of our own relayed address; UDP may lose some.
async fn returns(carrier: &mut Carrier, own: SocketAddr) -> bool {
    let data: [u8; 16] = rand::random();
    for _ in 0..3 {
        if carrier.say(&stun::send(own, &data)).await.is_err() {
            return false;
        }
        let heard = async {
            while let Ok(bytes) = carrier.hear().await {
                if stun::relayed(&bytes).is_some_and(|(_, came)| came == data) {
                    return true;
                }
            }
            false
        };
        if let Ok(true) = timeout(Duration::from_millis(700), heard).await {
            return true;
        }
    }
    false
}

/// What a NAT between us and these servers does (RFC 5780 sections 4.3 and 4.4).
pub(super) async fn nat(urls: Vec<IceUrl>, own: Vec<std::net::IpAddr>) -> Finding {
    let unknown = |text: &str| finding("nat", None, Health::Unknown, text.to_owned());
    let mut servers: Vec<SocketAddr> = Vec::new();
    for url in &urls {
        let found = resolve(url).await.unwrap_or_default();
        servers.extend(found.into_iter().filter(SocketAddr::is_ipv4));
    }
    servers.sort_unstable();
    servers.dedup();
    let Some(first) = servers.first().copied() else {
        return unknown("no STUN server by UDP and IPv4 to ask");
    };
    let Ok(socket) = socket_for(first).await else {
        return unknown("no socket");
    };
    let ask = async |to: SocketAddr, change: Option<Change>| {
        let (transaction, request) = stun::binding(change, 0);
        for _ in 0..3 {
            let _ = socket.send_to(&request, to).await;
            let heard = async {
                let mut buffer = [0; 2048];
                loop {
                    let (length, _) = socket.recv_from(&mut buffer).await.ok()?;
                    let answer = stun::read(&buffer[..length], transaction);
                    if answer.is_some() {
                        return answer;
                    }
                }
            };
            if let Ok(Some(answer)) = timeout(Duration::from_millis(500), heard).await {
                return Some(answer);
            }
        }
        None
    };
    let Some(answer) = ask(first, None).await else {
        return unknown("no answer by UDP");
    };
    let Some(mapped) = answer.mapped else {
        return unknown("the answer names no address");
    };
    if own.contains(&mapped.ip()) {
        let text = format!("none: we are at {} ourselves", mapped.ip());
        return finding("nat", None, Health::Ok, text);
    }
    let others = servers.iter().copied().skip(1).chain(answer.other);
    let mut mapping = None;
    for other in others {
        if let Some(seen) = ask(other, None).await.and_then(|answer| answer.mapped) {
            mapping = Some(seen == mapped);
            break;
        }
    }
    let filtering = match answer.other {
        Some(_) if ask(first, Some(Change::AddressAndPort)).await.is_some() => {
            "lets in anybody whom we wrote to nobody of (endpoint-independent filtering)"
        }
        Some(_) if ask(first, Some(Change::Port)).await.is_some() => {
            "lets in every port of a host that we wrote to (address-dependent filtering)"
        }
        Some(_) => "lets in those alone that we wrote to (address- and port-dependent filtering)",
        None => "filtering unknown: the server has no second address (RFC 5780)",
    };
    match mapping {
        Some(true) => finding(
            "nat",
            None,
            Health::Ok,
            format!("one address for all, {mapped} (endpoint-independent mapping); {filtering}"),
        ),
        Some(false) => finding(
            "nat",
            None,
            Health::Warning,
            format!("another address for each peer (symmetric); {filtering}"),
        ),
        None => finding(
            "nat",
            None,
            Health::Unknown,
            format!(
                "there is one, at {mapped}; of which kind takes a second STUN server; {filtering}"
            ),
        ),
    }
}

/// Round trip and loss of a path.
pub(super) async fn path(url: IceUrl) -> Finding {
    let failed = |why: String| finding("path", Some(&url), Health::Failed, why);
    let to = match resolve(&url).await {
        Ok(found) => found[0],
        Err(why) => return failed(why),
    };
    let socket = match socket_for(to).await {
        Ok(socket) => socket,
        Err(error) => return failed(words(&error)),
    };
    let mut sent = Vec::with_capacity(PROBES);
    let mut trips: Vec<Duration> = Vec::with_capacity(PROBES);
    let mut answered = [false; PROBES];
    let mut every = tokio::time::interval(APART);
    let mut buffer = [0; 2048];
    let mut end = None;
    loop {
        let over = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What has come back is read before its time is over, also by a machine that had none for us.
            biased;
            Ok((length, _)) = socket.recv_from(&mut buffer) => {
                let of = |(at, (transaction, began)): (usize, &(_, Instant))| {
                    stun::read(&buffer[..length], *transaction).map(|_| (at, began.elapsed()))
                };
                if let Some((at, took)) = sent.iter().enumerate().find_map(of)
                    && !std::mem::replace(&mut answered[at], true)
                {
                    trips.push(took);
                }
                if trips.len() == PROBES {
                    break;
                }
            }
            _ = every.tick(), if sent.len() < PROBES => {
                let (transaction, request) = stun::binding(None, 0);
                sent.push((transaction, Instant::now()));
                let _ = socket.send_to(&request, to).await;
                if sent.len() == PROBES {
                    end = Some(tokio::time::Instant::now() + Duration::from_secs(2));
                }
            }
            () = over => break,
        }
    }
    judge_path(&url, trips)
}

fn judge_path(url: &IceUrl, mut trips: Vec<Duration>) -> Finding {
    trips.sort_unstable();
    let lost = PROBES - trips.len();
    let percent = lost as f64 * 100.0 / PROBES as f64;
    let (Some(best), Some(worst)) = (trips.first(), trips.last()) else {
        let text = format!("none of {PROBES} probes came back");
        return finding("path", Some(url), Health::Failed, text);
    };
    let median = trips[trips.len() / 2];
    let high = trips[trips.len() * 95 / 100];
    let health = if percent > 2.0 || ms(median) > 300.0 || ms(high) > ms(median) + 100.0 {
        Health::Warning
    } else {
        Health::Ok
    };
    let text = format!(
        "{lost} of {PROBES} probes lost; round trip {:.1} ms, 95 % within {:.1} ms ({:.1} to {:.1})",
        ms(median),
        ms(high),
        ms(*best),
        ms(*worst)
    );
    let mut found = finding("path", Some(url), health, text);
    found.figures.extend([
        ("lossPercent".to_owned(), percent),
        ("roundTripMs".to_owned(), ms(median)),
        ("roundTripP95Ms".to_owned(), ms(high)),
    ]);
    found
}

/// The largest datagram that a server answers. Systems set "don't fragment" on them as long as they fit the interface.
pub(super) async fn mtu(url: IceUrl, trust: Trust) -> Finding {
    debug_assert_eq!(url.by, By::Udp);
    let tried = async {
        let to = resolve(&url).await?[0];
        for size in SIZES {
            let mut carrier = Carrier::open(&url, to, &trust)
                .await
                .map_err(|e| words(&e))?;
            // A server that does not know the padding says so, and has had it all the same.
            let asked = stun::binding(None, size - 8);
            let answer = timeout(Duration::from_millis(1_500), carrier.ask(&asked)).await;
            if let Ok(Ok(_)) = answer {
                return Ok(size);
            }
        }
        Err("not even small datagrams are answered".to_owned())
    };
    match tried.await {
        Ok(size) => {
            let (health, text) = if size >= NEEDED {
                (Health::Ok, format!("datagrams of {size} bytes get through"))
            } else {
                let text = format!(
                    "datagrams of {size} bytes get through, of {NEEDED} none: pictures will not arrive whole"
                );
                (Health::Failed, text)
            };
            let mut found = finding("mtu", Some(&url), health, text);
            found.figures.insert("bytes".into(), size as f64);
            found
        }
        Err(why) => finding("mtu", Some(&url), Health::Unknown, why),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_is_judged_by_what_calls_bear() {
        let url = IceUrl::parse("stun:x").unwrap();
        let judge =
            |count: usize, each: u64| judge_path(&url, vec![Duration::from_millis(each); count]);
        assert_eq!(judge(50, 20).health, Health::Ok);
        assert_eq!(judge(48, 20).health, Health::Warning, "4 % lost");
        assert_eq!(judge(50, 400).health, Health::Warning, "far");
        assert_eq!(judge(0, 0).health, Health::Failed);
        assert_eq!(judge(25, 20).figures["lossPercent"], 50.0);
    }
}
