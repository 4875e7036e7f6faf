//! Certificates and keys in files, in PEM.

use std::path::{Path, PathBuf};

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{TlsError, provider};

/// A certificate, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What names them.
    flags: &'static str,
}

/// What stood in both files.
#[derive(PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Files {
    pub(crate) const fn new(certificate: PathBuf, key: PathBuf, flags: &'static str) -> Self {
        Self {
            certificate,
            key,
            flags,
        }
    }

    pub(crate) fn read(&self) -> Result<Texts, TlsError> {
        Ok(Texts {
            certificate: read(&self.certificate, self.flags)?,
            key: read(&self.key, self.flags)?,
        })
    }

    pub(crate) fn certified(&self, texts: &Texts) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate, &texts.certificate, self.flags)?;
        let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|_| TlsError::Form {
            path: self.key.clone(),
            flags: self.flags,
            what: "private key",
        })?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| TlsError::Unfit {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            flags: self.flags,
            source: Box::new(source),
        })
    }
}

/// What stands in a file that such flags name.
pub(crate) fn read(path: &Path, flags: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        flags,
        source,
    })
}

/// One certificate at least, in what stood in that file.
pub(crate) fn certificates(
    path: &Path,
    text: &[u8],
    flags: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.ok().filter(|all| !all.is_empty());
    all.ok_or_else(|| TlsError::Form {
        path: path.to_owned(),
        flags,
        what: "certificate",
    })
}
