//! Which servers are believed to be who they say: by the system's authorities, by one more, or by a fingerprint.
//!
//! A fingerprint is the whole proof where one is given: neither the name nor the dates of the certificate count then,
//! and no authority. Who shows the certificate must hold its key in any case, as TLS proves.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rtc_server::tls::Fingerprint;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};

/// Why a file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is something else in it.
    #[error("{}: it holds no certificate in PEM", .path.display())]
    Form {
        /// Which.
        path: PathBuf,
    },
}

/// See the module; cheap to clone. By default: the authorities of the system.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

struct Inner {
    roots: RootCertStore,
    fingerprints: Vec<Fingerprint>,
    /// Made at the first connection that needs it: the system's authorities are some hundred files.
    config: OnceLock<Result<Arc<ClientConfig>, Error>>,
}

impl Trust {
    /// Trusts those in `authorities` beside the system's; or, where there are fingerprints, the certificates with one of
    /// them and no others.
    ///
    /// # Errors
    /// When the file holds no certificates.
    pub fn new(
        authorities: Option<PathBuf>,
        fingerprints: Vec<Fingerprint>,
    ) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = authorities {
            let text = match std::fs::read(&path) {
                Ok(text) => text,
                Err(source) => return Err(TrustError::Unreadable { path, source }),
            };
            let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
            if roots.add_parsable_certificates(found).0 == 0 {
                return Err(TrustError::Form { path });
            }
        }
        Ok(Self::of(roots, fingerprints))
    }

    fn of(roots: RootCertStore, fingerprints: Vec<Fingerprint>) -> Self {
        Self(Arc::new(Inner {
            roots,
            fingerprints,
            config: OnceLock::new(),
        }))
    }

    /// For connections by TLS.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        self.0.config.get_or_init(|| self.0.make()).clone()
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::of(RootCertStore::empty(), Vec::new())
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("roots", &self.0.roots.len())
            .field("fingerprints", &self.0.fingerprints)
            .finish()
    }
}

impl Inner {
    fn make(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(ring::default_provider());
        let judge = Judge {
            authorities: self.authorities(&provider),
            fingerprints: self.fingerprints.clone(),
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // "Dangerous" is whatever is not the library's own verifier; ours asks that one, or compares.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// Nobody where there is no authority at all, or none is needed.
    fn authorities(&self, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
        if !self.fingerprints.is_empty() {
            return None;
        }
        let mut roots = self.roots.clone();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!("the system's authorities: {error}");
        }
        roots.add_parsable_certificates(system.certs);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let verifier = verifier.build();
        verifier
            .inspect_err(|error| tracing::debug!("this machine has no authorities: {error}"))
            .ok()
    }
}

/// Why a server is not believed, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Distrust {
    /// Its certificate is not the one.
    #[error(
        "its certificate has another fingerprint: {seen}; a server with --tls-self-signed makes a new certificate at each \
         start, and says its fingerprint"
    )]
    AnotherFingerprint { seen: Fingerprint },
    /// Its certificate is no proof.
    #[error(
        "{why} (its fingerprint is {seen}); if the server says the same fingerprint where it runs, take it with \
         --tls-fingerprint; name an authority of your own with --tls-ca FILE"
    )]
    NoProof { why: String, seen: Fingerprint },
}

impl Distrust {
    /// Finds it in what a handshake failed with.
    pub(crate) fn in_error(error: &std::io::Error) -> Option<&Self> {
        match error.get_ref()?.downcast_ref::<Error>()? {
            Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
                why.downcast_ref()
            }
            _ => None,
        }
    }
}

fn words(error: &Error) -> String {
    use CertificateError as C;
    match error {
        Error::InvalidCertificate(C::UnknownIssuer) => {
            "nobody whom this machine trusts vouches for its certificate".to_owned()
        }
        Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "its certificate is for another name".to_owned()
        }
        Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet, by this machine's clock".to_owned()
        }
        other => other.to_string(),
    }
}

#[derive(Debug)]
struct Judge {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    fingerprints: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen = Fingerprint::of(certificate);
        let distrust = if self.fingerprints.contains(&seen) {
            return Ok(ServerCertVerified::assertion());
        } else if !self.fingerprints.is_empty() {
            Distrust::AnotherFingerprint { seen }
        } else {
            let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
            let judged = self.authorities.as_ref().map_or(Err(unknown), |known| {
                known.verify_server_cert(certificate, between, name, ocsp, now)
            });
            match judged {
                Ok(verified) => return Ok(verified),
                Err(error) => Distrust::NoProof {
                    why: words(&error),
                    seen,
                },
            }
        };
        let why = OtherError(Arc::new(distrust));
        Err(Error::InvalidCertificate(CertificateError::Other(why)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
