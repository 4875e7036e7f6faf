//! What becomes of a picture on its way: layers, turns and colours, with Chromium and with files of ffmpeg.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtc_client::media::codec::video_decoder;
use rtc_client::media::convert::to_rgb;
use rtc_client::media::frame::{EncodedPicture, Picture, VideoCodec};
use rtc_client::media::receive::video::{PictureSink, VideoReceive};
use rtc_client::peer::{Peer, PeerConfig, PeerEvent, Signal};
use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions, MARKS_JS, Page, fake};
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::server::TestServer;

/// The four quarters of a picture, from the upper left on.
const COLOURS: [[u8; 3]; 4] = [[220, 40, 40], [30, 200, 60], [40, 60, 230], [240, 200, 20]];

struct Stage {
    folder: tempfile::TempDir,
    server: TestServer,
    browser: Browser,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let camera = folder.path().join("camera.y4m");
        fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
        let browser = Browser::launch(&ChromeOptions {
            camera: Some(camera),
            ..ChromeOptions::default()
        })
        .await
        .unwrap();
        Self {
            folder,
            server: TestServer::start().await.unwrap(),
            browser,
        }
    }

    async fn page(&self, more: &str) -> Page {
        let port = self.server.port();
        let url = format!("http://localhost:{port}/picture?name=browser&autojoin=1{more}");
        let page = self.browser.open(&url).await.unwrap();
        page.wait_for("rtc.phase === 'joined'", PATIENCE)
            .await
            .unwrap();
        page.eval(WATCH).await.unwrap();
        page
    }

    fn client(&self, more: &[&str]) -> Client {
        let url = self.server.url();
        let mut all = vec!["join", "picture", "--headless", "--server", &url];
        all.extend(["--as", "terminal", "--until-alone"]);
        all.extend(more);
        Client::start(&all).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The page's connections, and what it is shown of the other.
const WATCH: &str = r"(() => {
  globalThis.all = [];
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    if (!all.includes(this)) all.push(this);
    return set.call(this, description);
  };
  globalThis.sender = () => all.at(-1)?.getSenders().find((sender) => sender.track?.kind === 'video');
  globalThis.seen = () => {
    const peer = rtc.peers.find((p) => p.name === 'terminal');
    const video = peer && rtc.video(peer.id);
    return video?.videoWidth ? video : null;
  };
  globalThis.quarters = () => {
    const video = seen();
    const [width, height] = [video.videoWidth, video.videoHeight];
    const context = new OffscreenCanvas(width, height).getContext('2d');
    context.drawImage(video, 0, 0);
    const at = (x, y) => [...context.getImageData(width * x, height * y, 1, 1).data].slice(0, 3);
    return [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)];
  };
})()";

fn close(seen: &[u8], wanted: [u8; 3], tolerance: u8) -> bool {
    seen.iter()
        .zip(wanted)
        .all(|(a, b)| a.abs_diff(b) <= tolerance)
}

/// Runs ffmpeg.
fn ffmpeg(arguments: &[&str]) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments)
        .output()
        .expect("ffmpeg: apt-get install ffmpeg");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
}

/// Four flat quarters as a filter of ffmpeg, in RGB.
fn quarters() -> String {
    let boxes = COLOURS.iter().enumerate().map(|(at, [r, g, b])| {
        let (x, y) = (at % 2 * 160, at / 2 * 96);
        format!("drawbox=x={x}:y={y}:w=160:h=96:c=0x{r:02x}{g:02x}{b:02x}:t=fill")
    });
    let boxes: Vec<_> = boxes.collect();
    format!(
        "color=c=black:s=320x192:r=30,format=gbrp,{}",
        boxes.join(",")
    )
}

/// The colours in the middle of the quarters, as we show them, of the last of these frames.
fn shown(codec: VideoCodec, frames: &[Vec<u8>]) -> [[u8; 3]; 4] {
    let mut decoder = video_decoder(codec).unwrap();
    let mut last = None;
    for frame in frames {
        last = decoder.decode(frame).unwrap().or(last);
    }
    middles(&last.unwrap())
}

