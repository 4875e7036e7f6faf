//! What a page of ours receives: marks and a tone.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::{MARKS_JS, Page, TONE_JS};

/// Watches what the page receives of the peer of that name until there is enough of it.
///
/// Gives the summaries of both. What is watched are copies of the tracks: one that was watched gives nothing a second time.
///
/// # Errors
/// There was not enough of it within `patience`.
pub async fn watch(
    page: &Page,
    peer: &str,
    hz: u32,
    patience: Duration,
) -> anyhow::Result<(Value, Value)> {
    page.eval(MARKS_JS).await?;
    page.eval(TONE_JS).await?;
    let find = format!("rtc.peers.find(p => p.name === '{peer}')");
    page.wait_for(
        &format!("{find}?.state === 'connected' && rtc.video({find}.id)?.videoWidth > 0"),
        patience,
    )
    .await?;
    page.eval(&format!(
        "(() => {{ const stream = rtc.stream({find}.id); \
         globalThis.marks = rtcMarks.watch(stream.getVideoTracks()[0].clone()); \
         globalThis.tone = rtcTone.watch(stream.getAudioTracks()[0].clone(), {hz}); }})()"
    ))
    .await?;
    let enough = page
        .wait_for(
            "marks.summary().read >= 90 && tone.summary().heardSeconds >= 3",
            patience,
        )
        .await;
    let marks = page.eval("marks.summary()").await?;
    let tone = page.eval("tone.summary()").await?;
    enough.with_context(|| format!("it saw {marks} and heard {tone}"))?;
    Ok((marks, tone))
}
