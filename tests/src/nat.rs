//! An internet of network namespaces: a public network, and hosts behind NATs of every kind (RFC 4787).
//!
//! ```text
//! namespace "public": a bridge, and the server at 203.0.113.1
//!   ├── a host with public addresses, 203.0.113.1N and 2001:db8:113::N
//!   └── a router that is a NAT (nftables) ── a host at 10.0.N.2
//! ```
//!
//! Needs root, `ip` and `nft`; the rest of the machine is not touched.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};

/// Where the server is.
pub const SERVER: &str = "203.0.113.1";

/// How a host reaches the public network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// It has an address there itself.
    None,
    /// Mapping and filtering are independent of the far side.
    FullCone,
    /// Whom the host has sent something may answer, from any port.
    AddressRestricted,
    /// Whom the host has sent something may answer, from that port.
    PortRestricted,
    /// Each far side gets another port (RFC 4787: address and port-dependent mapping).
    Symmetric,
    /// No UDP gets through.
    TcpOnly,
    /// Nothing but TCP to the port of TLS.
    TlsOnly,
}

/// The port that [`Nat::TlsOnly`] lets through.
pub const TLS_PORT: u16 = 5349;

/// The public network; its namespaces are gone when it is dropped.
#[derive(Debug)]
pub struct Internet {
    name: String,
    hosts: u32,
    namespaces: Vec<String>,
}

/// A machine in the network, by the name of its namespace.
#[derive(Clone, Debug)]
pub struct Host {
    /// What `ip netns exec` calls it.
    pub namespace: String,
    number: u32,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Internet {
    /// An empty one.
    ///
    /// # Errors
    /// When namespaces cannot be had: without root, or without `ip` (`scripts/setup test`).
    pub fn new() -> anyhow::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut internet = Self {
            name: format!("rtc{}-{number}", std::process::id()),
            hosts: 0,
            namespaces: Vec::new(),
        };
        let public = internet.namespace("public")?;
        ip(&["-n", &public, "link", "add", "br0", "type", "bridge"])?;
        let place = format!("{SERVER}/24");
        ip(&["-n", &public, "addr", "add", &place, "dev", "br0"])?;
        ip(&["-n", &public, "link", "set", "br0", "up"])?;
        Ok(internet)
    }

    /// Where the server runs.
    #[must_use]
    pub fn public(&self) -> String {
        format!("{}-public", self.name)
    }

    /// One more host behind a NAT of this kind.
    ///
    /// # Errors
    /// When `ip` or `nft` refuse.
    pub fn host(&mut self, nat: Nat) -> anyhow::Result<Host> {
        self.hosts += 1;
        let number = self.hosts;
        let namespace = self.namespace(&format!("host{number}"))?;
        let outside = format!("203.0.113.{}", 10 + number);
        if nat == Nat::None {
            self.cable(&namespace, "eth0", &format!("{outside}/24"))?;
            // Not looked for twice in a network that nobody else is in, so that it is there at once.
            let six = format!("2001:db8:113::{number}/64");
            ip(&[
                "-n", &namespace, "addr", "add", &six, "dev", "eth0", "nodad",
            ])?;
            gateway(&namespace, SERVER)?;
        } else {
            let router = self.namespace(&format!("nat{number}"))?;
            self.cable(&router, "out", &format!("{outside}/24"))?;
            let (gateway, inside) = (format!("10.0.{number}.1"), format!("10.0.{number}.2"));
            let pair = ["type", "veth", "peer", "name", "eth0", "netns", &namespace];
            ip(&[&["-n", &router, "link", "add", "in"], &pair[..]].concat())?;
            up(&router, "in", &format!("{gateway}/24"))?;
            up(&namespace, "eth0", &format!("{inside}/24"))?;
            self::gateway(&namespace, &gateway)?;
            inside_of(&router, &["sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
            inside_of(&router, &["nft", &rules(nat, &inside)])?;
        }
        Ok(Host { namespace, number })
    }

    /// Takes a host without a NAT from its network and puts it into another place of it, with another address.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn move_to_another_address(&self, host: &Host) -> anyhow::Result<String> {
        ip(&["-n", &host.namespace, "link", "del", "eth0"])?;
        let address = format!("203.0.113.{}", 100 + host.number);
        self.cable(&host.namespace, "eth1", &format!("{address}/24"))?;
        gateway(&host.namespace, SERVER)?;
        Ok(address)
    }

    /// Gives this machine itself an address in the public network, for programs that cannot run in a namespace.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn join(&self) -> anyhow::Result<()> {
        let (public, here) = (self.public(), self.name.as_str());
        // Interfaces have names of 15 letters at most; both ends are gone with the namespace.
        let pair = ["type", "veth", "peer", "name", "here", "netns", &public];
        ip(&[&["link", "add", here], &pair[..]].concat())?;
        ip(&["-n", &public, "link", "set", "here", "master", "br0", "up"])?;
        // No address of its own that is ready later: browsers break off what they do when the network changes.
        ip(&["link", "set", here, "addrgenmode", "none"])?;
        ip(&["addr", "add", "203.0.113.200/24", "dev", here])?;
        ip(&["link", "set", here, "up"])
    }

