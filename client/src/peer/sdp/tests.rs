use proptest::prelude::*;

use super::{
    Agreed, Format, MAX_BYTES, MAX_LINES, MAX_SECTIONS, Refused, answered, answering, check,
    choose_video, extension, formats, mend, repairs, retransmissions, role, section_kinds,
    username_fragments, version, with_role, with_version,
};
use crate::media::frame::VideoCodec::{Av1, H264, Vp8, Vp9};

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=ice-ufrag:one\r\na=rtpmap:111 opus/48000/2\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104\r\na=ice-ufrag:two\r\na=rtpmap:96 VP8/90000\r\n\
    a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\n\
    a=fmtp:102 level-asymmetry-allowed=1; packetization-mode=1 ;profile-level-id=42e01f\r\n\
    a=rtpmap:104 h264/90000\r\na=fmtp:104 profile-level-id=42e01f\r\n";

#[test]
fn codecs_are_read_with_their_parameters() {
    let audio = formats(OFFER, "audio");
    assert_eq!(audio.len(), 2);
    assert_eq!(
        audio[0],
        Format {
            payload_type: 111,
            name: "opus".to_owned(),
            clock: 48_000,
            parameters: "minptime=10;useinbandfec=1".to_owned(),
        }
    );
    let video = formats(OFFER, "video");
    let named: Vec<_> = video.iter().map(|f| (f.payload_type, &*f.name)).collect();
    assert_eq!(
        named,
        [(96, "VP8"), (97, "rtx"), (102, "H264"), (104, "h264")]
    );
    assert_eq!(video[2].parameter("Packetization-Mode"), Some("1"));
    assert_eq!(video[3].parameter("packetization-mode"), None);
    assert_eq!(formats(OFFER, "application"), []);
}

#[test]
fn a_header_extension_is_found_by_its_name() {
    let offer = OFFER.replacen(
        "a=ice-ufrag:one",
        "a=extmap:4/sendonly urn:x\r\na=extmap:300 urn:y\r\na=extmap:5 urn:z more",
        1,
    );
    assert_eq!(extension(&offer, "audio", "urn:x"), Some(4));
    assert_eq!(extension(&offer, "audio", "urn:y"), None);
    assert_eq!(extension(&offer, "audio", "urn:z"), Some(5));
    assert_eq!(extension(&offer, "audio", "urn:w"), None);
    assert_eq!(extension(&offer, "video", "urn:x"), None);
}

#[test]
fn what_repairs_pictures_is_read_with_what_it_repairs() {
    let sdp = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 114 115 116\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:114 red/90000\r\n\
        a=rtpmap:115 rtx/90000\r\na=fmtp:115 apt=114\r\na=rtpmap:116 ulpfec/90000\r\n";
    assert_eq!(retransmissions(sdp), [(97, 96), (115, 114)]);
    let agreed = Agreed {
        red: 114,
        ulpfec: 116,
    };
    assert_eq!(repairs(sdp), Some(agreed));
    assert_eq!(repairs(&sdp.replace("ulpfec", "flexfec")), None);
}

#[test]
fn an_inactive_section_names_no_codecs() {
    let offer = OFFER.replace("a=ice-ufrag:two", "a=inactive");
    assert_eq!(formats(&offer, "video"), []);
    assert_eq!(formats(&offer, "audio").len(), 2);
}

#[test]
fn our_preference_chooses_among_what_the_far_side_takes() {
    let all = formats(OFFER, "video");
    assert_eq!(choose_video(&all, &[Vp8, H264]), Some((Vp8, false)));
    assert_eq!(choose_video(&all, &[H264, Vp8]), Some((H264, false)));
    let single_nal = [all[3].clone()];
    assert_eq!(choose_video(&single_nal, &[Vp8, H264]), Some((H264, true)));
    assert_eq!(choose_video(&single_nal, &[Vp8]), None);
    assert_eq!(choose_video(&[], &[Vp8, H264]), None);
}

#[test]
fn of_vp9_only_the_first_profile_is_ours() {
    let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 98 100 102\r\n\
        a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n\
        a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\na=rtpmap:102 vp9/90000\r\n";
    let codecs: Vec<_> = formats(offer, "video")
        .iter()
        .map(Format::video_codec)
        .collect();
    assert_eq!(codecs, [Some(Vp9), None, Some(Vp9)]);
    let second = [formats(offer, "video")[1].clone()];
    assert_eq!(choose_video(&second, &[Vp9, Vp8]), None);
}

#[test]
fn of_av1_only_the_first_profile_is_ours() {
    let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 45 46 96\r\n\
        a=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=0;tier=0\r\n\
        a=rtpmap:46 AV1/90000\r\na=fmtp:46 level-idx=5;profile=1;tier=0\r\n\
        a=rtpmap:96 VP8/90000\r\n";
    let all = formats(offer, "video");
    let codecs: Vec<_> = all.iter().map(Format::video_codec).collect();
    assert_eq!(codecs, [Some(Av1), None, Some(Vp8)]);
    assert_eq!(choose_video(&all, &[Av1, Vp8]), Some((Av1, false)));
    assert_eq!(choose_video(&all[1..2], &[Av1, Vp8]), None);
}

