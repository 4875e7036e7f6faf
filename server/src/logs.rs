//! What the program says on standard error about what happens, and in which form.

use std::io::IsTerminal;

use rtc_server::cli::{LogFlags, LogFormat};
use rtc_server::spans;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// What else is done with what happens.
pub(crate) type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts the log, and `more`; until the end of the process.
pub(crate) fn start(flags: &LogFlags, more: Option<AnyLayer>) {
    rtc_server::redact::show(flags.log_addresses);
    // Who reads a log by program wants to know of every connection.
    let least = u8::from(flags.log_format == LogFormat::Json);
    // The libraries' own traces hold whole messages, and with them what is nobody's business.
    let all = "debug,rtc_server=trace,rtc_protocol=trace";
    let level = ["warn", "info", "debug", all][usize::from(flags.verbose.max(least).min(3))];
    let filter = EnvFilter::try_from_env("RTC_SERVER_LOG")
        .or_else(|_| EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| level.into());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match flags.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colour).boxed()
        }
    };
    // A filter that names no highest level takes part in every event of every library, to no avail.
    let highest = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let own = filter_fn(|what| what.target() != spans::TARGET).with_max_level_hint(highest);
    let filter = filter.and(own);
    // A layer that is none would be one without a filter, for which every span would be kept.
    let mut layers: Vec<AnyLayer> = vec![lines.with_filter(filter).boxed()];
    layers.extend(more);
    tracing_subscriber::registry().with(layers).init();
}
