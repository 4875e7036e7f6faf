//! Settings out of words, variables and files that the tests make up.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn load(words: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
    let words = std::iter::once(&"rtc-server").chain(words);
    let variables = variables.iter().map(|(k, v)| (k.into(), v.into()));
    Settings::of(words.map(OsString::from), variables, |path| {
        assert_eq!(path, Path::new("s.toml"));
        Ok(file.to_owned())
    })
}

fn wrong(words: &[&str], variables: &[(&str, &str)], file: &str) -> String {
    match load(words, variables, file) {
        Err(SettingsError::Wrong(all)) => all.join("\n"),
        other => panic!("{other:?}"),
    }
}

fn connections(settings: Settings) -> usize {
    settings.cli.config().connections
}

const WITH_FILE: &[&str] = &["--config", "s.toml"];

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let name = "RTC_SERVER_MAX_CONNECTIONS";
    let file = "max-connections = 3";
    let config = Some(("RTC_SERVER_CONFIG", "s.toml"));
    assert_eq!(connections(load(&[], &[], "").unwrap()), 10_000);
    assert_eq!(connections(load(WITH_FILE, &[], file).unwrap()), 3);
    let variables: Vec<_> = config.into_iter().chain([(name, "2")]).collect();
    assert_eq!(connections(load(&[], &variables, file).unwrap()), 2);
    let words = ["--max-connections", "1"];
    let settings = load(&words, &variables, file).unwrap();
    let shown = settings.show();
    assert!(shown.contains("max-connections = 1 "), "{shown}");
    assert!(shown.contains("# command line"), "{shown}");
    assert_eq!(connections(settings), 1);
}

#[test]
fn a_list_of_one_place_replaces_that_of_another() {
    let file = r#"listen = ["127.0.0.1:1", "127.0.0.1:2"]"#;
    let ports = |settings: Settings| -> Vec<u16> {
        let listen = settings.cli.config().listen;
        listen.iter().map(std::net::SocketAddr::port).collect()
    };
    assert_eq!(ports(load(WITH_FILE, &[], file).unwrap()), [1, 2]);
    let variable = [("RTC_SERVER_LISTEN", "127.0.0.1:3 127.0.0.1:4")];
    assert_eq!(ports(load(WITH_FILE, &variable, file).unwrap()), [3, 4]);
    let words = ["--config", "s.toml", "--listen", "127.0.0.1:5"];
    assert_eq!(ports(load(&words, &variable, file).unwrap()), [5]);
}

#[test]
fn flags_without_a_value_are_true_or_false_or_counted() {
    let verbose = |settings: Settings| settings.cli.logs().verbose;
    let settings = load(&[], &[("RTC_SERVER_VERBOSE", "2")], "").unwrap();
    assert_eq!(verbose(settings), 2);
    assert_eq!(verbose(load(WITH_FILE, &[], "verbose = 3").unwrap()), 3);
    assert_eq!(
        verbose(load(&["-v"], &[("RTC_SERVER_VERBOSE", "2")], "").unwrap()),
        1
    );
    assert!(wrong(&[], &[("RTC_SERVER_VERBOSE", "loud")], "").contains("RTC_SERVER_VERBOSE"));
    assert_eq!(
        verbose(load(&[], &[("RTC_SERVER_VERBOSE", "")], "").unwrap()),
        0
    );
}

#[test]
fn a_wrong_value_is_told_with_file_line_and_column() {
    let file = "# mine\nlisten = \"127.0.0.1:1\"\nmax-connections = \"many\"\n";
    let told = wrong(WITH_FILE, &[], file);
    assert!(told.starts_with("s.toml:3:19: "), "{told}");
    assert!(told.contains("'many'"), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[1], " 3 | max-connections = \"many\"");
    assert_eq!(lines[2], "   |                   ^^^^^^");
}

#[test]
fn all_that_is_wrong_in_a_file_is_told_at_once_from_its_top() {
    let file = "room-capacity = 0\nverbose = \"x\"\nfly = true\n";
    let told = wrong(WITH_FILE, &[], file);
    let places: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("s.toml:"))
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        ["s.toml:1:17", "s.toml:2:11", "s.toml:3:1"],
        "{told}"
    );
}

#[test]
fn what_is_overridden_is_checked_all_the_same() {
    let words = ["--config", "s.toml", "--max-connections", "1"];
    let told = wrong(&words, &[], "max-connections = -1");
    assert!(told.contains("s.toml:1:19"), "{told}");
}

#[test]
fn unknown_keys_suggest_the_right_one() {
    for (file, hint) in [
        ("max_connections = 1", "is it max-connections?"),
        ("maxconnections = 1", "is it max-connections?"),
        ("listne = 1", "is it listen?"),
        ("config = \"x\"", "a file cannot name another"),
        ("zzz = 1", "docs/configuration.md"),
    ] {
        let told = wrong(WITH_FILE, &[], file);
        assert!(told.contains("s.toml:1:1: there is no setting"), "{told}");
        assert!(told.contains(hint), "{told}");
    }
}

#[test]
fn what_is_no_toml_or_of_another_kind_is_told_with_its_line() {
    for (file, place) in [
        ("\nlisten = \n", "s.toml:2:"),
        ("a = 1\na = 2", "s.toml:2:"),
        ("[listen]\nx = 1", "s.toml:1:"),
        ("listen = [[1]]", "s.toml:1:"),
        ("listen = []", "s.toml:1:"),
        ("listen = 2020-01-01", "s.toml:1:"),
    ] {
        let told = wrong(WITH_FILE, &[], file);
        assert!(told.starts_with(place), "{file}: {told}");
    }
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    let told = wrong(&[], &[("RTC_SERVER_LISTEN", "nowhere")], "");
    assert!(
        told.starts_with("the environment variable RTC_SERVER_LISTEN: "),
        "{told}"
    );
    assert!(
        told.contains("127.0.0.1:8080"),
        "says what would be right: {told}"
    );
}