    fn namespace(&mut self, role: &str) -> anyhow::Result<String> {
        let namespace = format!("{}-{role}", self.name);
        ip(&["netns", "add", &namespace])?;
        self.namespaces.push(namespace.clone());
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Connects an interface of a namespace to the public network.
    fn cable(&self, namespace: &str, interface: &str, place: &str) -> anyhow::Result<()> {
        let (public, role) = (self.public(), namespace.rsplit('-').next());
        let plug = format!("{}{interface}", role.unwrap_or_default());
        let pair = [
            "type", "veth", "peer", "name", interface, "netns", namespace,
        ];
        ip(&[&["-n", &public, "link", "add", &plug], &pair[..]].concat())?;
        ip(&["-n", &public, "link", "set", &plug, "master", "br0", "up"])?;
        up(namespace, interface, place)
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        // Its other end may outlive its namespace for a while.
        let _ = ip(&["link", "del", &self.name]);
        for namespace in &self.namespaces {
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn up(namespace: &str, interface: &str, place: &str) -> anyhow::Result<()> {
    ip(&["-n", namespace, "addr", "add", place, "dev", interface])?;
    ip(&["-n", namespace, "link", "set", interface, "up"])
}

/// Where everything else goes; what is said to many finds its way by this, too.
fn gateway(namespace: &str, address: &str) -> anyhow::Result<()> {
    ip(&["-n", namespace, "route", "add", "default", "via", address])
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    run("ip", arguments)
}

fn inside_of(namespace: &str, command: &[&str]) -> anyhow::Result<()> {
    run("ip", &[&["netns", "exec", namespace], command].concat())
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let shown = || format!("{program} {}", arguments.join(" "));
    let Output { status, stderr, .. } = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{}: run `scripts/setup test`", shown()))?;
    let why = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{}: {status}: {why}", shown());
    Ok(())
}

/// What makes a router this NAT for the one host behind it. What comes unasked is dropped before the router knows it as a
/// flow: otherwise its own table would have the far side's port taken when the host sends there.
fn rules(nat: Nat, inside: &str) -> String {
    let unasked =
        "chain input { type filter hook input priority 0; iifname out ct state new drop; }";
    let masquerade = |how: &str| {
        format!(
            "chain post {{ type nat hook postrouting priority 100; oifname out masquerade {how}; }}"
        )
    };
    let forward =
        |rule: &str| format!("chain forward {{ type filter hook forward priority 0; {rule}; }}");
    let let_in = |whom: &str| {
        format!(
            "chain pre {{ type nat hook prerouting priority -100; iifname out meta l4proto udp {whom} dnat to {inside}; }}"
        )
    };
    let more = match nat {
        Nat::None => String::new(),
        Nat::FullCone => [masquerade(""), let_in("")].join("\n"),
        Nat::AddressRestricted => [
            "set asked { type ipv4_addr; flags dynamic,timeout; timeout 5m; }".to_owned(),
            forward("oifname out meta l4proto udp update @asked { ip daddr }"),
            masquerade(""),
            let_in("ip saddr @asked"),
        ]
        .join("\n"),
        Nat::PortRestricted => masquerade(""),
        Nat::Symmetric => masquerade("fully-random"),
        Nat::TcpOnly => [masquerade(""), forward("meta l4proto udp drop")].join("\n"),
        Nat::TlsOnly => {
            let other = format!(
                "oifname out tcp dport != {{ 8080, {TLS_PORT} }} drop; meta l4proto udp drop"
            );
            [masquerade(""), forward(&other)].join("\n")
        }
    };
    format!("table ip nat {{\n{more}\n{unasked}\n}}")
}
