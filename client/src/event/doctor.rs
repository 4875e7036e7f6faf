//! What `rtc-client doctor` found.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It works.
    Ok,
    /// It works, and a call may be worse for it; or a call can do without it.
    Warning,
    /// It does not work.
    Failed,
    /// It cannot be told from here.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which: `signaling`, `stun`, `turn`, `nat`, `path`, `mtu`, `devices`, `codecs`.
    pub check: String,
    /// What it was tried on, where there are several: a server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How it is.
    pub health: Health,
    /// In words.
    pub text: String,
    /// Figures behind the words, by name; times are in milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// In the order in which a call needs it.
    pub findings: Vec<Finding>,
    /// What to do about it.
    pub advice: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// The process's exit code.
    pub exit_code: u8,
}