#[test]
fn every_fragment_is_found_once() {
    assert_eq!(username_fragments(OFFER), ["one", "two"]);
    let doubled = OFFER.replace("two", "one");
    assert_eq!(username_fragments(&doubled), ["one"]);
    assert_eq!(username_fragments("v=0\r\n"), Vec::<String>::new());
}

#[test]
fn a_whole_description_is_only_told_to_trickle() {
    let mended = mend(OFFER);
    assert_eq!(
        mended,
        OFFER.replacen("t=0 0\r\n", "t=0 0\r\na=ice-options:trickle\r\n", 1) // 103 was never given a meaning, and keeps none.
    );
    assert_eq!(mend(&mended), mended);
}

#[test]
fn a_payload_type_has_one_meaning_and_repairs_something() {
    let broken = "v=0\r\na=ice-options:trickle\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 96 99\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=120\r\na=rtpmap:96 H264/90000\r\n\
        a=rtcp-fb:96 nack\r\na=rtcp-fb:98 nack\r\na=rtcp-fb:* ccm fir\r\n\
        a=rtpmap:99 rtx/90000\r\na=mid:1\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n";
    let expected = "v=0\r\na=ice-options:trickle\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=rtcp-fb:* ccm fir\r\na=mid:1\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n";
    assert_eq!(mend(broken), expected);
}

#[test]
fn the_first_meaning_of_a_payload_type_counts() {
    let twice = OFFER.replace(
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:97 VP8/90000\r\na=fmtp:97 apt=1\r\n",
    );
    assert_eq!(formats(&twice, "video"), formats(OFFER, "video"));
}

#[test]
fn descriptions_are_refused_for_their_size_alone() {
    assert_eq!(check(OFFER, &[]), Ok(()));
    assert_eq!(check("", &[]), Err(Refused::NotADescription));
    assert_eq!(check("hello", &[]), Err(Refused::NotADescription));
    let large = format!("v=0\r\n{}", "a".repeat(MAX_BYTES));
    assert_eq!(check(&large, &[]), Err(Refused::TooLarge(large.len())));
    let sections = format!(
        "v=0\r\n{}",
        "m=audio 9 RTP/AVP 0\r\n".repeat(MAX_SECTIONS + 1)
    );
    assert_eq!(
        check(&sections, &[]),
        Err(Refused::TooManySections(MAX_SECTIONS + 1))
    );
    let lines = format!("v=0\r\n{}", "a=b\r\n".repeat(MAX_LINES));
    assert_eq!(
        check(&lines, &[]),
        Err(Refused::TooManyLines(MAX_LINES + 1))
    );
}

#[test]
fn a_description_goes_on_from_the_one_before() {
    let kinds = |kinds: &[&str]| -> Vec<String> { kinds.iter().map(|k| (*k).into()).collect() };
    assert_eq!(section_kinds(OFFER), ["audio", "video"]);
    for (before, verdict) in [
        (kinds(&[]), Ok(())),
        (kinds(&["audio"]), Ok(())),
        (kinds(&["audio", "video"]), Ok(())),
        (kinds(&["video", "audio"]), Err(Refused::OtherSections)),
        (
            kinds(&["audio", "video", "application"]),
            Err(Refused::OtherSections),
        ),
    ] {
        assert_eq!(check(OFFER, &before), verdict, "{before:?}");
    }
    let doubled = OFFER.replace("a=ice-ufrag:", "a=mid:0\r\na=ice-ufrag:");
    assert_eq!(check(&doubled, &[]), Err(Refused::SameMid("0".to_owned())));
}

proptest! {
    #[test]
    fn no_text_breaks_the_readers(text in "(v=0\r\n)?((m=(audio|video) [0-9 ]{0,9}|a=(rtpmap|fmtp|rtcp-fb):[0-9*]{0,3} ?[a-z/=;]{0,9}|.{0,20})\r?\n){0,20}") {
        let _ = check(&text, &[]);
        let _ = username_fragments(&text);
        let _ = formats(&text, "video");
        let once = mend(&text);
        prop_assert_eq!(mend(&once), once);
    }
}

#[test]
fn an_answer_is_made_one_of_who_we_are_already() {
    let answer = "v=0\r\nm=audio 9 X 0\r\na=setup:active\r\nm=video 9 X 0\r\na=setup:active\r\n";
    assert_eq!(role(answer), Some("active"));
    let passive = with_role(answer, "passive");
    assert_eq!(passive, answer.replace("active", "passive"));
    assert_eq!(role(&passive), Some("passive"));
    assert_eq!(with_role(&passive, "passive"), passive);
    assert_eq!(role("v=0\r\na=setup:actpass\r\n"), None);
}

#[test]
fn descriptions_are_counted_and_an_answer_names_its_offer() {
    let offer = with_version(OFFER, 7);
    assert!(
        offer.contains("\r\no=- 1 7 IN IP4 127.0.0.1\r\n"),
        "{offer}"
    );
    assert_eq!(version(&offer).as_deref(), Some("1 7"));
    assert_eq!(answered(OFFER), None);
    let answer = answering(OFFER, &offer);
    assert_eq!(answered(&answer).as_deref(), Some("1 7"));
    assert_eq!(answer.lines().count(), OFFER.lines().count() + 1);
    assert_eq!(answering(OFFER, "v=0\r\n"), OFFER, "it has no version");
}
