//! `rtc-client doctor`: what works between here and a server, and what to do where it does not.
//!
//! - `url`, `stun`, `verdict`, `report`: pure
//! - `carrier`, `checks`: what is tried over the network, each thing within its own time and all side by side

pub(crate) mod args;
mod carrier;
mod checks;
mod report;
mod stun;
mod url;
mod verdict;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use self::args::Doctor;
use self::checks::{Server, finding, ms};
use self::url::{By, IceUrl};
use self::verdict::Tried;
use crate::event::Event;
use crate::event::doctor::{Diagnosis, Finding, Health};
use crate::exit::Ending;
use crate::media::codec::AVAILABLE;
use crate::media::devices::inventory::Inventory;
use crate::options::{self, OptionError};
use crate::output::View;
use crate::output::json::Json;
use crate::output::text::clean;
use crate::run::complain;
use crate::signaling::probe::{ProbeError, Probed, probe};
use crate::signaling::{ServerChoice, Target};
use crate::trust::Trust;

/// How long signaling may take, for all of it.
const SIGNALING: Duration = Duration::from_secs(8);

/// How long any other thing may take.
const EACH: Duration = Duration::from_secs(18);

/// Servers that are tried; who hands out more has a mistake in its configuration.
const SERVERS: usize = 16;

/// What was asked for, checked.
struct Asked {
    server: ServerChoice,
    trust: Trust,
    given: Vec<Server>,
    typed: Doctor,
}

/// Does it.
pub(crate) fn run(typed: Doctor) -> Ending {
    let asked = match asked(typed) {
        Ok(asked) => asked,
        Err(problem) => {
            complain(&problem);
            return Ending::Usage;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the system gave no threads: {error}"));
            return Ending::Failed;
        }
    };
    let json = asked.typed.json;
    let (diagnosis, ending) = runtime.block_on(examine(asked));
    runtime.shutdown_timeout(Duration::from_millis(500));
    let shown = if json {
        Json::stdout()
            .event(&Event::Doctor(diagnosis))
            .map_err(|error| error.to_string())
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let text = report::text(&diagnosis, colours);
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| format!("standard output cannot be written: {error}"))
    };
    if let Err(problem) = shown {
        complain(&problem);
    }
    ending
}

fn asked(typed: Doctor) -> Result<Asked, String> {
    let words = |error: OptionError| error.to_string();
    let target = Target::parse("doctor", typed.server.as_deref()).map_err(|e| e.to_string())?;
    let trust = options::trust(typed.tls.clone(), typed.server.as_deref()).map_err(words)?;
    let mut given = Vec::new();
    for text in &typed.ice_server {
        let server = options::ice_server(text).map_err(words)?;
        let url = IceUrl::parse(&server.url).ok_or_else(|| {
            format!(
                "--ice-server {text:?}: write stun:HOST:PORT, turn:HOST:PORT or turns:HOST:PORT"
            )
        })?;
        given.push(Server {
            url,
            user: server.username.unwrap_or_default(),
            password: server.credential.unwrap_or_default(),
        });
    }
    Ok(Asked {
        server: target.server,
        trust,
        given,
        typed,
    })
}

/// One thing that was looked at, and what it says about a server.
struct Done {
    finding: Finding,
    tried: Option<(bool, By)>,
}

async fn examine(asked: Asked) -> (Diagnosis, Ending) {
    let began = Instant::now();
    let progress = Progress::new(asked.typed.json);
    progress.tell("asking the signaling server");
    let devices = (!asked.typed.no_devices).then(|| tokio::task::spawn_blocking(Inventory::take));
    let auth = asked.typed.token.clone();
    let patience = Duration::from_secs(4);
    let probed = timeout(
        SIGNALING,
        probe(&asked.server, &asked.trust, auth, patience),
    )
    .await;
    let (first, handed) = signaling(&asked.server, probed.ok());
    let mut servers = asked.given;
    servers.extend(handed);
    let mut seen = BTreeSet::new();
    servers.retain(|server| seen.insert(server.url.clone()));
    servers.truncate(SERVERS);
    let mut each: JoinSet<(usize, Done)> = JoinSet::new();
    let mut names = Vec::new();
    for done in plan(&servers, &asked.trust) {
        let number = names.len();
        names.push(done.name);
        let (limit, tried) = (done.work, done.tried);
        let name = names[number].clone();
        each.spawn(async move {
            let late = || {
                finding(
                    &name.0,
                    None,
                    Health::Unknown,
                    "it took too long".to_owned(),
                )
            };
            let mut found = timeout(EACH, limit).await.unwrap_or_else(|_| late());
            if found.target.is_none() {
                found.target = name.1;
            }
            (
                number,
                Done {
                    finding: found,
                    tried,
                },
            )
        });
    }
    let all = names.len();
    let mut done: Vec<(usize, Done)> = Vec::new();
    while let Some(one) = each.join_next().await {
        done.extend(one.ok());
        progress.tell(&format!("{} of {all} done", done.len()));
    }
    done.sort_by_key(|(number, _)| *number);
    let mut findings = vec![first];
    let mut tried = Vec::new();
    for (_, Done { finding, tried: of }) in done {
        tried.extend(of.map(|(relays, by)| Tried {
            relays,
            by,
            health: finding.health,
        }));
        findings.push(finding);
    }
    if let Some(devices) = devices {
        progress.tell("looking for devices");
        let left = Duration::from_secs(6);
        let inventory = timeout(left, devices).await.ok().and_then(Result::ok);
        findings.extend(report::devices(inventory.as_ref()));
    }
    let codecs: Vec<&str> = AVAILABLE.iter().map(|codec| codec.mime_type()).collect();
    let text = format!("{}, audio/opus", codecs.join(", "));
    findings.push(finding("codecs", None, Health::Ok, text));
    progress.end();
    let ending = verdict::ending(&findings, &tried);
    let diagnosis = Diagnosis {
        advice: verdict::advice(&findings, &tried),
        findings,
        seconds: began.elapsed().as_secs_f64(),
        exit_code: ending.code(),
    };
    (diagnosis, ending)
}

