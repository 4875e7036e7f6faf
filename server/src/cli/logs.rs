//! Flags of what is said about what happens.

use clap::{Args, ValueEnum};

/// See the module.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogFlags {
    /// Say more on standard error: -v every connection, -vv, -vvv.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// In which form: lines for people, or one JSON object a line.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Show addresses as they are, and no pseudonyms in their place.
    #[arg(long)]
    pub log_addresses: bool,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
