//! The edge: what a command line asks for, done, with every ending an exit code.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use clap::CommandFactory;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::cli::{self, Cli, Display};
use crate::control::{self, Command};
use crate::data;
use crate::doctor;
use crate::event::{Event, Kind};
use crate::exit::Ending;
use crate::expectations;
use crate::impair;
use crate::load::{self, args::What};
use crate::media::devices::inventory::Inventory;
#[cfg(target_os = "macos")]
use crate::media::sink::window;
use crate::media::sink::window::Window;
use crate::options::preview::PreviewOptions;
use crate::options::{CallOptions, OptionError, Purpose, RecordTo, SignalingOption, View as Style};
use crate::output::json::Json;
use crate::output::lines::Lines;
use crate::output::paste::Pasting;
use crate::output::viewing::Viewing;
use crate::output::{self, PictureBoard, Screen, ScreenOptions, View};
use crate::preview;
use crate::quit::Quit;
use crate::scenario;
use crate::session::{Action, Session};

/// Actions of a person that wait for the call: a person types slower than this fills.
const ACTIONS: usize = 64;

/// Whoever asked for the end waits this long for a reader of our output that does not read; a screen is given back in less.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Does what the command line says and tells how it ended.
#[must_use]
pub fn run(cli: Cli) -> Ending {
    log_to_stderr(cli.verbose);
    let result = match cli.command {
        cli::Command::Join(join) => return hold_call(CallOptions::join(*join)),
        cli::Command::Call(call) => return hold_call(CallOptions::call(*call)),
        cli::Command::Publish(typed) => return hold_call(CallOptions::publish(*typed)),
        cli::Command::Play(typed) => return hold_call(CallOptions::play(*typed)),
        cli::Command::Preview(typed) => return hold_preview(PreviewOptions::new(*typed)),
        cli::Command::Devices { json } => devices(json),
        cli::Command::Doctor(typed) => return doctor::run(*typed),
        cli::Command::Impair(arguments) => return impair::run(&arguments),
        cli::Command::Pipe(asked) => return data::pipe(*asked),
        cli::Command::Send(asked) => return data::send(*asked),
        cli::Command::Receive(asked) => return data::receive(*asked),
        cli::Command::Load(load) => {
            let done = match load.what {
                What::Signaling(asked) => load::run(*asked),
                What::Calls(asked) => load::crowd::run(*asked),
            };
            return match done {
                Ok(()) => Ending::Done,
                Err((ending, words)) => {
                    complain(&words);
                    ending
                }
            };
        }
        cli::Command::Test(typed) => return scenario::run(typed),
        cli::Command::Expectations => print(expectations::list().as_bytes()),
        cli::Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rtc-client", &mut text);
            print(&text)
        }
        cli::Command::Man => manual().and_then(|text| print(&text)),
    };
    match result {
        Ok(()) => Ending::Done,
        Err(error) => {
            complain(&format!("{error:#}"));
            Ending::Failed
        }
    }
}

fn devices(json: bool) -> anyhow::Result<()> {
    let inventory = Inventory::take();
    let text = if json {
        serde_json::to_string(&inventory).context("the list has no JSON form")?
    } else {
        // Names come from hardware that anybody may have made.
        let lines = inventory.to_text();
        let lines: Vec<_> = lines.lines().map(output::text::clean).collect();
        lines.join("\n")
    };
    print(format!("{text}\n").as_bytes())
}

fn manual() -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .context("the manual page could not be made")?;
    for command in Cli::command().get_subcommands() {
        clap_mangen::Man::new(command.clone())
            .title(format!("rtc-client-{}", command.get_name()))
            .render(&mut text)
            .context("the manual page could not be made")?;
    }
    Ok(text)
}

/// Writes to standard output; a reader that went away is no error.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

/// One line on standard error, with nothing in it that steers a terminal.
pub(crate) fn complain(text: &str) {
    use std::io::Write;
    let text = output::text::clean(text);
    let _ = writeln!(std::io::stderr(), "rtc-client: {text}");
}

fn log_to_stderr(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "error,rtc=off,webrtc=off,rtc_ice=off,rtc_dtls=off,rtc_sctp=off,rtc_interceptor=off",
        1 => "warn,rtc_client=info,rtc_server=info",
        2 => "info,rtc_client=debug,rtc_server=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("RTC_CLIENT_LOG").unwrap_or_else(|_| level.into());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init();
}

fn hold_call(options: Result<CallOptions, OptionError>) -> Ending {
    hold(options, |options| {
        let wish = Wish::of_call(&options);
        (wish, move |board, open| call(options, board, open))
    })
}

fn hold_preview(options: Result<PreviewOptions, OptionError>) -> Ending {
    hold(options, |options| {
        let wish = Wish {
            view: options.view,
            graphics: options.graphics,
            window: (options.display == Display::Window).then_some(options.fullscreen),
            asks: false,
            commands: false,
            recorded: false,
            controlled: false,
            pasted: false,
        };
        let task = |board: PictureBoard, open: Open| async move {
            let ended = preview::run(options, board, open).await;
            ended.unwrap_or_else(|(ending, words)| {
                complain(&words);
                ending
            })
        };
        (wish, task)
    })
}

