//! The client's own files, as far as they take bytes of strangers.

#[path = "../../client/src/e2ee/key.rs"]
pub mod key;
#[path = "../../client/src/e2ee/layout.rs"]
pub mod layout;
#[path = "../../client/src/e2ee/open.rs"]
pub mod open;
#[path = "../../client/src/e2ee/seal.rs"]
pub mod seal;
