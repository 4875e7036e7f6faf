//! Flags about who may do what.

use clap::Args;

use crate::access::{Access, AdminToken, Key};

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessFlags {
    /// Ask for room tokens, signed with this secret (HS256); repeatable; env:NAME reads a variable.
    #[arg(long, value_name = "FILE", value_parser = Key::read_secret)]
    auth_secret: Vec<Key>,

    /// Ask for room tokens, signed with this key's private half (Ed25519, PEM); repeatable, env:NAME too.
    #[arg(long, value_name = "FILE", value_parser = Key::read_public)]
    auth_public_key: Vec<Key>,

    /// The administrator's token, which lets its holder do everything; env:NAME too.
    #[arg(long, value_name = "FILE", value_parser = AdminToken::read)]
    admin_token: Option<AdminToken>,
}

impl AccessFlags {
    pub(super) fn access(self) -> Access {
        let keys = self.auth_secret.into_iter().chain(self.auth_public_key);
        Access::new(keys.collect(), self.admin_token)
    }
}
