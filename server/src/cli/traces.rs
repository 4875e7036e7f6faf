//! Flags about traces; only in a program that was built with the feature `otel`.

use clap::Args;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Traces")]
pub(super) struct TraceFlags {
    /// Send traces to this OpenTelemetry collector (OTLP over HTTP), as in http://127.0.0.1:4318.
    #[arg(long, value_name = "URL", value_parser = Collector::parse)]
    pub(super) otlp_endpoint: Option<Collector>,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    host: String,
    folder: String,
}

impl Collector {
    fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(
                "give an address as in http://127.0.0.1:4318; for TLS, let a collector beside the server pass them on"
                    .into(),
            );
        };
        let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let wrong = |c: char| !c.is_ascii_graphic() || matches!(c, '@' | '?' | '#');
        if host.is_empty() || text.contains(wrong) {
            return Err("give an address as in http://127.0.0.1:4318".into());
        }
        let host = match host.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
            _ => format!("{host}:4318"),
        };
        let folder = folder.trim_end_matches('/').to_owned();
        Ok(Self { host, folder })
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The whole address, as OTLP has it for traces.
    #[must_use]
    pub fn traces_url(&self) -> String {
        let slash = if self.folder.is_empty() { "" } else { "/" };
        format!("http://{}/{}{slash}v1/traces", self.host, self.folder)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_address() {
        let url = |text: &str| Collector::parse(text).map(|one| one.traces_url());
        for (text, wanted) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://otel", "http://otel:4318/v1/traces"),
            ("http://[::1]/a/b/", "http://[::1]:4318/a/b/v1/traces"),
        ] {
            assert_eq!(url(text).unwrap(), wanted);
        }
        for wrong in [
            "",
            "otel:4318",
            "https://otel",
            "http://",
            "http://a b",
            "http://u@h",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