fn middles(picture: &Picture) -> [[u8; 3]; 4] {
    let rgb = to_rgb(picture).unwrap();
    let (width, height) = (picture.width as usize, picture.height as usize);
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
        let at = 3 * (height * y / 4 * width + width * x / 4);
        rgb[at..at + 3].try_into().unwrap()
    })
}

/// The frames of an IVF file, whose headers are 32 and 12 bytes long.
fn ivf(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[32..];
    let mut frames = Vec::new();
    while let Some(head) = rest.get(..12) {
        let size = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
        frames.push(rest[12..12 + size].to_vec());
        rest = &rest[12 + size..];
    }
    frames
}

#[test]
fn colours_of_other_standards_are_shown_right() {
    let folder = tempfile::tempdir().unwrap();
    let source = quarters();
    for (name, codec, encoder, matrix, range) in [
        ("601.ivf", VideoCodec::Vp9, "libvpx-vp9", "smpte170m", "tv"),
        ("709.ivf", VideoCodec::Vp9, "libvpx-vp9", "bt709", "tv"),
        ("full.ivf", VideoCodec::Vp9, "libvpx-vp9", "bt709", "pc"),
        ("709.264", VideoCodec::H264, "libx264", "bt709", "tv"),
        ("full.264", VideoCodec::H264, "libx264", "smpte170m", "pc"),
        ("both.264", VideoCodec::H264, "libx264", "bt709", "pc"),
    ] {
        let path = folder.path().join(name);
        let scaled =
            format!("{source},scale=out_color_matrix={matrix}:out_range={range},format=yuv420p");
        ffmpeg(&[
            "-f",
            "lavfi",
            "-i",
            &scaled,
            "-frames:v",
            "5",
            "-c:v",
            encoder,
            "-b:v",
            "2M",
            "-profile:v",
            if codec == VideoCodec::H264 {
                "baseline"
            } else {
                "0"
            },
            "-bf",
            "0",
            "-colorspace",
            matrix,
            "-color_range",
            range,
            path.to_str().unwrap(),
        ]);
        let frames = match codec {
            VideoCodec::H264 => vec![std::fs::read(&path).unwrap()],
            _ => ivf(&path),
        };
        let seen = shown(codec, &frames);
        for (seen, wanted) in seen.iter().zip(COLOURS) {
            assert!(close(seen, wanted, 4), "{name}: {seen:?} for {wanted:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_our_colours_right() {
    let _alone = alone().await;
    let stage = Stage::new().await;
    let clip = stage.file("colours.y4m");
    let source = format!(
        "{},scale=out_color_matrix=bt601:out_range=tv,format=yuv420p",
        quarters()
    );
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &source,
        "-frames:v",
        "30",
        clip.to_str().unwrap(),
    ]);
    let page = stage.page("").await;
    let video = format!("file:{}", clip.display());
    let client = stage.client(&["--video", &video, "--loop"]);
    page.wait_for("seen() && sender()", PATIENCE).await.unwrap();
    // The browser shows what we send.
    let right: Vec<String> = COLOURS.iter().map(|c| format!("{c:?}")).collect();
    page.wait_for(
        &format!(
            "quarters().every((c, i) => c.every((v, k) => Math.abs(v - [{}][i][k]) <= 3))",
            right.join(",")
        ),
        PATIENCE,
    )
    .await
    .unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// A page without a server: it offers a canvas, and what it has to say waits in `signals`.
const CANVAS: &str = r"(async () => {
  await navigator.mediaDevices.getUserMedia({ video: true });
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [320, 192];
  const context = canvas.getContext('2d');
  const paint = () => colours.forEach(([r, g, b], i) => {
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect((i % 2) * 160, (i >> 1) * 96, 160, 96);
  });
  paint();
  setInterval(paint, 33);
  const stream = canvas.captureStream(30);
  globalThis.pc = new RTCPeerConnection();
  globalThis.signals = [];
  pc.onicecandidate = ({ candidate }) => candidate && signals.push({ candidate: candidate.toJSON() });
  pc.addTrack(stream.getVideoTracks()[0], stream);
  await pc.setLocalDescription();
  signals.unshift({ description: pc.localDescription.toJSON() });
})()";

