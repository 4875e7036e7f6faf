//! Servers by TLS: which are believed, and what is said of those that are not.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rtc_server::tls::Tls;

use super::*;
use crate::trust::{Trust, TrustError};

async fn serve_by_tls(tls: Tls) -> (Running, u16) {
    let config = Config {
        tls: Some(tls),
        ..Config::localhost(0)
    };
    let (running, _, port) = serve_with(config).await;
    (running, port)
}

fn at_host(host: &str, port: u16, trust: Trust) -> SignalingOptions {
    SignalingOptions {
        trust,
        ..at(&format!("https://{host}:{port}"))
    }
}

async fn refused(options: SignalingOptions) -> String {
    let Err(error) = Guest::try_join(options).await else {
        panic!("it was believed")
    };
    assert_eq!(error.kind(), ErrorKind::NoServer);
    assert!(
        matches!(error, SignalingError::Untrusted { .. }),
        "{error:?}"
    );
    error.to_string()
}

/// Writes the certificate of an authority, and a certificate with its key that this authority made for `localhost`.
fn write_authority(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn the_certificate_with_that_fingerprint_is_believed_and_no_other() {
    let tls = Tls::self_signed().unwrap();
    let (seen, other) = (tls.fingerprint(), Tls::self_signed().unwrap().fingerprint());
    let (_server, port) = serve_by_tls(tls).await;
    let pinned = |prints: &[_]| Trust::new(None, prints.to_vec()).unwrap();
    let a = Guest::join(at_host("127.0.0.1", port, pinned(&[other, seen]))).await;
    let b = Guest::join(at_host("localhost", port, pinned(&[seen]))).await;
    assert_eq!(b.members, [a.id()]);
    let words = refused(at_host("localhost", port, pinned(&[other]))).await;
    assert!(words.contains(&seen.to_string()), "{words}");
    assert!(words.contains("another fingerprint"), "{words}");
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_with_what_to_do() {
    let tls = Tls::self_signed().unwrap();
    let seen = tls.fingerprint().to_string();
    let (_server, port) = serve_by_tls(tls).await;
    let words = refused(at_host("localhost", port, Trust::default())).await;
    for part in ["--tls-fingerprint", "--tls-ca", &seen] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[tokio::test]
async fn an_authority_of_a_file_is_believed_beside_the_systems_and_only_for_the_right_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_authority(folder.path());
    let tls = Tls::of_files(path("cert.pem"), path("key.pem")).unwrap();
    let (_server, port) = serve_by_tls(tls).await;
    let known = Trust::new(Some(path("ca.pem")), Vec::new()).unwrap();
    Guest::join(at_host("localhost", port, known.clone())).await;
    let words = refused(at_host("127.0.0.1", port, known)).await;
    assert!(words.contains("for another name"), "{words}");
    let words = refused(at_host("localhost", port, Trust::default())).await;
    assert!(words.contains("nobody whom this machine trusts"), "{words}");
}

#[test]
fn a_file_without_certificates_is_no_authority() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let read = || Trust::new(Some(path.clone()), Vec::new());
    assert!(matches!(read(), Err(TrustError::Unreadable { .. })));
    std::fs::write(&path, "no certificate").unwrap();
    assert!(matches!(read(), Err(TrustError::Form { .. })));
}
