//! Finds out what pictures a terminal can show.

use std::io::{self, Write};
use std::time::Duration;

use ratatui_image::picker::cap_parser::{Parser, QueryStdioOptions, Response};

use super::paint::{Means, Pixels};

/// How long a terminal may take to answer. One that is far away and slower gets half blocks.
const ANSWER_WITHIN: Duration = Duration::from_millis(400);

/// What the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Graphics {
    /// The best the terminal says it has; half blocks inside tmux and screen.
    #[default]
    Auto,
    /// Half-block characters.
    Blocks,
    /// Sixel, without asking the terminal.
    Sixel,
    /// Kitty's protocol, without asking the terminal.
    Kitty,
}

/// What a terminal answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    kitty: bool,
    sixel: bool,
    cell: Option<(u16, u16)>,
}

/// Decides how to draw. Asks the terminal only for [`Graphics::Auto`] or a cell's size, and only where asking is safe.
///
/// The terminal must be in raw mode, and nothing else may read it meanwhile.
pub fn choose(
    wanted: Graphics,
    variable: impl Fn(&str) -> Option<String>,
    cell: Option<(u16, u16)>,
    ask: impl FnOnce() -> Answer,
) -> Means {
    let multiplexed = is_multiplexed(&variable);
    let means = |answer: Answer| {
        // Without a size, that of a common terminal: pictures come out small or cut, but in their place.
        let pixels = Pixels {
            cell: answer.cell.or(cell).unwrap_or((10, 20)),
            tmux: multiplexed,
        };
        (pixels, answer)
    };
    match wanted {
        Graphics::Blocks => Means::Blocks,
        Graphics::Sixel | Graphics::Kitty => {
            let answer = if cell.is_some() || multiplexed {
                Answer::default()
            } else {
                ask()
            };
            let (pixels, _) = means(answer);
            if wanted == Graphics::Sixel {
                Means::Sixel(pixels)
            } else {
                Means::Kitty(pixels)
            }
        }
        Graphics::Auto if multiplexed || is_unfit(&variable) => Means::Blocks,
        Graphics::Auto => match means(ask()) {
            (pixels, answer) if answer.kitty => Means::Kitty(pixels),
            (pixels, answer) if answer.sixel => Means::Sixel(pixels),
            _ => Means::Blocks,
        },
    }
}

fn is_multiplexed(variable: &impl Fn(&str) -> Option<String>) -> bool {
    let term = variable("TERM").unwrap_or_default();
    variable("TMUX").is_some_and(|v| !v.is_empty())
        || term.starts_with("tmux")
        || term.starts_with("screen")
}

/// Terminals that print a question as text, or say they can what they do badly.
fn is_unfit(variable: &impl Fn(&str) -> Option<String>) -> bool {
    let set = |key: &str| variable(key).is_some_and(|value| !value.is_empty());
    let term = variable("TERM").unwrap_or_default();
    matches!(term.as_str(), "" | "dumb" | "linux")
        || set("KONSOLE_VERSION")
        || set("WEZTERM_EXECUTABLE")
}

/// Asks the terminal, for at most `ANSWER_WITHIN`.
///
/// The last question, a status report, is answered by practically every terminal, so the wait is
/// long only where nothing answers at all. An answer that comes too late is read as keys that mean nothing.
#[cfg(unix)]
pub fn ask() -> Answer {
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    if send_question().is_err() {
        return Answer::default();
    }
    let deadline = Instant::now() + ANSWER_WITHIN;
    let stdin = io::stdin();
    let mut reader = AnswerReader::default();
    let mut bytes = [0_u8; 64];
    while !reader.done {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else {
            break;
        };
        let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&timeout));
        if left.is_zero() || !matches!(ready, Ok(1..)) {
            break;
        }
        match rustix::io::read(&stdin, &mut bytes[..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => reader.push(&bytes[..count]),
        }
    }
    reader.answer
}

/// Windows' consoles hand no answers to the program.
#[cfg(not(unix))]
pub fn ask() -> Answer {
    Answer::default()
}

#[cfg(unix)]
fn send_question() -> io::Result<()> {
    let question = Parser::query(false, QueryStdioOptions::default());
    let mut stdout = io::stdout().lock();
    stdout.write_all(question.as_bytes())?;
    stdout.flush()
}

struct AnswerReader {
    parser: Parser,
    answer: Answer,
    done: bool,
}

impl Default for AnswerReader {
    fn default() -> Self {
        Self {
            parser: Parser::new(),
            answer: Answer::default(),
            done: false,
        }
    }
}

impl AnswerReader {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for response in self.parser.push(char::from(*byte)) {
                match response {
                    Response::Kitty => self.answer.kitty = true,
                    Response::Sixel => self.answer.sixel = true,
                    Response::CellSize(size) => self.answer.cell = size,
                    Response::Status => self.done = true,
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> (Answer, bool) {
        let mut reader = AnswerReader::default();
        reader.push(bytes);
        (reader.answer, reader.done)
    }

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |key| {
            let found = pairs.iter().find(|(k, _)| *k == key);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn a_kitty_answers_with_ok_and_a_cell_size() {
        let (answer, done) = read(b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c\x1b[6;18;9t\x1b[0n");
        assert!(done && answer.kitty && !answer.sixel);
        assert_eq!(answer.cell, Some((9, 18)));
    }

    #[test]
    fn a_sixel_terminal_has_a_four_in_its_attributes() {
        let (answer, done) = read(b"\x1b[?63;1;2;4c\x1b[0n");
        assert!(done && answer.sixel && !answer.kitty);
    }

    #[test]
    fn inside_tmux_nothing_is_asked() {
        for pairs in [
            [("TMUX", "/tmp/x"), ("TERM", "xterm")],
            [("TERM", "screen-256color"), ("A", "")],
        ] {
            let means = choose(Graphics::Auto, environment(&pairs), None, || unreachable!());
            assert_eq!(means, Means::Blocks);
        }
    }

    #[test]
    fn the_best_means_is_taken() {
        let term = [("TERM", "xterm-256color")];
        let with = |kitty, sixel| {
            let answer = Answer {
                kitty,
                sixel,
                cell: Some((9, 18)),
            };
            choose(Graphics::Auto, environment(&term), None, || answer)
        };
        let pixels = Pixels {
            cell: (9, 18),
            tmux: false,
        };
        assert_eq!(with(true, true), Means::Kitty(pixels));
        assert_eq!(with(false, true), Means::Sixel(pixels));
        assert_eq!(with(false, false), Means::Blocks);
    }

    #[test]
    fn what_is_wanted_is_not_questioned() {
        let term = [("TERM", "xterm"), ("TMUX", "x")];
        let means = choose(
            Graphics::Sixel,
            environment(&term),
            Some((7, 14)),
            || unreachable!(),
        );
        assert_eq!(
            means,
            Means::Sixel(Pixels {
                cell: (7, 14),
                tmux: true
            })
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }

        #[test]
        fn any_numbers_are_survived(text in "(\x1b(\\[|_Gi=31;|\\]11;)[?0-9;a-zR:/]{0,12}[ctnR\x07]?){0,6}") {
            read(text.as_bytes());
        }
    }
}