/// Opens the views, once.
type Open = Box<dyn FnOnce(&PictureBoard) -> anyhow::Result<Opened> + Send>;

/// Runs what was asked for to its end, if it can be.
fn hold<O, T, F>(options: Result<O, OptionError>, plan: impl FnOnce(O) -> (Wish, T)) -> Ending
where
    T: FnOnce(PictureBoard, Open) -> F,
    F: Future<Output = Ending> + Send + 'static,
{
    let options = match options {
        Ok(options) => options,
        Err(error) => {
            complain(&error.to_string());
            return Ending::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the system gave no threads: {error}"));
            return Ending::Failed;
        }
    };
    let (wish, task) = plan(options);
    let ending = on_the_right_thread(&runtime, wish, task);
    runtime.shutdown_timeout(Duration::from_millis(500));
    ending
}

/// macOS draws windows from the process's first thread only; there the call goes to another.
#[cfg(target_os = "macos")]
fn on_the_right_thread<F>(
    runtime: &Runtime,
    wish: Wish,
    task: impl FnOnce(PictureBoard, Open) -> F,
) -> Ending
where
    F: Future<Output = Ending> + Send + 'static,
{
    let board = PictureBoard::default();
    let Some(fullscreen) = wish.window else {
        let open = move |board: &PictureBoard| open_views(wish, board);
        return runtime.block_on(task(board, Box::new(open)));
    };
    let (actions, wanted) = mpsc::channel(ACTIONS);
    let (opened, window) = std::sync::mpsc::sync_channel(1);
    let open = move |_: &PictureBoard| {
        let window = window.recv().context("the window's thread has ended")??;
        let views: Vec<Box<dyn View>> = vec![Box::new(window)];
        Ok((views, wanted))
    };
    let task = runtime.spawn(task(board.clone(), Box::new(open)));
    window::run_on_main(board, actions, fullscreen, &opened);
    runtime.block_on(task).unwrap_or(Ending::Failed)
}

#[cfg(not(target_os = "macos"))]
fn on_the_right_thread<F>(
    runtime: &Runtime,
    wish: Wish,
    task: impl FnOnce(PictureBoard, Open) -> F,
) -> Ending
where
    F: Future<Output = Ending> + Send + 'static,
{
    let open = move |board: &PictureBoard| open_views(wish, board);
    runtime.block_on(task(PictureBoard::default(), Box::new(open)))
}

fn records_to_stdout(options: &CallOptions) -> bool {
    let record = options.record.as_ref();
    record.is_some_and(|record| record.to == RecordTo::Stdout)
}

type Opened = (Vec<Box<dyn View>>, mpsc::Receiver<output::Action>);

/// How it is to be shown.
#[derive(Clone, Copy, Debug)]
struct Wish {
    view: Style,
    graphics: cli::Graphics,
    /// Whether there is a window, and whether it fills the screen.
    window: Option<bool>,
    /// Whether somebody is asked to take a call.
    asks: bool,
    /// Whether lines of standard input steer the call.
    commands: bool,
    /// Whether standard output is for a recording.
    recorded: bool,
    /// Whether standard input is for commands.
    controlled: bool,
    /// Whether text of the far side is pasted into it.
    pasted: bool,
}

impl Wish {
    fn of_call(options: &CallOptions) -> Self {
        Self {
            view: options.view,
            graphics: options.graphics,
            window: (options.display == Display::Window).then_some(options.fullscreen),
            asks: matches!(
                options.purpose,
                Purpose::Wait {
                    auto_answer: false,
                    ..
                }
            ),
            commands: options.commands,
            recorded: records_to_stdout(options),
            controlled: options.control,
            pasted: matches!(options.signaling, SignalingOption::Copied(_)),
        }
    }
}

/// The views that were asked for, and what people want who look at them.
fn open_views(wish: Wish, board: &PictureBoard) -> anyhow::Result<Opened> {
    let (actions, wanted) = mpsc::channel(ACTIONS);
    let mut views: Vec<Box<dyn View>> = Vec::new();
    match wish.view {
        Style::Json => views.push(Box::new(Json::stdout())),
        Style::Lines if wish.recorded => views.push(Box::new(Lines::stderr())),
        Style::Lines => views.push(Box::new(Lines::stdout())),
        Style::Screen => {
            let graphics = match wish.graphics {
                cli::Graphics::Auto => output::screen::Graphics::Auto,
                cli::Graphics::Blocks => output::screen::Graphics::Blocks,
                cli::Graphics::Sixel => output::screen::Graphics::Sixel,
                cli::Graphics::Kitty => output::screen::Graphics::Kitty,
            };
            views.push(Box::new(Screen::start(
                ScreenOptions { graphics },
                board.clone(),
                actions.clone(),
            )?));
        }
    }
    if wish.pasted {
        let view = views.pop().context("there is no view to paste beside")?;
        views.push(Box::new(Pasting::beside(view, actions.clone())?));
    } else if wish.controlled {
        control::reader::listen(actions.clone())?;
    } else if wish.commands {
        output::prompt::listen(actions.clone(), output::prompt::anything)?;
    } else if wish.asks && wish.view != Style::Screen {
        output::prompt::listen(actions.clone(), output::prompt::answer)?;
    }
    if let Some(fullscreen) = wish.window {
        let window = Window::start(board.clone(), actions, fullscreen)?;
        views.push(Box::new(window));
    }
    Ok((views, wanted))
}

