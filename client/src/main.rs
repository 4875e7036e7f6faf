//! `rtc-client`: parse, run, exit.

use std::process::ExitCode;

use clap::Parser;
use rtc_client::cli::Cli;
use rtc_client::exit::Ending;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; anything else is a usage error.
            let usage = error.use_stderr();
            let _ = error.print();
            return if usage { Ending::Usage } else { Ending::Done }.into();
        }
    };
    rtc_client::run::run(cli).into()
}
