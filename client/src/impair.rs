//! `rtc-client impair`: a bad path of its own, and what it did at the end.

use std::io::{self, Write};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::Impair;
use crate::exit::Ending;
use crate::net::impair::path::Counts;
use crate::net::impair::{Direction, Impairment};
use crate::net::relay::Relay;
use crate::options;
use crate::quit::Quit;
use crate::run::complain;

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
    let relay = Relay::bind(arguments.listen, arguments.to, path.clone())
        .await
        .map_err(|e| format!("cannot listen at {}: {e}", arguments.listen))?;
    let address = relay
        .local_addr()
        .map_err(|e| format!("the system does not say where it listens: {e}"))?;
    say(
        arguments.json,
        &json!({ "type": "listening", "address": address, "to": arguments.to }),
        &format!("listening at {address}, passing on to {}", arguments.to),
    )?;
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
