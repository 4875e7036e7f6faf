//! The views, on a thread of their own: whoever reads slowly, or no more, holds up what is shown and nothing else.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{OutputError, View};
use crate::event::Event;

/// Events on their way to the views; the rest waits where it comes from.
const HANDED: usize = 1;

/// The views of one call.
#[derive(Debug)]
pub struct Viewing {
    events: mpsc::Sender<Event>,
    over: oneshot::Receiver<()>,
}

impl Viewing {
    /// Begins to show; `complain` takes what goes wrong with a view.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut views: Vec<Box<dyn View>>, complain: fn(&str)) -> std::io::Result<Self> {
        let (events, mut handed) = mpsc::channel::<Event>(HANDED);
        let (done, over) = oneshot::channel();
        let show = move || {
            while let Some(event) = handed.blocking_recv() {
                views.retain_mut(|view| match view.event(&event) {
                    Ok(()) => true,
                    Err(OutputError::Closed) => false,
                    Err(error) => {
                        complain(&error.to_string());
                        false
                    }
                });
                if views.is_empty() {
                    break;
                }
            }
            drop((views, handed));
            // Nobody may wait for it any more.
            let _ = done.send(());
        };
        // A thread that waits for a reader cannot be woken, so it has no handle: it holds nothing but its views, and goes
        // with the process.
        std::thread::Builder::new()
            .name("views".into())
            .spawn(show)?;
        Ok(Self { events, over })
    }

    /// Hands the next event over as soon as the views take one, and tells which it is; none where no more come. Nothing
    /// is lost where this is not waited for to its end.
    pub async fn next<T>(
        &self,
        events: &mut mpsc::Receiver<Event>,
        read: impl FnOnce(&Event) -> T,
    ) -> Option<T> {
        let permit = self.events.reserve().await;
        let event = events.recv().await?;
        let what = read(&event);
        if let Ok(permit) = permit {
            permit.send(event);
        }
        Some(what)
    }

    /// Waits until no view shows anything any more.
    pub async fn gone(&self) {
        self.events.closed().await;
    }

    /// Waits until all that was handed over is shown and the views are closed, for so long at most where that is given.
    pub async fn end(self, patience: Option<Duration>) {
        drop(self.events);
        // Without an answer the thread has ended all the same.
        let _ = match patience {
            Some(patience) => timeout(patience, self.over).await.is_ok(),
            None => self.over.await.is_ok(),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc as std_mpsc;

    use super::*;

    /// Shows an event when it is let.
    struct Slow(std_mpsc::Receiver<()>, std_mpsc::Sender<Event>);

    impl View for Slow {
        fn event(&mut self, event: &Event) -> Result<(), OutputError> {
            self.0.recv().map_err(|_| OutputError::Closed)?;
            self.1.send(event.clone()).map_err(|_| OutputError::Closed)
        }
    }

    fn slow() -> (
        Viewing,
        std_mpsc::Sender<()>,
        std_mpsc::Receiver<Event>,
        mpsc::Sender<Event>,
        mpsc::Receiver<Event>,
    ) {
        let (let_go, held) = std_mpsc::channel();
        let (showing, shown) = std_mpsc::channel();
        let viewing = Viewing::start(vec![Box::new(Slow(held, showing))], |_| {}).unwrap();
        let (tell, events) = mpsc::channel(64);
        (viewing, let_go, shown, tell, events)
    }

    fn notice(number: usize) -> Event {
        Event::Notice {
            text: number.to_string(),
        }
    }

    #[tokio::test]
    async fn a_reader_that_has_stopped_holds_nothing_up_and_misses_nothing_when_it_goes_on() {
        let (viewing, let_go, shown, tell, mut events) = slow();
        for number in 0..40 {
            tell.try_send(notice(number)).unwrap();
        }
        drop(tell);
        let mut ticks = 0;
        let mut handed = 0;
        // Somebody else's turn comes again and again meanwhile.
        while ticks < 1000 {
            tokio::select! {
                biased;
                one = viewing.next(&mut events, |_| ()) => handed += usize::from(one.is_some()),
                () = tokio::task::yield_now() => ticks += 1,
            }
        }
        assert!(handed <= HANDED + 1, "{handed} were handed over");
        for _ in 0..40 {
            let_go.send(()).unwrap();
        }
        while viewing.next(&mut events, |_| ()).await.is_some() {}
        viewing.end(None).await;
        let all: Vec<Event> = shown.iter().collect();
        assert_eq!(all, (0..40).map(notice).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_waits_for_the_end_of_a_reader_that_has_stopped_may_give_it_up() {
        let (viewing, let_go, _shown, tell, mut events) = slow();
        tell.try_send(notice(1)).unwrap();
        viewing.next(&mut events, |_| ()).await.unwrap();
        viewing.end(Some(Duration::from_millis(1))).await;
        drop(let_go);
    }

    #[tokio::test]
    async fn that_the_last_view_is_gone_is_told_and_events_still_come_to_their_end() {
        let (viewing, let_go, _shown, tell, mut events) = slow();
        drop(let_go);
        for number in 0..5 {
            tell.try_send(notice(number)).unwrap();
        }
        drop(tell);
        viewing.next(&mut events, |_| ()).await.unwrap();
        viewing.gone().await;
        let mut left = 0;
        while viewing.next(&mut events, |_| ()).await.is_some() {
            left += 1;
        }
        assert_eq!(left, 4);
    }
}
