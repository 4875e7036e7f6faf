//! Pages of `docs/` that are made from the code, held to it by tests.
#![allow(clippy::unwrap_used)]

/// One file of the repository, or nothing.
pub(crate) fn read(path: &str) -> String {
    let whole = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&whole).unwrap_or_default()
}

/// Fails where the file of the repository is another text; with `UPDATE_DOCS=1` in the environment it is written anew.
pub(crate) fn same_as_the_file(path: &str, text: &str) {
    let whole = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&whole, text).unwrap();
    }
    let published = read(path);
    assert!(
        published == text,
        "{path} is not what the code says; run this test with UPDATE_DOCS=1"
    );
}
