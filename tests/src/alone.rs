//! Calls in real time share the machine with few others of their binary: none where something is measured, one where
//! something is only waited for.

use tokio::sync::{Semaphore, SemaphorePermit};

const PLACES: u32 = 2;

static MACHINE: Semaphore = Semaphore::const_new(PLACES as usize);

/// Waits for the machine; hold what it gives until the end of the test.
pub async fn alone() -> SemaphorePermit<'static> {
    places(PLACES).await
}

/// Waits for a half of the machine, for a test that measures nothing; hold what it gives until the end of the test.
pub async fn beside_another() -> SemaphorePermit<'static> {
    places(1).await
}

async fn places(count: u32) -> SemaphorePermit<'static> {
    match MACHINE.acquire_many(count).await {
        Ok(places) => places,
        Err(_) => unreachable!("nobody closes it"),
    }
}
