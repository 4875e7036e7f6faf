#![allow(clippy::unwrap_used, clippy::panic)]

use nokhwa::utils::Resolution;

use super::*;

fn offer(width: u32, height: u32, format: FrameFormat, fps: u32) -> CameraFormat {
    CameraFormat::new(Resolution::new(width, height), format, fps)
}

const HD: CameraWish = CameraWish {
    width: 1280,
    height: 720,
    fps: 30,
};

fn laptop() -> Vec<CameraFormat> {
    use FrameFormat::{MJPEG, YUYV};
    vec![
        offer(640, 480, YUYV, 30),
        offer(640, 360, YUYV, 30),
        offer(1280, 720, YUYV, 10),
        offer(1280, 720, MJPEG, 30),
        offer(1280, 720, MJPEG, 60),
        offer(1920, 1080, MJPEG, 30),
    ]
}

fn best(offers: &[CameraFormat], wish: CameraWish) -> Option<CameraFormat> {
    in_order(offers, wish).first().copied()
}

#[test]
fn a_fast_jpeg_beats_a_slow_raw_picture() {
    assert_eq!(
        best(&laptop(), HD).unwrap(),
        offer(1280, 720, FrameFormat::MJPEG, 30)
    );
}

#[test]
fn the_wished_size_is_taken_raw_where_that_is_fast_enough() {
    let wish = CameraWish {
        width: 640,
        height: 360,
        fps: 30,
    };
    assert_eq!(
        best(&laptop(), wish).unwrap(),
        offer(640, 360, FrameFormat::YUYV, 30)
    );
}

#[test]
fn a_size_between_takes_the_next_larger() {
    let wish = CameraWish {
        width: 960,
        height: 540,
        fps: 30,
    };
    assert_eq!(
        best(&laptop(), wish).unwrap(),
        offer(1280, 720, FrameFormat::MJPEG, 30)
    );
}

#[test]
fn formats_that_cannot_be_converted_are_never_chosen() {
    let grey = offer(1280, 720, FrameFormat::GRAY, 30);
    assert_eq!(best(&[grey], HD), None);
    let small = offer(160, 120, FrameFormat::NV12, 5);
    assert_eq!(best(&[grey, small], HD), Some(small));
}

#[test]
fn a_driver_time_is_believed_only_where_it_can_be_true() {
    let now = Timestamp::from_micros(10_000_000);
    let said = |micros| stamp(Some(Duration::from_micros(micros)), now).as_micros();
    assert_eq!(said(9_980_000), 9_980_000);
    assert_eq!(said(10_000_001), 10_000_000);
    assert_eq!(said(9_000_000), 10_000_000);
    assert_eq!(stamp(None, now), now);
}

#[test]
fn what_cannot_be_read_is_no_picture() {
    let read = |bytes: &[u8], format| picture(&Buffer::new(Resolution::new(2, 2), bytes, format));
    let grey = [60, 60, 60, 60, 128, 128];
    assert_eq!(read(&grey, FrameFormat::NV12).unwrap().y, [60; 4]);
    assert_eq!(read(&[1, 2, 3], FrameFormat::NV12), None);
    assert_eq!(read(&grey, FrameFormat::GRAY), None);
}

#[test]
fn a_camera_that_is_not_there_is_told_with_a_way_out() {
    let Err(error) = Camera::open(Some("no camera has this name"), HD) else {
        panic!("it opened");
    };
    let error = error.to_string();
    let begin = "no camera found matching \"no camera has this name\"; ";
    assert!(error.starts_with(begin), "{error}");
    assert!(error.ends_with("--video test"), "{error}");
}

#[test]
fn a_busy_and_a_denied_camera_have_hints_of_their_own() {
    let busy = words::trouble(
        "camera \"A\"",
        "V4L2 Error: Device or resource busy (os error 16)",
    );
    assert!(
        busy.to_string().contains("another program holds it"),
        "{busy}"
    );
    let denied = words::trouble("camera \"A\"", "Permission denied (os error 13)");
    assert!(denied.to_string().contains("group `video`"), "{denied}");
}
