//! Says back whatever a WebSocket is told, for suites of cases as Autobahn's: `scripts/autobahn`.

use std::net::SocketAddr;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], 9401));
    // The largest messages of Autobahn's group 9 are of 16 MiB.
    let (address, echo) = rtc_server::testing::echo(address, 16 << 20).await?;
    eprintln!("echoing at ws://{address}");
    if let Err(error) = echo.await {
        eprintln!("ended: {error}");
    }
    Ok(())
}
