//! The client as a library, by its example.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::alone::alone;
use rtc_e2e::process::binary;
use rtc_e2e::server::TestServer;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_chromium_is_judged_by_a_program_of_some_lines() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let page = format!("{}/{{room}}?autojoin", server.url());
    // Cargo builds examples before it runs any test of the workspace.
    let program = binary("examples/judge_page").unwrap();
    let told = Command::new(program)
        .args([&server.url(), &page])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&told.stdout);
    let errors = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(0), "{text}{errors}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("ok ")).count(),
        4,
        "{text}"
    );
}
