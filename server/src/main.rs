//! `rtc-server`: settings, bind, wait, shut down.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use rtc_server::Server;
use rtc_server::cli::{Cli, ConfigTask, Task};
use rtc_server::settings::{Settings, SettingsError};

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
        None => {}
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
    let asked_to_stop = stop_signals().context("the system gives no signals")?;
    let bound = Server::bind(cli.config()).await;
    let server = bound.map_err(|error| {
        anyhow::anyhow!("{error}; choose another address with --listen, or stop what is there")
    })?;
    for address in server.local_addrs() {
        let _ = writeln!(std::io::stderr(), "listening at http://{address}/");
    }
    let running = server.start();
    asked_to_stop.await;
    running.shutdown().await;
    Ok(())
}

#[cfg(unix)]
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        let _ = interrupt.recv().await;
    })
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
