//! `rtc-client preview`: what camera and microphone give, without a call.

pub(crate) mod args;
mod meter;
mod taps;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::event::{Event, Preview};
use crate::exit::Ending;
use crate::media::clock::Timestamp;
use crate::options::preview::PreviewOptions;
use crate::output::{Action, OutputError, PictureBoard, View};
use crate::quit::Quit;
use crate::session::local::{self, Sources};
use taps::Taps;

/// What is counted is told this often.
const EVERY: Duration = Duration::from_secs(1);

/// Troubles of the sources that wait to be told; each source has few.
const NOTICES: usize = 16;

/// Shows the sources until somebody ends it.
///
/// # Errors
/// In words, with the exit code: when a source cannot be opened, or there is no view.
pub(crate) async fn run(
    options: PreviewOptions,
    board: PictureBoard,
    open: impl FnOnce(&PictureBoard) -> anyhow::Result<(Vec<Box<dyn View>>, mpsc::Receiver<Action>)>,
) -> Result<Ending, (Ending, String)> {
    let failed = |error: String| (Ending::Failed, error);
    let mut quit =
        Quit::listen().map_err(|error| failed(format!("the system gives no signals: {error}")))?;
    let asked = options.sources.clone();
    // Devices block while they open.
    let Sources {
        video,
        audio,
        notices: missing,
    } = tokio::task::spawn_blocking(move || local::open(&asked))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    if video.is_none() && audio.is_none() && !missing.is_empty() {
        return Err(failed(missing.join("\n")));
    }
    let (mut views, mut wanted) = open(&board).map_err(|error| failed(format!("{error:#}")))?;
    for text in missing {
        show(&mut views, &Event::Notice { text });
    }
    let owed = (video.is_some(), audio.is_some());
    let (tell, mut notices) = mpsc::channel(NOTICES);
    let taps = Taps::start(video, audio, &board, &tell)
        .map_err(|error| failed(format!("the system gave no thread: {error}")))?;
    drop(tell);
    let began = Instant::now();
    let deadline = options.duration.map(|time| began + time);
    let mut every = interval_at(began + EVERY, EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let time_up = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_up => break,
            () = quit.asked() => break,
            action = wanted.recv() => if matches!(action, Some(Action::HangUp)) {
                break;
            },
            Some(text) = notices.recv() => show(&mut views, &Event::Notice { text }),
            _ = every.tick() => show(&mut views, &report(&taps, owed, began)),
        }
        // Whoever read the lines is gone, or both sources have ended.
        if views.is_empty() || (notices.is_closed() && notices.is_empty()) {
            break;
        }
    }
    show(&mut views, &report(&taps, owed, began));
    let silent = {
        let seen = taps.seen();
        (owed.0 && seen.pictures.frames() == 0) || (owed.1 && seen.sound.heard() == 0)
    };
    let _ = tokio::task::spawn_blocking(move || drop(taps)).await;
    // The terminal is given back before anything else is said.
    drop(views);
    if silent {
        let words = "a source gave nothing; look whether it is switched off, covered or used by another program";
        return Err((Ending::NoMedia, words.into()));
    }
    Ok(Ending::Done)
}

fn report(taps: &Taps, (video, audio): (bool, bool), began: Instant) -> Event {
    let mut seen = taps.seen();
    let (source, stats) = (seen.video.clone(), seen.stats);
    let video = video.then(|| seen.pictures.report(Timestamp::now(), source, stats));
    let source = seen.audio.clone();
    let audio = audio.then(|| seen.sound.report(source));
    Event::Preview(Preview {
        seconds: began.elapsed().as_secs_f64(),
        video,
        audio,
    })
}

fn show(views: &mut Vec<Box<dyn View>>, event: &Event) {
    views.retain_mut(|view| match view.event(event) {
        Ok(()) => true,
        Err(OutputError::Closed) => false,
        Err(error) => {
            crate::run::complain(&error.to_string());
            false
        }
    });
}
