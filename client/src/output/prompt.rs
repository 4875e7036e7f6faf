//! What is typed where there is no screen, line by line on standard input: answers to a ringing call, or everything that
//! a screen takes (`--commands`).

use std::io::BufRead;

use tokio::sync::mpsc;

use super::Action;

/// What a line means; none where it is no answer.
#[must_use]
pub fn answer(line: &str) -> Option<Action> {
    match line.trim().to_lowercase().as_str() {
        "a" | "accept" | "y" | "yes" => Some(Action::Answer),
        "r" | "refuse" | "n" | "no" => Some(Action::Decline),
        "q" | "quit" => Some(Action::HangUp),
        _ => None,
    }
}

/// What a line means where everything may be said: what a screen has keys for has words here.
#[must_use]
pub fn anything(line: &str) -> Option<Action> {
    match line.trim() {
        "/quit" => Some(Action::HangUp),
        "/accept" => Some(Action::Answer),
        "/refuse" => Some(Action::Decline),
        "/mute" => Some(Action::ToggleMute),
        "/camera" => Some(Action::ToggleCamera),
        _ => super::command::said(line),
    }
}

/// Reads lines until standard input or the call ends. A thread that waits for a person cannot be woken, so it has no
/// handle: it holds nothing but its line, and goes with the process.
///
/// # Errors
/// When the system gives no thread.
pub fn listen(
    actions: mpsc::Sender<Action>,
    meaning: fn(&str) -> Option<Action>,
) -> std::io::Result<()> {
    let read = move || {
        let lines = std::io::stdin().lock().lines();
        for action in lines
            .map_while(Result::ok)
            .filter_map(|line| meaning(&line))
        {
            if actions.blocking_send(action).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("prompt".into())
        .spawn(read)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_or_refuses_the_call_and_any_other_does_nothing() {
        assert_eq!(answer(" A \n"), Some(Action::Answer));
        assert_eq!(answer("refuse"), Some(Action::Decline));
        assert_eq!(answer("q"), Some(Action::HangUp));
        assert_eq!(answer(""), None);
        assert_eq!(answer("are you there?"), None);
    }
}
