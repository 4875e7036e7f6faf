//! The package for Python, installed as a user does and held to its own tests against the real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use rtc_e2e::alone::alone;
use rtc_e2e::process::binary;

fn run(program: &Path, arguments: &[&str], folder: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("RTC_CLIENT", binary("rtc-client").unwrap())
        .env("RTC_SERVER", binary("rtc-server").unwrap())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        output.status.success(),
        "{} {arguments:?}\n{}{}",
        program.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_installs_is_typed_and_drives_real_calls() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python");
    let at = |name: &str| folder.path().join("venv/bin").join(name);
    // A copy: building leaves nothing in the tree.
    let copy = folder.path().join("python");
    run(
        Path::new("cp"),
        &["-r", package.to_str().unwrap(), copy.to_str().unwrap()],
        folder.path(),
    );
    run(Path::new("python3"), &["-m", "venv", "venv"], folder.path());
    run(
        &at("pip"),
        &["install", "--quiet", "./python[test]"],
        folder.path(),
    );
    run(&at("mypy"), &[], &copy);
    // The installed package, not the folder beside the tests.
    std::fs::remove_dir_all(copy.join("rtc_client")).unwrap();
    run(&at("pytest"), &["-q"], &copy);
}
