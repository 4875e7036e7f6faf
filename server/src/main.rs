//! `rtc-server`: settings, bind, wait, shut down.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use rtc_server::Server;
use rtc_server::cli::{Cli, ConfigTask, Task};
use rtc_server::settings::{Settings, SettingsError};
use tokio::time::timeout;

fn main() -> ExitCode {
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(SettingsError::CommandLine(error)) => error.exit(),
        Err(error) => return complain(&error.to_string(), ExitCode::from(2)),
    };
    log_to_stderr(settings.cli.verbosity());
    for remark in &settings.remarks {
        tracing::warn!("{remark}");
    }
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{error:#}"), ExitCode::FAILURE),
    }
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
        Some(Task::Config(ConfigTask::Check)) => return print(b"the settings are right\n"),
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

async fn serve(cli: Cli) -> anyhow::Result<()> {
    // Listened for before anybody can know that we are here, so that no signal ends us in disorder.
    let mut signals = Signals::listen().context("the system gives no signals")?;
    let deadline = cli.drain_deadline();
    let bound = Server::bind(cli.config()).await;
    let server = bound.map_err(|error| {
        anyhow::anyhow!("{error}; choose another address with --listen, or stop what is there")
    })?;
    for address in server.local_addrs() {
        let _ = writeln!(std::io::stderr(), "listening at http://{address}/");
    }
    let running = server.start();
    tokio::select! {
        () = signals.next() => {}
        () = running.asked_to_drain() => {}
    }
    let mut told = false;
    let drained = running.drain(|left| {
        tracing::info!(left, "draining");
        if !std::mem::replace(&mut told, true) {
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

fn log_to_stderr(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = EnvFilter::try_from_env("RTC_SERVER_LOG").unwrap_or_else(|_| level.into());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .init();
}
