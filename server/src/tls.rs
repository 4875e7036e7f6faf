//! TLS: a certificate of files, which is read again when they change, or one made for this machine.
//!
//! What is told to other modules is an acceptor and no more; the crypto is the one that is linked already (`ring`).

mod files;
mod fingerprint;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

pub(crate) use files::{Files, certificates, read};
pub use fingerprint::{Fingerprint, FingerprintError};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a certificate of our own is good for; each start makes a new one.
const OWN: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Before now, for devices whose clocks are late.
const LATE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Flags that do not go together.
    #[error("give both --tls-cert and --tls-key, or --tls-self-signed alone")]
    Flags,
    /// A file is not there.
    #[error("cannot read {}: {source}; check {flags}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What named it.
        flags: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no {what} in PEM; check {flags}", .path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What named it.
        flags: &'static str,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate and key do not go together, or are of a kind that is not spoken.
    #[error(
        "{} and {} cannot be used: {source}; they must belong together: check {flags}",
        .certificate.display(), .key.display()
    )]
    Unfit {
        /// The one.
        certificate: PathBuf,
        /// The other.
        key: PathBuf,
        /// What named them.
        flags: &'static str,
        /// Why.
        #[source]
        source: Box<rustls::Error>,
    },
    /// There is no TLS at all with the crypto that is linked.
    #[error("TLS cannot be spoken: {0}; this build of the program lacks what it takes")]
    NotSpoken(#[from] rustls::Error),
    /// No certificate of our own could be made.
    #[error("no certificate can be made: {0}; give one with --tls-cert and --tls-key")]
    NotMade(#[from] rcgen::Error),
}

/// See the module; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    files: Option<Arc<Files>>,
    fingerprint: Fingerprint,
}

/// The certificate that is shown to who comes next.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

pub(crate) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

impl Tls {
    /// With the certificate (and those between it and its authority) and the key in these files, in PEM.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn of_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files::new(certificate, key, "--tls-cert and --tls-key");
        let certified = files.certified(&files.read()?)?;
        Self::new(certified, Some(files))
    }

    /// With a certificate made for this machine's names and addresses. It is kept in memory alone.
    ///
    /// # Errors
    /// When none can be made.
    pub fn self_signed() -> Result<Self, TlsError> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(names())?;
        let now = SystemTime::now();
        params.not_before = (now - LATE).into();
        params.not_after = (now + OWN).into();
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CommonName, "rtc-server");
        params.distinguished_name = name;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key)?;
        let private = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let chain = vec![certificate.der().clone()];
        let certified = CertifiedKey::from_der(chain, private.into(), &provider())?;
        Self::new(certified, None)
    }

    fn new(certified: CertifiedKey, files: Option<Files>) -> Result<Self, TlsError> {
        let fingerprint = fingerprint(&certified);
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let config = ServerConfig::builder_with_provider(Arc::new(provider()));
        let mut config = config
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            current,
            files: files.map(Arc::new),
            fingerprint,
        })
    }

    /// Of the certificate that it began with.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether nobody but this program vouches for the certificate.
    #[must_use]
    pub const fn is_self_signed(&self) -> bool {
        self.files.is_none()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Reads the files again whenever they have changed, for ever. Connections that stand keep what they began with;
    /// files that cannot be used are told once, and change nothing.
    pub(crate) async fn keep_up(self) {
        let Some(files) = self.files.clone() else {
            return;
        };
        let mut known = files.read().ok();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let these = Arc::clone(&files);
            let read = tokio::task::spawn_blocking(move || these.read()).await;
            // A file that is not there for a moment is one that is being replaced.
            let Ok(Ok(texts)) = read else { continue };
            if known.as_ref() == Some(&texts) {
                continue;
            }
            match files.certified(&texts) {
                Ok(certified) => {
                    tracing::info!(fingerprint = %fingerprint(&certified), "a new certificate");
                    let current = self.current.0.write();
                    *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                }
                Err(error) => tracing::warn!("the old certificate is kept: {error}"),
            }
            known = Some(texts);
        }
    }
}

/// Of the certificate itself, not of those above it.
fn fingerprint(certified: &CertifiedKey) -> Fingerprint {
    Fingerprint::of(certified.cert.first().map_or(&[], |der| der))
}

/// Addresses by which other machines reach this one: those that it would speak from. Nothing is sent to find out.
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    let from = |here: IpAddr, there: IpAddr| {
        let socket = UdpSocket::bind((here, 0)).ok()?;
        // Addresses for documentation (RFC 5737, RFC 3849), which lie beyond the default route.
        socket.connect((there, 9)).ok()?;
        let own = socket.local_addr().ok()?.ip();
        (!own.is_loopback() && !own.is_unspecified()).then_some(own)
    };
    let four = from(
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::new(192, 0, 2, 1).into(),
    );
    let there = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let six = from(Ipv6Addr::UNSPECIFIED.into(), there.into());
    four.into_iter().chain(six).collect()
}

/// What this machine is called.
fn names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("COMPUTERNAME").ok());
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if let Some(host) = host.as_deref().map(str::trim)
        && !host.is_empty()
        && host.chars().all(fits)
    {
        names.push(host.to_owned());
        names.push(format!("{host}.local"));
    }
    names.extend([
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ]);
    names.extend(own_addresses().iter().map(ToString::to_string));
    names
}
