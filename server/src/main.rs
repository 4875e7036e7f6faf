//! `rtc-server`: settings, bind, wait, shut down.

mod logs;
mod probe;
#[cfg(feature = "otel")]
mod traces;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use rtc_server::cli::{Cli, ConfigTask, LogFormat, Task};
use rtc_server::cluster::ClusterConfig;
use rtc_server::settings::{Settings, SettingsError};
use rtc_server::tls::{Tls, own_addresses};
use rtc_server::{Config, Server};
use tokio::time::timeout;

fn main() -> ExitCode {
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(SettingsError::CommandLine(error)) => error.exit(),
        Err(error) => return complain(&error.to_string(), ExitCode::from(2)),
    };
    // Ended last, so that what is left is sent.
    #[cfg(feature = "otel")]
    let traces = match traces_of(&settings) {
        Ok(traces) => traces,
        Err(error) => return complain(&format!("{error:#}"), ExitCode::FAILURE),
    };
    #[cfg(feature = "otel")]
    let layer = traces.as_ref().map(traces::Traces::layer);
    #[cfg(not(feature = "otel"))]
    let layer = None;
    logs::start(settings.cli.logs(), layer);
    for remark in &settings.remarks {
        tracing::warn!("{remark}");
    }
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{error:#}"), ExitCode::FAILURE),
    }
}

#[cfg(feature = "otel")]
fn traces_of(settings: &Settings) -> anyhow::Result<Option<traces::Traces>> {
    let serves = settings.cli.task().is_none();
    let collector = settings.cli.collector().filter(|_| serves);
    collector.map(traces::Traces::start).transpose()
}

fn complain(why: &str, code: ExitCode) -> ExitCode {
    for line in why.lines() {
        // What goes on from another line is indented.
        let lead = if line.starts_with(' ') {
            ""
        } else {
            "rtc-server: "
        };
        let _ = writeln!(std::io::stderr(), "{lead}{line}");
    }
    code
}

fn run(settings: Settings) -> anyhow::Result<()> {
    match settings.cli.task() {
        Some(Task::Config(ConfigTask::Show)) => return print(settings.show().as_bytes()),
        Some(Task::Config(ConfigTask::Check)) => {
            cluster(&settings.cli)?;
            return print(b"the settings are right\n");
        }
        Some(Task::Health) => {
            let tls = settings.cli.speaks_tls();
            let listen = settings.cli.config().listen;
            let first = listen.first().context("there is no --listen")?;
            return probe::health(*first, tls);
        }
        // A text like others.
        Some(Task::Token(_)) | None => {}
    }
    let cli = settings.cli;
    if let Some(text) = cli.text().context("the text could not be made")? {
        return print(&text);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the system gave no threads")?;
    runtime.block_on(serve(cli))
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

/// Says where the server is found, and what there is to know about it.
fn tell(addresses: &[SocketAddr], tls: Option<&Tls>, open: bool, json: bool) {
    let mut stderr = std::io::stderr();
    let scheme = if tls.is_some() { "https" } else { "http" };
    for address in addresses {
        let url = format!("{scheme}://{address}/");
        if json {
            tracing::info!(url, "listening");
            continue;
        }
        let _ = writeln!(stderr, "listening at {url}");
        if address.ip().is_unspecified() {
            for own in own_addresses() {
                let own = SocketAddr::new(own, address.port());
                let _ = writeln!(stderr, "  from other machines: {scheme}://{own}/");
            }
        }
    }
    if let Some(tls) = tls {
        let print = tls.fingerprint();
        if tls.is_self_signed() && !json {
            let _ = writeln!(
                stderr,
                "the certificate is this server's own; rtc-client takes it with --tls-fingerprint {print}"
            );
        } else {
            tracing::info!(fingerprint = %print, "the certificate");
        }
    }
    if open && addresses.iter().any(|address| !address.ip().is_loopback()) {
        tracing::warn!(
            "whoever reaches this server may join every room; ask for tokens with --auth-secret (see rtc-server token --help)"
        );
    }
}

/// Says where the relay is.
fn tell_relay((plain, tls): &(Vec<SocketAddr>, Vec<SocketAddr>), json: bool) {
    let mut stderr = std::io::stderr();
    for (scheme, addresses) in [("turn", plain), ("turns", tls)] {
        for address in addresses {
            if json {
                tracing::info!(scheme, %address, "relaying");
            } else {
                let _ = writeln!(stderr, "relaying at {scheme}:{address}");
            }
        }
    }
}

/// The cluster to be in, whose files can be used.
fn cluster(cli: &Cli) -> anyhow::Result<Option<ClusterConfig>> {
    let cluster = cli.cluster()?;
    cluster
        .as_ref()
        .map_or(Ok(()), ClusterConfig::check_files)?;
    Ok(cluster)
}

async fn serve(cli: Cli) -> anyhow::Result<()> {
    // Listened for before anybody can know that we are here, so that no signal ends us in disorder.
    let mut signals = Signals::listen().context("the system gives no signals")?;
    let deadline = cli.drain_deadline();
    let json = cli.logs().log_format == LogFormat::Json;
    let tls = cli.tls()?;
    let config = Config {
        tls: tls.clone(),
        cluster: cluster(&cli)?,
        ..cli.config()
    };
    let relays_by_tls = config
        .turn
        .as_ref()
        .is_some_and(|turn| !turn.listen_tls.is_empty());
    anyhow::ensure!(
        tls.is_some() || !relays_by_tls,
        "--turn-tls needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed"
    );
    let open = config.access.is_open();
    let bound = Server::bind(config).await;
    let server = bound.map_err(|error| {
        anyhow::anyhow!("{error}; choose another address with --listen, or stop what is there")
    })?;
    tell(&server.local_addrs(), tls.as_ref(), open, json);
    tell_relay(&server.turn_addrs(), json);
    let running = server.start();
    tokio::select! {
        () = signals.next() => {}
        () = running.asked_to_drain() => {}
    }
    let mut told = false;
    let drained = running.drain(|left| {
        tracing::info!(left, "draining");
        if !std::mem::replace(&mut told, true) && !json {
            let seconds = deadline.as_secs();
            let _ = writeln!(
                std::io::stderr(),
                "draining: {left} peers are in calls and may stay for {seconds} s; once more ends them at once"
            );
        }
    });
    tokio::select! {
        ended = timeout(deadline, drained) => {
            if ended.is_err() {
                tracing::warn!("calls are cut off: the time for draining is over");
            }
        }
        () = signals.next() => {}
    }
    running.shutdown().await;
    Ok(())
}

/// The system's wishes that we end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The system's wishes that we end.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        let _ = self.0.recv().await;
    }
}
