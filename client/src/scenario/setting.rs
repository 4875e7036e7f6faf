//! What is known before anybody joins: the file, the words for its holes, the arguments of our peers. All mistakes are told here.

use std::path::{Path, PathBuf};

use clap::Parser;
use rtc_scenario::action::{Action, NativeAction};
use rtc_scenario::seed::Luck;
use rtc_scenario::template::{Words, fill};
use rtc_scenario::{Engine, Kind, Native, Scenario, ServerFrom};

use super::args::Plan;
use crate::cli::{Cli, Command};
use crate::net::impair::Spec;
use crate::options::CallOptions;

/// Letters of a run's mark: none that are taken for each other.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// One scenario, ready to be played.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) scenario: Scenario,
    /// The file, as it was named.
    pub(super) file: PathBuf,
    pub(super) seed: u64,
    /// What is in no other run's room.
    pub(super) run: String,
    pub(super) room: String,
    /// Where the server is, unless it is to be started.
    pub(super) server: Option<String>,
    /// Which folder the started one serves.
    pub(super) root: Option<PathBuf>,
    pub(super) browsers: Vec<(Engine, PathBuf)>,
    /// Where what peers say goes: a folder of its own beside those of the other scenarios.
    pub(super) keep: Option<PathBuf>,
}

impl Setting {
    /// Reads a file; `others` are those that were read before.
    pub(super) fn read(file: &Path, plan: &Plan, others: &[Self]) -> Result<Self, Vec<String>> {
        let name = file.display();
        let text =
            std::fs::read_to_string(file).map_err(|error| vec![format!("{name}: {error}")])?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let scenario = rtc_scenario::read(&text, &stem).map_err(|faults| {
            faults
                .iter()
                .map(|fault| format!("{name}: {fault}"))
                .collect::<Vec<_>>()
        })?;
        let seed = plan.seed.unwrap_or(scenario.seed);
        let run = mark();
        let told = |why: String| vec![format!("{name}: {why}")];
        let mut words = words(&scenario, seed, &run);
        let env = |name: &str| std::env::var(name).ok();
        let room = fill(&scenario.room, &words, &env).map_err(|error| told(error.to_string()))?;
        words.insert("room".into(), room.clone());
        let beside = file.parent().unwrap_or(Path::new("."));
        let (server, root) = match (&plan.server, &scenario.server) {
            (Some(url), _) => (Some(url.clone()), None),
            (None, ServerFrom::At(url)) => (
                Some(fill(url, &words, &env).map_err(|error| told(error.to_string()))?),
                None,
            ),
            (None, ServerFrom::Start { root }) => {
                (None, root.as_ref().map(|root| beside.join(root)))
            }
        };
        if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
            return Err(told(format!("root: there is no folder {}", root.display())));
        }
        let setting = Self {
            file: file.to_owned(),
            seed,
            run,
            room,
            server,
            root,
            browsers: plan.browsers.clone(),
            keep: plan
                .keep
                .as_ref()
                .map(|keep| own_folder(keep, &stem, others)),
            scenario,
        };
        let faults = setting.faults();
        if faults.is_empty() {
            Ok(setting)
        } else {
            Err(faults
                .into_iter()
                .map(|fault| format!("{name}: {fault}"))
                .collect())
        }
    }

    /// What only the rest of the program knows to be wrong.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let words = self.words("http://localhost:1", "peer");
        let env = |name: &str| std::env::var(name).ok();
        for (number, peer) in self.scenario.peers.iter().enumerate() {
            match &peer.kind {
                Kind::Native(native) => {
                    if let Err(why) = self.try_arguments(number, native) {
                        faults.push(format!("{}: {why}", peer.name));
                    }
                }
                Kind::Browser(browser) => {
                    if let Err(error) = fill(&browser.url, &words, &env) {
                        faults.push(format!("{}: {error}", peer.name));
                    }
                }
            }
        }
        for (number, step) in self.scenario.steps.iter().enumerate() {
            if let Action::Native(NativeAction::Impair(spec)) = &step.action
                && let Err(error) = Spec::parse(spec, |path| std::fs::read_to_string(path))
            {
                faults.push(format!("step {}: {error}", number + 1));
            }
        }
        faults
    }

    /// The words that texts may name.
    pub(super) fn words(&self, server: &str, peer: &str) -> Words {
        let mut words = words(&self.scenario, self.seed, &self.run);
        words.insert("room".into(), self.room.clone());
        words.insert("server".into(), server.trim_end_matches('/').to_owned());
        words.insert("peer".into(), peer.to_owned());
        words
    }

    /// The luck of a peer's network.
    pub(super) fn impair(&self, peer: usize, spec: &str) -> String {
        if spec.is_empty() || spec.contains("seed=") {
            return spec.to_owned();
        }
        let mut luck = Luck::new(self.seed.wrapping_add(1 + peer as u64));
        let (first, rest) = spec
            .split_once(';')
            .map_or((spec, String::new()), |(first, rest)| {
                (first, format!(";{rest}"))
            });
        format!("{first},seed={}{rest}", luck.next() % 1_000_000)
    }

    /// What one of our own peers is started with, but where its record goes.
    pub(super) fn arguments(&self, peer: usize, native: &Native, server: &str) -> Vec<String> {
        let name = self.scenario.peers.get(peer).map(|peer| peer.name.as_str());
        let impair = self.impair(peer, &native.impair);
        let mut all: Vec<String> = [
            "join",
            &self.room,
            "--server",
            server,
            "--as",
            name.unwrap_or_default(),
        ]
        .into_iter()
        .chain([
            "--headless",
            "--json",
            "--control",
            "--video",
            &native.video,
            "--audio",
            &native.audio,
        ])
        .map(str::to_owned)
        .collect();
        if !impair.is_empty() {
            all.extend(["--impair".to_owned(), impair]);
        }
        all.extend(native.args.iter().cloned());
        all
    }

    fn try_arguments(&self, peer: usize, native: &Native) -> Result<(), String> {
        const OURS: [&str; 9] = [
            "--server",
            "--as",
            "--json",
            "--control",
            "--duration",
            "--commands",
            "--report",
            "--junit",
            "--expect",
        ];
        for argument in &native.args {
            let flag = argument.split('=').next().unwrap_or_default();
            if OURS.contains(&flag) {
                return Err(format!("args: {flag} is the scenario's own to say"));
            }
        }
        let arguments = self.arguments(peer, native, "http://localhost:1");
        let typed = Cli::try_parse_from(["rtc-client".to_owned()].into_iter().chain(arguments));
        // Clap's own words have several lines; the first says what.
        let typed = typed.map_err(|error| {
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })?;
        match typed.command {
            Command::Join(join) => CallOptions::join(*join)
                .map(drop)
                .map_err(|error| error.to_string()),
            _ => Err("args are those of rtc-client join".into()),
        }
    }
}

