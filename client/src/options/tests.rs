#![allow(clippy::unwrap_used)]
use super::*;
use clap::Parser;

fn parse(args: &[&str]) -> Result<CallOptions, OptionError> {
    let mut line = vec!["rtc-client", "join", "foo"];
    line.extend(args);
    let crate::cli::Command::Join(join) = crate::cli::Cli::try_parse_from(line).unwrap().command
    else {
        unreachable!("join was typed");
    };
    CallOptions::join(*join)
}

#[test]
fn a_certificate_is_named_for_servers_that_show_one() {
    let print = format!("sha256:{}", "0".repeat(64));
    let with = |server: &str| parse(&["--server", server, "--tls-fingerprint", &print]);
    assert!(with("https://h").is_ok() && with("wss://h").is_ok());
    assert!(with("HTTPS://h").is_ok() && with(" wss://h").is_ok());
    for plain in ["http://h", "ws://h", "HTTP://h", " http://h"] {
        let words = with(plain).unwrap_err().to_string();
        assert!(words.contains("use https:"), "{words}");
    }
    assert!(
        parse(&["--tls-fingerprint", &print]).is_ok(),
        "of this machine"
    );
}

#[test]
fn without_a_room_one_waits_by_name_and_a_name_is_needed() {
    let join = |args: &[&str]| {
        let line = ["rtc-client", "join"].iter().chain(args);
        match crate::cli::Cli::try_parse_from(line).unwrap().command {
            crate::cli::Command::Join(join) => CallOptions::join(*join),
            _ => unreachable!("join was typed"),
        }
    };
    let waits = join(&["--as", "alice", "--auto-answer"]).unwrap();
    let (name, auto_answer) = (Name::new("alice").unwrap(), true);
    assert_eq!(waits.purpose, Purpose::Wait { name, auto_answer });
    assert_eq!(
        join(&["foo", "--as", "alice"]).unwrap().purpose,
        Purpose::Room("foo".into())
    );
    let error = join(&[]).unwrap_err().to_string();
    assert!(error.contains("--as NAME"), "{error}");
    assert!(
        crate::cli::Cli::try_parse_from(["rtc-client", "join", "foo", "--auto-answer"]).is_err()
    );
}

#[test]
fn headless_touches_no_device_unless_told() {
    let options = parse(&["--headless"]).unwrap();
    assert_eq!(options.video, VideoFrom::Test);
    assert_eq!(options.audio, AudioFrom::Tone(440));
    assert_eq!(options.speaker, SoundTo::None);
    assert_eq!(options.display, Display::None);
    let told = parse(&["--headless", "--video", "camera:1"]).unwrap();
    assert_eq!(told.video, VideoFrom::Camera(Some("1".into())));
}