/// The colours in the middle of the quarters, as they would be shown, of the newest picture.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Option<[[u8; 3]; 4]>>>);

impl PictureSink for Shown {
    fn encoded(&mut self, _: &EncodedPicture) {}
    fn picture(&mut self, picture: &Arc<Picture>, _: VideoCodec) {
        *self.0.lock().unwrap() = Some(middles(picture));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canvas_of_a_browser_is_shown_in_its_colours() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let url = format!("http://localhost:{}/", server.port());
    let page = browser.open(&url).await.unwrap();
    let colours: Vec<String> = COLOURS.iter().map(|c| format!("{c:?}")).collect();
    page.wait_for("document.readyState === 'complete'", PATIENCE)
        .await
        .unwrap();
    page.eval(&format!("globalThis.colours = [{}]", colours.join(",")))
        .await
        .unwrap();
    page.eval(CANVAS).await.unwrap();
    let (tell, mut events) = tokio::sync::mpsc::channel(256);
    let config = PeerConfig {
        send_audio: false,
        send_video: false,
        polite: true,
        ..PeerConfig::default()
    };
    let peer = Peer::start(config, tell).await.unwrap();
    let shown = Shown::default();
    let mut receivers = Vec::new();
    let right = || {
        let seen = *shown.0.lock().unwrap();
        seen.is_some_and(|seen| seen.iter().zip(COLOURS).all(|(seen, c)| close(seen, c, 3)))
    };
    let until = tokio::time::Instant::now() + PATIENCE;
    while !right() {
        let late = tokio::time::Instant::now() > until;
        assert!(!late, "{:?} for {COLOURS:?}", shown.0.lock().unwrap());
        let said = page.eval("globalThis.signals.splice(0)").await.unwrap();
        for signal in said.as_array().unwrap() {
            let signal = match (signal.get("description"), signal.get("candidate")) {
                (Some(it), _) => Signal::Description(serde_json::from_value(it.clone()).unwrap()),
                (_, Some(it)) => Signal::Candidate(serde_json::from_value(it.clone()).unwrap()),
                _ => continue,
            };
            peer.handle_signal(signal).await;
        }
        while let Ok(event) = events.try_recv() {
            match event {
                PeerEvent::Signal(Signal::Description(it)) => {
                    let it = serde_json::to_string(&it).unwrap();
                    page.eval(&format!("pc.setRemoteDescription({it})"))
                        .await
                        .unwrap();
                }
                PeerEvent::Signal(Signal::Candidate(it)) => {
                    let it = serde_json::to_string(&it).unwrap();
                    page.eval(&format!("pc.addIceCandidate({it})"))
                        .await
                        .unwrap();
                }
                PeerEvent::Track(track) => {
                    let sink = Box::new(shown.clone());
                    let side =
                        rtc_client::media::receive::sync::PeerSync::default().side(track.kind);
                    receivers.push(VideoReceive::start(track, None, side, sink).unwrap());
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(receivers);
    peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_and_a_client_show_each_other_layered_pictures() {
    let _alone = alone().await;
    let stage = Stage::new().await;
    let page = stage.page("").await;
    let mut client = stage.client(&["--scalability", "L1T3"]);
    page.wait_for("seen() && sender()", PATIENCE).await.unwrap();
    page.eval(
        "(() => { const it = sender(); const parameters = it.getParameters(); \
         parameters.encodings[0].scalabilityMode = 'L1T3'; return it.setParameters(parameters); })()",
    )
    .await
    .unwrap();
    page.eval(MARKS_JS).await.unwrap();
    page.eval("globalThis.marks = rtcMarks.watch(seen().srcObject.getVideoTracks()[0])")
        .await
        .unwrap();
    page.wait_for("marks.summary().read >= 90", PATIENCE)
        .await
        .unwrap();
    let marks = page.eval("marks.summary()").await.unwrap();
    assert_eq!(
        (&marks["unreadable"], &marks["outOfOrder"]),
        (&0.into(), &0.into()),
        "{marks}"
    );
    let layered = "all.at(-1).getStats().then((all) => [...all.values()].some((s) => \
        s.type === 'outbound-rtp' && s.scalabilityMode === 'L1T3'))";
    page.wait_for(layered, PATIENCE).await.unwrap();
    client
        .wait_for("stats", |e| {
            let all = e["report"].as_object().unwrap().values();
            all.into_iter()
                .any(|d| d["type"] == "outbound-rtp" && d["scalabilityMode"] == "L1T3")
        })
        .await
        .unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let marks = &ended.summary().unwrap()["peers"][0]["marks"];
    assert!(marks["read"].as_u64().unwrap() >= 60, "{marks:#}");
    assert_eq!(marks["unreadable"], 0, "{marks:#}");
}

/// A phone turns nothing: it says how its camera was held.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_whose_camera_lies_on_its_side_is_shown_upright() {
    let _alone = alone().await;
    let stage = Stage::new().await;
    let record = stage.file("call.mkv");
    let page = stage.page("").await;
    let mut client = stage.client(&["--record", record.to_str().unwrap()]);
    page.wait_for("seen() && sender()", PATIENCE).await.unwrap();
    let received = |width: u32, height: u32| {
        move |e: &serde_json::Value| {
            let all = e["report"].as_object().unwrap().values();
            all.into_iter().any(|d| {
                d["type"] == "inbound-rtp" && d["frameWidth"] == width && d["frameHeight"] == height
            })
        }
    };
    page.eval(
        "(() => { const canvas = new OffscreenCanvas(320, 192); \
         const context = canvas.getContext('2d'); \
         const generator = new MediaStreamTrackGenerator({ kind: 'video' }); \
         const writer = generator.writable.getWriter(); \
         setInterval(() => { \
           const timestamp = Math.round(performance.now() * 1000); \
           context.fillStyle = `hsl(${timestamp / 10000} 80% 50%)`; \
           context.fillRect(0, 0, 320, 192); \
           const upright = new VideoFrame(canvas, { timestamp }); \
           writer.write(new VideoFrame(upright, { timestamp, rotation: 90 })); \
           upright.close(); }, 33); \
         return sender().replaceTrack(generator); })()",
    )
    .await
    .unwrap();
    client.wait_for("stats", received(192, 320)).await.unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // It was turned here, not there: what came is as it was sent.
    let frames = stage.file("received.ivf");
    ffmpeg(&[
        "-i",
        record.to_str().unwrap(),
        "-map",
        "0:v:0",
        "-c",
        "copy",
        frames.to_str().unwrap(),
    ]);
    let frames = ivf(&frames);
    let mut decoder = video_decoder(VideoCodec::Vp8).unwrap();
    let sizes: Vec<_> = frames
        .iter()
        .filter_map(|frame| decoder.decode(frame).unwrap())
        .map(|picture| (picture.width, picture.height))
        .collect();
    assert!(sizes.contains(&(320, 192)), "{sizes:?}");
    assert!(!sizes.contains(&(192, 320)), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turned_picture_arrives_turned() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "turn", "--headless", "--server", &url];
    let mut far =
        Client::start(&[&common[..], &["--until-alone", "--as", "far"]].concat()).unwrap();
    far.wait_for("joined", |_| true).await.unwrap();
    let near =
        Client::start(&[&common[..], &["--rotate", "90", "--duration", "4s"]].concat()).unwrap();
    let (near, far) = tokio::join!(
        near.ended(Duration::from_secs(6)),
        far.ended(Duration::from_secs(6))
    );
    let size = |ended: &rtc_e2e::process::Ended| {
        let peer = &ended.summary().unwrap()["peers"][0];
        (peer["frameWidth"].clone(), peer["frameHeight"].clone())
    };
    assert_eq!(size(&far.unwrap()), (360.into(), 640.into()));
    assert_eq!(size(&near.unwrap()), (640.into(), 360.into()));
}
