//! coturn as somebody's TURN server: by UDP, TCP and TLS on the loopback, for `ann` with the password `secret`.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, sleep};

use crate::process::PATIENCE;

/// A running `turnserver`, killed when dropped.
#[derive(Debug)]
pub struct Coturn {
    child: Child,
    folder: TempDir,
    /// Where UDP and TCP are.
    pub plain: u16,
    /// Where TLS is.
    pub tls: u16,
}

impl Coturn {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it or `openssl` is not installed (`scripts/setup test`), or it ends at once.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        certificate(&folder).await?;
        let (plain, tls) = two_ports().await?;
        let child = Command::new("turnserver")
            .current_dir(folder.path())
            .args([
                "-n",
                "--no-cli",
                "--no-dtls",
                "--lt-cred-mech",
                "--simple-log",
            ])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"])
            .args(["--listening-port", &plain.to_string()])
            .args(["--tls-listening-port", &tls.to_string()])
            .args([
                "--user",
                "ann:secret",
                "--realm",
                "rtc",
                "--allow-loopback-peers",
            ])
            .args(["--cert", "cert.pem", "--pkey", "key.pem"])
            .args(["--pidfile", "pid", "--userdb", "db", "--log-file", "stdout"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("turnserver: run `apt-get install coturn`")?;
        let mut server = Self {
            child,
            folder,
            plain,
            tls,
        };
        server.listens().await?;
        Ok(server)
    }

    /// The certificate that it shows.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        for port in [self.plain, self.tls] {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("turnserver ended at once: {status}");
                }
                ensure!(
                    Instant::now() < until,
                    "turnserver does not listen at {port}"
                );
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

/// Two ports that nobody has at this moment.
async fn two_ports() -> anyhow::Result<(u16, u16)> {
    let (one, two) = (
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    );
    Ok((one.local_addr()?.port(), two.local_addr()?.port()))
}

async fn certificate(folder: &TempDir) -> anyhow::Result<()> {
    let made = Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=turn",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .output()
        .await
        .context("openssl: run `apt-get install openssl`")?;
    ensure!(
        made.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}