/// A folder by the file's name that none of the others has: two files may have one name, in two places.
fn own_folder(keep: &Path, stem: &str, others: &[Setting]) -> PathBuf {
    // Some systems take two names for one where only the letters' case differs.
    let is_taken = |folder: &PathBuf| {
        let lower = |path: &Path| path.to_string_lossy().to_lowercase();
        let mut kept = others.iter().filter_map(|other| other.keep.as_deref());
        kept.any(|kept| lower(kept) == lower(folder))
    };
    let numbered = (2..).map(|number: u32| keep.join(format!("{stem}-{number}")));
    std::iter::once(keep.join(stem))
        .chain(numbered)
        .find(|folder| !is_taken(folder))
        .unwrap_or_else(|| keep.join(stem))
}

fn words(scenario: &Scenario, seed: u64, run: &str) -> Words {
    [
        ("run", run),
        ("name", scenario.name.as_str()),
        ("seed", &seed.to_string()),
    ]
    .into_iter()
    .map(|(name, word)| (name.to_owned(), word.to_owned()))
    .collect()
}

/// What no other run has: fifty bits by chance.
fn mark() -> String {
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    (0..10).map(letter).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan() -> Plan {
        Plan {
            files: Vec::new(),
            parallel: 1,
            seed: None,
            server: None,
            browsers: Vec::new(),
            keep: None,
            reports: Vec::new(),
        }
    }

    fn setting(text: &str) -> Result<Setting, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("call.toml");
        std::fs::write(&file, text).unwrap();
        Setting::read(&file, &plan(), &[]).map_err(|lines| lines.join("\n"))
    }

    #[test]
    fn files_of_one_name_keep_what_they_say_apart() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            keep: Some("kept".into()),
            ..plan()
        };
        let mut settings = Vec::new();
        for file in ["a/call.toml", "b/call.toml", "b/call-2.toml", "c/Call.toml"] {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "[[peer]]\nname = \"ann\"\n").unwrap();
            let setting = Setting::read(&file, &plan, &settings).unwrap();
            settings.push(setting);
        }
        let kept: Vec<_> = settings.into_iter().filter_map(|one| one.keep).collect();
        let told = ["kept/call", "kept/call-2", "kept/call-2-2", "kept/Call-3"];
        assert_eq!(kept, told.map(PathBuf::from));
    }

    #[test]
    fn rooms_of_two_runs_never_meet() {
        let text = "room = \"ci-{run}-{seed}\"\n[[peer]]\nname = \"ann\"\n";
        let rooms = [setting(text).unwrap().room, setting(text).unwrap().room];
        assert_ne!(rooms[0], rooms[1]);
        assert!(
            rooms[0].starts_with("ci-") && rooms[0].ends_with("-1"),
            "{rooms:?}"
        );
    }

    #[test]
    fn what_our_peers_cannot_be_started_with_is_told_before_the_call() {
        for (line, told) in [
            ("args = [\"--fpss\", \"3\"]", "--fpss"),
            ("args = [\"--json\"]", "the scenario's own"),
            ("video = \"tset\"", "tset"),
            ("impair = \"lost=5%\"", "lost"),
        ] {
            let error = setting(&format!("[[peer]]\nname = \"ann\"\n{line}\n")).unwrap_err();
            assert!(
                error.contains("call.toml: ann: ") && error.contains(told),
                "{error}"
            );
        }
        let step = "[[peer]]\nname = \"ann\"\n[[step]]\nat = \"1s\"\npeer = \"ann\"\ndo = \"impair los=5%\"\n";
        assert!(setting(step).unwrap_err().contains("step 1: "));
        assert!(
            setting("root = \"no\"\n[[peer]]\nname = \"ann\"\n")
                .unwrap_err()
                .contains("no folder")
        );
        assert!(
            setting("room = \"{env.NO_SUCH_ONE}\"\n[[peer]]\nname = \"ann\"\n")
                .unwrap_err()
                .contains("NO_SUCH_ONE")
        );
    }

    #[test]
    fn equal_seeds_have_equal_networks_and_each_peer_its_own() {
        let setting = setting("seed = 5\n[[peer]]\nname = \"ann\"\n").unwrap();
        let spec = |peer| setting.impair(peer, "loss=5%;10s:loss=1%");
        assert_eq!(spec(0), spec(0));
        assert_ne!(spec(0), spec(1));
        assert!(
            spec(0).starts_with("loss=5%,seed=") && spec(0).ends_with(";10s:loss=1%"),
            "{}",
            spec(0)
        );
        assert_eq!(setting.impair(0, "loss=5%,seed=3"), "loss=5%,seed=3");
    }
}