/// What came of the look at the signaling server, and the servers that it hands out.
fn signaling(
    server: &ServerChoice,
    probed: Option<Result<Probed, ProbeError>>,
) -> (Finding, Vec<Server>) {
    let target = server.address().to_string();
    let told = |health: Health, text: String| Finding {
        target: Some(target.clone()),
        ..finding("signaling", None, health, text)
    };
    let probed = match probed {
        Some(Ok(probed)) => probed,
        Some(Err(error @ ProbeError::NoneHere(_))) => {
            return (told(Health::Warning, error.to_string()), Vec::new());
        }
        Some(Err(error)) => return (told(Health::Failed, error.to_string()), Vec::new()),
        None => {
            let text = "it did not answer in time".to_owned();
            return (told(Health::Failed, text), Vec::new());
        }
    };
    let (least, most) = probed.round_trip;
    let secure = if server.address().is_secure() {
        ", its certificate is trusted"
    } else {
        ""
    };
    let text = format!(
        "{} answers: name {:.1} ms, link {:.1} ms{secure}, round trip {:.1} to {:.1} ms",
        clean(&probed.server),
        ms(probed.resolved),
        ms(probed.opened),
        ms(least),
        ms(most)
    );
    let mut found = told(Health::Ok, text);
    found.figures.extend([
        ("resolveMs".to_owned(), ms(probed.resolved)),
        ("openMs".to_owned(), ms(probed.opened)),
        ("roundTripMs".to_owned(), ms(least)),
    ]);
    let mut servers = Vec::new();
    for handed in probed.ice_servers {
        for url in &handed.urls {
            servers.extend(IceUrl::parse(url).map(|url| Server {
                url,
                user: handed.username.clone().unwrap_or_default(),
                password: handed.credential.clone().unwrap_or_default(),
            }));
        }
    }
    (found, servers)
}

type Work = std::pin::Pin<Box<dyn Future<Output = Finding> + Send>>;

/// One thing to look at.
struct Planned {
    name: (String, Option<String>),
    tried: Option<(bool, By)>,
    work: Work,
}

fn plan(servers: &[Server], trust: &Trust) -> Vec<Planned> {
    let mut all = Vec::new();
    let mut add = |check: &str, url: Option<&IceUrl>, tried: Option<(bool, By)>, work: Work| {
        all.push(Planned {
            name: (check.to_owned(), url.map(ToString::to_string)),
            tried,
            work,
        });
    };
    for server in servers {
        let url = &server.url;
        let tried = Some((url.relays, url.by));
        if url.relays {
            let work = checks::turn(server.clone(), trust.clone());
            add("turn", Some(url), tried, Box::pin(work));
        } else {
            let work = checks::stun(url.clone(), trust.clone());
            add("stun", Some(url), tried, Box::pin(work));
        }
    }
    let by_udp: Vec<IceUrl> = servers
        .iter()
        .filter(|server| server.url.by == By::Udp)
        .map(|server| server.url.clone())
        .collect();
    if let Some(url) = by_udp.first() {
        add("path", Some(url), None, Box::pin(checks::path(url.clone())));
        let work = checks::mtu(url.clone(), trust.clone());
        add("mtu", Some(url), None, Box::pin(work));
        add(
            "nat",
            None,
            None,
            Box::pin(checks::nat(by_udp.clone(), own_addresses())),
        );
    }
    all
}

/// The addresses that this machine's packets go out from.
fn own_addresses() -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = rtc_server::tls::own_addresses();
    // Where routes lead, nothing is sent.
    for far in ["192.0.2.1:9", "127.0.0.1:9"] {
        let socket = UdpSocket::bind("0.0.0.0:0");
        let address = socket.and_then(|socket| {
            socket.connect(far)?;
            socket.local_addr()
        });
        own.extend(address.ok().map(|address| address.ip()));
    }
    own
}

/// One line on a terminal's standard error, while there is nothing else to see.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new(json: bool) -> Self {
        Self {
            shown: !json && std::io::stderr().is_terminal(),
        }
    }

    fn tell(&self, text: &str) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K{text} …");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