#[test]
fn a_variable_that_looks_like_one_is_remarked_and_foreign_ones_are_not() {
    let variables = [
        ("RTC_SERVER_LISTN", "x"),
        ("RTC_SERVER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RTC_SERVER_LOG", "debug"),
        ("HOME", "/"),
    ];
    let remarks = load(&[], &variables, "").unwrap().remarks;
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].contains("RTC_SERVER_LISTEN"), "{remarks:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let words = ["rtc-server", "--config", "none.toml"].map(OsString::from);
    let loaded = Settings::of(words, [], |_| Err(io::ErrorKind::NotFound.into()));
    let told = loaded.unwrap_err().to_string();
    assert!(
        told.contains("none.toml") && told.contains("--config"),
        "{told}"
    );
}

#[test]
fn what_is_shown_gives_the_same_settings_again_and_no_secret() {
    let words = [
        "--listen",
        "127.0.0.1:7",
        "--ice-server",
        "turn:t.example,ann,hunter2",
    ];
    let settings = load(&words, &[], "").unwrap();
    let shown = settings.show();
    assert!(!shown.contains("hunter2"), "{shown}");
    let again = load(WITH_FILE, &[], &shown).unwrap();
    assert_eq!(again.cli.config().listen, settings.cli.config().listen);
}

#[test]
fn a_cluster_that_is_shown_is_taken_again_without_its_passwords() {
    let one = ["--cluster", "redis://ann:hunter2@h:1,redis://:hunter2@g"];
    let several = [
        "--region",
        "eu",
        "--regions=eu=redis://:hunter2@h:1/2,us=sentinels://:hunter2@g/main",
        "--cluster-ca=ca.pem",
    ];
    for words in [&one[..], &several] {
        let shown = load(words, &[], "").unwrap().show();
        assert!(!shown.contains("hunter2"), "{shown}");
        let again = load(WITH_FILE, &[], &shown).unwrap();
        let brokers = |settings: &Settings| format!("{:?}", settings.cli.cluster().unwrap());
        assert_eq!(brokers(&again), brokers(&load(words, &[], "").unwrap()));
        let plain = |shown: &str| -> Vec<String> {
            let lines = shown.lines().map(|line| line.split("  #").next().unwrap());
            lines.map(|line| line.trim_end().to_owned()).collect()
        };
        assert_eq!(plain(&again.show()), plain(&shown));
    }
}

#[test]
fn a_secret_that_is_wrong_is_told_without_it() {
    for (key, value) in [
        ("cluster", "redis:/:hunter2@h"),
        ("cluster", "redis://:hunter2@h:x"),
        ("regions", "eu=redis://:hunter2@h:x"),
        ("regions", "redis://:hunter2=@h"),
        ("turn-user", "hunter2"),
    ] {
        let flag = format!("--{key}={value}");
        let told = load(&[&flag], &[], "").unwrap_err().to_string();
        assert!(told.contains(key) && !told.contains("hunter2"), "{told}");
        let variable = variable(key);
        let told = wrong(&[], &[(&variable, value)], "");
        assert!(told.contains(key) && !told.contains("hunter2"), "{told}");
        for file in [
            format!("{key} = [\"{value}\"]"),
            format!("{key} = \"{value}\""),
            format!("{key} = \"{value}"),
        ] {
            let told = wrong(WITH_FILE, &[], &file);
            assert!(told.starts_with("s.toml:1:"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

#[test]
fn keys_and_the_administrators_token_are_shown_by_their_place_and_never_by_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let path = folder.path().join("secret.txt");
    std::fs::write(&path, secret).unwrap();
    let path = path.to_str().unwrap();
    let words = ["--auth-secret", path, "--admin-token", path];
    let shown = load(&words, &[], "").unwrap().show();
    assert!(!shown.contains(secret), "{shown}");
    for key in ["auth-secret", "admin-token"] {
        let line = shown.lines().find(|line| line.starts_with(key));
        assert!(line.is_some_and(|line| line.contains(path)), "{shown}");
    }
}

#[test]
fn every_setting_has_a_help_text_and_a_variable_of_its_own() {
    let all = settable(&Cli::command());
    assert!(all.len() > 5);
    let names: std::collections::BTreeSet<String> =
        all.iter().map(|arg| variable(&key(arg))).collect();
    assert_eq!(names.len(), all.len());
    for arg in all {
        assert!(arg.get_help().is_some(), "{}", key(&arg));
    }
}

proptest! {
    #[test]
    fn any_text_is_a_file_or_an_error_with_a_place(text in ".{0,200}") {
        if let Err(error) = load(WITH_FILE, &[], &text) {
            prop_assert!(error.to_string().starts_with("s.toml:"), "{}", error);
        }
    }

    #[test]
    fn any_value_of_a_known_key_is_taken_or_told(value in "[-a-z0-9\"\\[\\]{}., é']{0,12}") {
        let text = format!("max-connections = {value}");
        if let Err(error) = load(WITH_FILE, &[], &text) {
            prop_assert!(error.to_string().starts_with("s.toml:1:"), "{}", error);
        }
    }
}
