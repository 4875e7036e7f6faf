//! Commands from standard input.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::{Command, LONGEST, LineError, parse};
use crate::output::Action;

/// Reads commands until standard input, the call or a `hang-up` ends it; the end of standard input hangs up: who drove the call
/// is gone. A thread that waits for a line cannot be woken, so it has no handle: it holds nothing but its line, and goes
/// with the process.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn listen(actions: mpsc::Sender<Action>) -> io::Result<()> {
    let read = move || {
        let send = |action| actions.blocking_send(action).is_ok();
        // Asked twice, the end would not wait for anybody.
        if !run(io::stdin().lock(), &send, &std::thread::sleep).unwrap_or(false) {
            send(Action::HangUp);
        }
    };
    std::thread::Builder::new()
        .name("control".into())
        .spawn(read)
        .map(drop)
}

/// Gives an action for each line, in order; false of `send` ends it. Tells whether the last one was to hang up.
fn run(
    mut lines: impl BufRead,
    send: &dyn Fn(Action) -> bool,
    sleep: &dyn Fn(Duration),
) -> io::Result<bool> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = LONGEST as u64 + 1;
        if lines.by_ref().take(most).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(false);
        }
        if bytes.len() > LONGEST {
            lines.skip_until(b'\n')?;
            if !send(refused(Value::Null, &LineError::TooLong)) {
                return Ok(false);
            }
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        if text.trim().is_empty() {
            continue;
        }
        let (action, last) = match parse(text.trim()) {
            Err((id, error)) => (refused(id, &error), false),
            Ok(line) => {
                if let Command::Wait { seconds } = line.command {
                    sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
                }
                let last = matches!(line.command, Command::HangUp { .. });
                (Action::Control(line), last)
            }
        };
        if !send(action) || last {
            return Ok(last);
        }
    }
}

fn refused(id: Value, error: &LineError) -> Action {
    Action::Refuse {
        id,
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn read(text: &[u8]) -> Vec<String> {
        let told = RefCell::new(Vec::new());
        let send = |action| {
            told.borrow_mut().push(match action {
                Action::Control(line) => format!("{:?}", line.command),
                Action::Refuse { id, error } => format!("{id}: {error}"),
                other => format!("{other:?}"),
            });
            true
        };
        let slept = |time: Duration| told.borrow_mut().push(format!("{time:?}"));
        assert!(run(text, &send, &slept).is_ok());
        told.into_inner()
    }

    #[test]
    fn lines_are_done_one_after_the_other_up_to_the_last() {
        let text = b"{\"do\":\"stats\"}\n\n{\"do\":\"wait\",\"seconds\":2}\n{\"id\":1,\"do\":\"x\"}\n{\"do\":\"hang-up\"}\n{\"do\":\"stats\"}\n";
        assert_eq!(
            read(text),
            [
                "Stats",
                "2s",
                "Wait { seconds: 2.0 }",
                "1: there is no \"x\"",
                "HangUp { judged: false }"
            ]
        );
    }

    #[test]
    fn a_line_without_an_end_is_a_line_and_one_too_long_is_left_out() {
        assert_eq!(read(b"{\"do\":\"stats\"}"), ["Stats"]);
        let mut text = vec![b' '; 2 * LONGEST];
        text.extend(b"\n{\"do\":\"stats\"}\n\xff\n");
        let told = read(&text);
        assert_eq!(
            told[..2],
            [
                format!("null: a line has at most {LONGEST} bytes"),
                "Stats".into()
            ]
        );
        assert!(
            told[2].starts_with("null: this is no JSON object"),
            "{told:?}"
        );
    }
}