#[test]
fn a_secret_comes_from_the_line_or_a_file_and_is_never_shown() {
    let secret = |text: &str| RoomSecret::parse(text).ok();
    let typed = parse(&["--e2ee", "correct horse"]).unwrap();
    assert_eq!(typed.e2ee, secret("correct horse"));
    assert!(!format!("{typed:?}").contains("horse"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "from a file\r\nmore\n").unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(
        parse(&["--e2ee-file", path]).unwrap().e2ee,
        secret("from a file")
    );
    for wrong in [
        ["--e2ee", ""],
        ["--e2ee", "key:horse"],
        ["--e2ee-file", "/none"],
    ] {
        let error = parse(&wrong).unwrap_err().to_string();
        assert!(
            error.starts_with(wrong[0]) && !error.contains("horse"),
            "{error}"
        );
    }
    assert_eq!(parse(&[]).unwrap().e2ee, None);
}

#[test]
fn an_encrypted_call_is_in_a_codec_that_can_be_encrypted() {
    assert_eq!(
        parse(&["--e2ee", "x"]).unwrap().codecs,
        [VideoCodec::Vp8, VideoCodec::Vp9]
    );
    for codec in [
        "h264",
        #[cfg(feature = "av1")]
        "av1",
    ] {
        let error = parse(&["--e2ee", "x", "--codec", codec]).unwrap_err();
        assert!(error.to_string().contains("add vp8"), "{error}");
    }
}

#[test]
fn a_microphone_is_processed_unless_told_otherwise_or_for_music() {
    assert_eq!(parse(&[]).unwrap().voice, VoiceSettings::SPEECH);
    assert_eq!(parse(&["--stereo"]).unwrap().voice, VoiceSettings::NOTHING);
    let told = parse(&["--no-echo-cancellation", "--no-auto-gain-control"]).unwrap();
    let noise_only = VoiceSettings {
        noise_suppression: true,
        ..VoiceSettings::NOTHING
    };
    assert_eq!(told.voice, noise_only);
}

#[test]
fn the_codec_list_keeps_its_order() {
    assert_eq!(
        parse(&["--codec", "h264,vp9,vp8"]).unwrap().codecs,
        [VideoCodec::H264, VideoCodec::Vp9, VideoCodec::Vp8]
    );
}

#[test]
fn a_recording_to_standard_output_leaves_it_to_nobody_else() {
    let to = |args: &[&str]| parse(args).map(|options| options.record);
    let piped = to(&["--plain", "--record", "-", "--record-layout", "mixed"]).unwrap();
    assert_eq!(
        piped,
        Some(RecordOption {
            to: RecordTo::Stdout,
            layout: RecordLayout::Mixed
        })
    );
    for (args, word) in [
        (&["--json", "--record", "-"][..], "--json"),
        (
            &["--plain", "--record", "-", "--record-layout", "files"],
            "several",
        ),
    ] {
        let error = to(args).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn wrong_values_are_refused_with_the_flag_and_what_to_write() {
    for args in [
        ["--video", "screensaver"],
        ["--audio", "tone:7"],
        ["--size", "641x360"],
        ["--size", "big"],
        ["--codec", "theora"],
        #[cfg(not(feature = "av1"))]
        ["--codec", "av1,vp8"],
        ["--degradation", "gracefully"],
        ["--audio-red", "sometimes"],
        ["--fec", "sometimes"],
        ["--rotate", "45"],
        ["--scalability", "L3T3"],
        ["--dtmf", "12x"],
        ["--bitrate", "fast"],
        ["--bitrate", "nan"],
        ["--record", "call.avi"],
        ["--record", "call"],
        ["--ice-server", "turn:example.org"],
        ["--ice-server", "http://example.org"],
        ["--ice-server", "stuns:example.org"],
        ["--ice-server", "turn:example.org?transport=sctp,ann,secret"],
        ["--ice-server", "turns:example.org?transport=udp,ann,secret"],
        ["--speaker", "file:"],
        ["--as", ""],
    ] {
        let error = parse(&args).unwrap_err().to_string();
        assert!(error.starts_with(args[0]), "{error}");
    }
}

#[test]
fn a_publisher_has_something_to_send_and_a_player_sends_nothing() {
    let typed = |words: &[&str]| {
        let line = ["rtc-client"].iter().chain(words).copied();
        match crate::cli::Cli::try_parse_from(line).unwrap().command {
            crate::cli::Command::Publish(typed) => CallOptions::publish(*typed),
            crate::cli::Command::Play(typed) => CallOptions::play(*typed),
            _ => unreachable!("one of the two was typed"),
        }
    };
    let url = "https://example.org/whip/a";
    let options = typed(&["publish", url, "--headless"]).unwrap();
    assert_eq!(options.video, VideoFrom::Test);
    assert!(matches!(options.signaling, SignalingOption::Whip(..)));
    let none = ["publish", url, "--video", "none", "--audio", "none"];
    let error = typed(&none).unwrap_err().to_string();
    assert!(error.contains("nothing to publish"), "{error}");
    let options = typed(&["play", url, "--headless"]).unwrap();
    assert_eq!(
        (options.video, options.audio),
        (VideoFrom::None, AudioFrom::None)
    );
    let error = typed(&["play", url, "--video", "test"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("sends nothing"), "{error}");
    let plain = "http://example.org/whip/a";
    let print = format!("sha256:{}", ["AB"; 32].join(":"));
    let error = typed(&["play", plain, "--tls-fingerprint", &print])
        .unwrap_err()
        .to_string();
    assert!(error.contains("shows no certificate"), "{error}");
}

#[test]
fn standard_input_is_for_one_thing_alone() {
    let options = parse_join(&["--signaling", "stdio"]).unwrap();
    assert_eq!(options.purpose, Purpose::Room("direct".to_owned()));
    assert_eq!(
        options.view,
        View::Lines,
        "a screen takes keys, and no text"
    );
    for more in [
        &["--plain", "--commands"][..],
        &["--json", "--control"],
        &["--video", "-"],
    ] {
        let typed = [&["--signaling", "stdio"], more].concat();
        let error = parse_join(&typed).unwrap_err().to_string();
        assert!(error.contains("standard input is where"), "{error}");
    }
    assert!(parse_join(&["--signaling", "exec:relay", "--json", "--control"]).is_ok());
}

fn parse_join(words: &[&str]) -> Result<CallOptions, OptionError> {
    let line = ["rtc-client", "join"].iter().chain(words).copied();
    match crate::cli::Cli::try_parse_from(line).unwrap().command {
        crate::cli::Command::Join(typed) => CallOptions::join(*typed),
        _ => unreachable!("join was typed"),
    }
}
