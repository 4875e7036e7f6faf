//! The browser peer's files, inside the binary.

/// One file of the page.
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) text: &'static str,
}

macro_rules! assets {
    ($($name:literal $kind:literal),* $(,)?) => {
        &[$(Asset { name: $name, kind: $kind, text: include_str!(concat!("../web/", $name)) }),*]
    };
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// What is served at `/` and for every room.
pub(crate) const INDEX: Asset = Asset {
    name: "index.html",
    kind: "text/html; charset=utf-8",
    text: include_str!("../web/index.html"),
};

/// Socket.IO's client for browsers, version 4.8.4 as npm has it (`dist/socket.io.min.js` of `socket.io-client`), under
/// the MIT licence that lies beside it. What is served where pages look for it.
pub(crate) const SOCKET_IO: Asset = Asset {
    name: "socket.io.js",
    kind: "js",
    text: include_str!("../web/vendor/socket.io-4.8.4.min.js"),
};

/// What is served below `/_/`.
pub(crate) const ASSETS: &[Asset] = assets![
    "app.js" "js",
    "chat.js" "js",
    "e2ee.js" "js",
    "e2ee-worker.js" "js",
    "media.js" "js",
    "mesh.js" "js",
    "peer.js" "js",
    "sframe.js" "js",
    "signaling.js" "js",
    "stats.js" "js",
    "ui.js" "js",
    "style.css" "text/css; charset=utf-8",
    "icon.svg" "image/svg+xml",
];

impl Asset {
    /// Its media type.
    pub(crate) fn content_type(&self) -> &'static str {
        if self.kind == "js" {
            JAVASCRIPT
        } else {
            self.kind
        }
    }

    /// Changes with the text: FNV-1a, which is no secret and need not be.
    pub(crate) fn etag(&self) -> String {
        let hash = self
            .text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        format!("\"{hash:016x}\"")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                continue;
            }
            let name = entry.file_name().into_string().unwrap();
            let known = name == INDEX.name || ASSETS.iter().any(|asset| asset.name == name);
            assert!(known, "{name} is missing in the list");
        }
    }

    #[test]
    fn the_tag_changes_with_the_text() {
        let tags: std::collections::BTreeSet<String> = ASSETS.iter().map(Asset::etag).collect();
        assert_eq!(tags.len(), ASSETS.len());
    }
}
