//! Flags about TLS.

use std::path::PathBuf;

use clap::Args;

use crate::tls::{Tls, TlsError};

/// See the module. With either, every address speaks TLS.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsFlags {
    /// Certificate, and those between it and its authority (PEM); read again when it changes.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Make a certificate for this machine, to try from another device: it shows a warning once.
    #[arg(long)]
    tls_self_signed: bool,
}

impl TlsFlags {
    /// Whether any of them is set.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.tls_self_signed || self.tls_cert.is_some() || self.tls_key.is_some()
    }

    pub(super) fn tls(&self) -> Result<Option<Tls>, TlsError> {
        match (&self.tls_cert, &self.tls_key, self.tls_self_signed) {
            (None, None, false) => Ok(None),
            (None, None, true) => Tls::self_signed().map(Some),
            (Some(cert), Some(key), false) => Tls::of_files(cert.clone(), key.clone()).map(Some),
            _ => Err(TlsError::Flags),
        }
    }
}