async fn call(options: CallOptions, board: PictureBoard, open: Open) -> Ending {
    let mut quit = match Quit::listen() {
        Ok(quit) => quit,
        Err(error) => {
            complain(&format!("the system gives no signals: {error}"));
            return Ending::Failed;
        }
    };
    // A person may give up before the room is joined.
    let started = tokio::select! {
        started = Session::start(options, board.clone()) => started,
        () = quit.asked() => return Ending::Done,
    };
    let (session, events) = match started {
        Ok(started) => started,
        Err(error) => {
            complain(&error.to_string());
            return error.ending();
        }
    };
    let (views, wanted) = match open(&board) {
        Ok(opened) => opened,
        Err(error) => {
            session.act(Action::HangUp).await;
            session.wait().await;
            complain(&format!("{error:#}"));
            return Ending::Failed;
        }
    };
    show(session, events, views, wanted, quit).await
}

/// Shows the call until it ends.
async fn show(
    session: Session,
    mut events: mpsc::Receiver<Event>,
    views: Vec<Box<dyn View>>,
    mut wanted: mpsc::Receiver<output::Action>,
    mut quit: Quit,
) -> Ending {
    let viewing = match Viewing::start(views, complain) {
        Ok(viewing) => viewing,
        Err(error) => {
            complain(&format!(
                "the system gives no thread for what is shown: {error}"
            ));
            return Ending::Failed;
        }
    };
    let ended = |event: &Event| match event {
        Event::Summary(summary) => Some(Ending::from_code(summary.exit_code)),
        _ => None,
    };
    let mut ending = Ending::Done;
    let (mut hanging_up, mut hurried, mut watched) = (false, false, true);
    // Until when the last words wait for their reader, once the call is over for who wanted that.
    let mut until = None;
    loop {
        tokio::select! {
            told = viewing.next(&mut events, ended) => match told {
                Some(told) => {
                    ending = told.unwrap_or(ending);
                    until = until.map(|_| Instant::now() + LAST_WORDS);
                }
                None => break,
            },
            () = session.over(), if hurried && until.is_none() => {
                until = Some(Instant::now() + LAST_WORDS);
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                while let Ok(event) = events.try_recv() {
                    ending = ended(&event).unwrap_or(ending);
                }
                break;
            }
            // Whoever read the lines is gone: nobody is left to hold the call for.
            () = viewing.gone(), if watched => {
                watched = false;
                if !std::mem::replace(&mut hanging_up, true) {
                    session.act(Action::HangUp).await;
                }
            }
            Some(action) = wanted.recv() => match action {
                output::Action::Chat(text) => session.act(Action::Chat(text)).await,
                output::Action::Dial(keys) => session.act(Action::Dial(keys)).await,
                output::Action::Source(kind, text) => {
                    session.act(Action::Source(kind, text)).await;
                }
                output::Action::Share(which) => session.act(Action::Share(which)).await,
                output::Action::Unshare => session.act(Action::Unshare).await,
                output::Action::Hold(on) => session.act(Action::Hold(on)).await,
                output::Action::ToggleMute => session.act(Action::ToggleMuted(Kind::Audio)).await,
                output::Action::ToggleCamera => session.act(Action::ToggleMuted(Kind::Video)).await,
                output::Action::Paste(text) => session.act(Action::Paste(text)).await,
                output::Action::Answer => session.act(Action::Answer).await,
                output::Action::Decline => session.act(Action::Decline).await,
                output::Action::Control(line) if matches!(line.command, Command::HangUp { .. }) => {
                    hanging_up = true;
                    session.act(Action::Control(line)).await;
                }
                output::Action::Control(line) => session.act(Action::Control(line)).await,
                output::Action::Refuse { id, error } => {
                    session.act(Action::Refuse { id, error }).await;
                }
                output::Action::HangUp => {
                    hurried = true;
                    if std::mem::replace(&mut hanging_up, true) {
                        // Asked twice: do not wait for anybody.
                        break;
                    }
                    session.act(Action::HangUp).await;
                }
            },
            () = quit.asked() => {
                hurried = true;
                if std::mem::replace(&mut hanging_up, true) {
                    break;
                }
                session.act(Action::HangUp).await;
            }
        }
    }
    // The terminal is given back before anything else is said. Who reads slowly gets all of it, unless somebody wants out.
    tokio::select! {
        () = viewing.end(hurried.then_some(LAST_WORDS)) => {}
        () = quit.asked() => {}
    }
    ending
}
