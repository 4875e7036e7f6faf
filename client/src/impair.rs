//! `rtc-client impair`: a bad path of its own, and what it did at the end.

mod turn;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Instant;

use rtc_server::turn::User;
use serde_json::{Value, json};

use crate::cli::Impair;
use crate::exit::Ending;
use crate::net::impair::path::Counts;
use crate::net::impair::{Direction, Impairment};
use crate::net::relay::Relay;
use crate::options;
use crate::quit::Quit;
use crate::run::complain;
use turn::Turn;

/// Relays until told to end.
pub(crate) fn run(arguments: &Impair) -> Ending {
    let spec = match options::impairment(&arguments.impair) {
        Ok(spec) => spec.unwrap_or_default(),
        Err(error) => {
            complain(&error.to_string());
            return Ending::Usage;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the system gave no runtime: {error}"));
            return Ending::Failed;
        }
    };
    let path = Impairment::new(&spec, Instant::now());
    match runtime.block_on(relay(arguments, &path)) {
        Ok(()) => Ending::Done,
        Err(error) => {
            complain(&error);
            Ending::Failed
        }
    }
}

async fn relay(arguments: &Impair, path: &Impairment) -> Result<(), String> {
    let mut quit = Quit::listen().map_err(|e| format!("the system gives no signals: {e}"))?;
    // With --turn, a server of our own is where the hop leads; it ends with this function.
    let (listen, to, turn) = match (arguments.turn, arguments.listen, arguments.to) {
        (Some(listen), ..) => {
            let user = turn::user(arguments.turn_user.as_ref());
            let turn = Turn::start(listen.ip(), user.clone()).await?;
            (listen, turn.address, Some((turn, user)))
        }
        (None, Some(listen), Some(to)) => (listen, to, None),
        (None, ..) => return Err("give --listen and --to, or --turn".to_owned()),
    };
    let relay = Relay::bind(listen, to, path.clone())
        .await
        .map_err(|e| format!("cannot listen at {listen}: {e}"))?;
    let address = relay
        .local_addr()
        .map_err(|e| format!("the system does not say where it listens: {e}"))?;
    let (json, text) = match &turn {
        Some((_, user)) => relaying(address, user),
        None => (
            json!({ "type": "listening", "address": address, "to": to }),
            format!("listening at {address}, passing on to {to}"),
        ),
    };
    say(arguments.json, &json, &text)?;
    let end = async {
        match arguments.duration {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = relay.run() => ended.map_err(|e| format!("the socket at {address} failed: {e}"))?,
        () = quit.asked() => {}
        () = end => {}
    }
    let (up, down) = (path.counts(Direction::Up), path.counts(Direction::Down));
    say(
        arguments.json,
        &json!({ "type": "summary", "up": counts(up), "down": counts(down) }),
        &format!("up    {}\ndown  {}", line(up), line(down)),
    )
}

/// What a client is given to relay here, in W3C's words (`RTCIceServer`).
fn relaying(address: SocketAddr, user: &User) -> (Value, String) {
    let url = format!("turn:{address}?transport=udp");
    let User { name, password } = user;
    let json = json!({
        "type": "listening",
        "address": address,
        "urls": [url],
        "username": name,
        "credential": password,
    });
    (
        json,
        format!("relaying at {url}, username {name}, credential {password}"),
    )
}

fn counts(counts: Counts) -> Value {
    json!({
        "seen": counts.seen,
        "passed": counts.passed,
        "lost": counts.lost,
        "overflowed": counts.overflowed,
        "doubled": counts.doubled,
        "reordered": counts.reordered,
    })
}

fn line(counts: Counts) -> String {
    let Counts {
        seen,
        lost,
        overflowed,
        passed,
        doubled,
        reordered,
    } = counts;
    format!(
        "{seen} datagrams: {passed} passed, {lost} lost, {overflowed} found the queue full, \
         {doubled} doubled, {reordered} reordered"
    )
}

/// Nobody who reads is no error: the relay may run on.
fn say(as_json: bool, value: &Value, text: &str) -> Result<(), String> {
    let text = if as_json {
        value.to_string()
    } else {
        text.to_owned()
    };
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}
