//! What TLS to brokers goes by. Names of hosts are always looked at; there is no way to leave that out.

use std::path::{Path, PathBuf};

use ::redis::{ClientTlsConfig, TlsCertificates};
use rustls::RootCertStore;

use crate::tls::{Files, TlsError, certificates, read};

const AUTHORITY: &str = "--cluster-ca";

const OWN: &str = "--cluster-cert and --cluster-key";

/// Files; read again for each connection that is made.
#[derive(Clone, Debug, Default)]
pub struct BrokerTls {
    authority: Option<PathBuf>,
    own: Option<Files>,
}

impl BrokerTls {
    /// Trusts brokers' certificates of the authorities in this file, or of the system's where there is none; shows brokers this
    /// certificate and has this key for it, or none.
    #[must_use]
    pub fn new(authority: Option<PathBuf>, own: Option<(PathBuf, PathBuf)>) -> Self {
        let own = own.map(|(certificate, key)| Files::new(certificate, key, OWN));
        Self { authority, own }
    }

    pub(crate) const fn is_default(&self) -> bool {
        self.authority.is_none() && self.own.is_none()
    }

    pub(in crate::cluster) fn read(&self) -> Result<TlsCertificates, TlsError> {
        let root_cert = self.authority.as_deref().map(authorities).transpose()?;
        let client_tls = self.own.as_ref().map(own).transpose()?;
        Ok(TlsCertificates {
            client_tls,
            root_cert,
        })
    }
}

fn authorities(path: &Path) -> Result<Vec<u8>, TlsError> {
    let text = read(path, AUTHORITY)?;
    let mut roots = RootCertStore::empty();
    for one in certificates(path, &text, AUTHORITY)? {
        roots.add(one).map_err(|_| TlsError::Form {
            path: path.to_owned(),
            flags: AUTHORITY,
            what: "certificate of an authority",
        })?;
    }
    Ok(text)
}

fn own(files: &Files) -> Result<ClientTlsConfig, TlsError> {
    let texts = files.read()?;
    files.certified(&texts)?;
    Ok(ClientTlsConfig {
        client_cert: texts.certificate,
        client_key: texts.key,
    })
}

/// What to do about certificates when no connection came about, as its error tells in rustls' words.
pub(super) fn advice(error: &str) -> Option<&'static str> {
    let says = |any: &[&str]| any.iter().any(|one| error.contains(one));
    Some(if says(&["fatal alert: CertificateRequired"]) {
        "it wants a certificate of this server: give one with --cluster-cert and --cluster-key"
    } else if says(&["fatal alert"]) {
        "it does not take this server's certificate, or wants one: check --cluster-cert and --cluster-key, and whom it trusts"
    } else if says(&["not valid for name", "NotValidForName"]) {
        "its certificate is for another host: give the broker's address by a name, or an IP address, that stands in it"
    } else if says(&["certificate expired", "Expired"]) {
        "its certificate has run out, or the clock here is wrong: give the broker a new one"
    } else if says(&["invalid peer certificate"]) {
        "no authority that is trusted here vouches for its certificate: give its authority's with --cluster-ca"
    } else {
        return None;
    })
}

/// What to do when it may be that the other side does not expect TLS, or expects it: it hangs up, or waits for more.
pub(super) fn advice_on_scheme(error: &str, tls: bool) -> Option<&'static str> {
    let says = |any: &[&str]| any.iter().any(|one| error.contains(one));
    if tls && says(&["InvalidContentType", "timed out"]) {
        Some("if it speaks no TLS there, give its port for TLS, or write redis:// (or sentinel://)")
    } else if !tls && says(&CLOSED) {
        Some("if it speaks TLS there, write rediss:// (or sentinels://)")
    } else {
        None
    }
}

/// How it looks where somebody hangs up who was told something that is not TLS.
const CLOSED: [&str; 4] = [
    "Connection reset",
    "roken pipe",
    "unexpected end of file",
    "terminated",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_to_do_is_told_of_each_way_in_which_tls_fails_and_of_nothing_else() {
        for (error, tls, told) in [
            (
                "invalid peer certificate: UnknownIssuer",
                true,
                "--cluster-ca",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"127.0.0.1\"",
                true,
                "another host",
            ),
            (
                "invalid peer certificate: certificate expired: verification time …",
                true,
                "run out",
            ),
            (
                "received fatal alert: CertificateRequired",
                true,
                "wants a certificate",
            ),
            ("received fatal alert: UnknownCA", true, "whom it trusts"),
            ("timed out", true, "redis://"),
            (
                "received corrupt message of type InvalidContentType",
                true,
                "redis://",
            ),
            (
                "Connection reset by peer (os error 104)",
                false,
                "rediss://",
            ),
        ] {
            let advice = advice(error).or_else(|| advice_on_scheme(error, tls));
            let advice = advice.unwrap();
            assert!(advice.contains(told), "{error}: {advice}");
        }
        for (error, tls) in [
            ("Connection refused (os error 111)", false),
            ("Connection refused (os error 111)", true),
            ("Connection reset by peer (os error 104)", true),
            ("timed out", false),
            ("WRONGPASS invalid username-password pair", true),
        ] {
            let advice = advice(error).or_else(|| advice_on_scheme(error, tls));
            assert_eq!(advice, None, "{error}");
        }
    }
}
