//! The browser page as people use it: real Chromium, the real server, several pages in one room.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::browser::{Browser, ChromeOptions, MARKS_JS, Page, TONE_JS, fake};
use rtc_server::{Config, Running, Server};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Browsers side by side slow each other down until their own timers fire: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const ALL_CONNECTED: &str = "rtc.peers.every(p => p.state === 'connected')";

struct Stage {
    browser: Browser,
    server: Running,
    url: String,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    async fn new(options: ChromeOptions) -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let server = serve(0).await;
        Self {
            browser: Browser::launch(&options).await.unwrap(),
            url: format!("http://localhost:{}", server.local_addrs()[0].port()),
            server,
            _alone: alone,
        }
    }

    /// Ends the server; another one that knows nothing takes its place.
    async fn replace_server(&mut self) {
        let port = self.server.local_addrs()[0].port();
        let fresh = serve(0).await;
        std::mem::replace(&mut self.server, fresh).shutdown().await;
        self.server = serve(port).await;
    }

    /// Opens the room as `name` and waits until the server let it in.
    async fn join(&self, room: &str, name: &str, more: &str) -> Page {
        let url = format!("{}/{room}?name={name}&autojoin=1{more}", self.url);
        let page = self.browser.open(&url).await.unwrap();
        page.wait_for("rtc.phase === 'joined'", PATIENCE)
            .await
            .unwrap();
        page
    }
}

async fn serve(port: u16) -> Running {
    let server = Server::bind(Config::localhost(port)).await.unwrap();
    server.start()
}

async fn wait(page: &Page, condition: &str) -> Value {
    page.wait_for(condition, PATIENCE).await.unwrap()
}

/// Waits until `page` is connected to so many others and sees each of them move.
async fn sees_others_move(page: &Page, others: usize) {
    wait(
        page,
        &format!("rtc.peers.length === {others} && {ALL_CONNECTED}"),
    )
    .await;
    let script = r"(async () => {
        const pixels = (video) => {
            const canvas = new OffscreenCanvas(64, 36);
            const context = canvas.getContext('2d');
            context.drawImage(video, 0, 0, 64, 36);
            return context.getImageData(0, 0, 64, 36).data.join();
        };
        const shown = async ({ id }) => {
            const video = rtc.video(id);
            const [frames, picture] = [video.getVideoPlaybackQuality().totalVideoFrames, pixels(video)];
            const until = performance.now() + 30000;
            while (performance.now() < until) {
                await new Promise((resolve) => setTimeout(resolve, 50));
                const more = video.getVideoPlaybackQuality().totalVideoFrames - frames;
                if (more >= 10 && pixels(video) !== picture && !video.paused) return 'moves';
            }
            return `${id}: stands still after ${frames} frames`;
        };
        return Promise.all(rtc.peers.map(shown));
    })()";
    let seen = page.eval(script).await.unwrap();
    assert_eq!(seen, json!(vec!["moves"; others]), "{:?}", page.messages());
}

async fn hears_others(page: &Page) {
    // Chromium's fake microphone beeps once a second.
    wait(
        page,
        "(globalThis.heard ??= {}, rtc.peers.forEach(p => { if (p.figures?.audioLevel > 0.01) heard[p.id] = true }), \
         rtc.peers.every(p => heard[p.id]))",
    )
    .await;
}

/// A channel opens a moment after its connection stands; until then the text stays where it was typed.
async fn say(page: &Page, text: &str) {
    let script = format!(
        "document.getElementById('chat-text').value = {}",
        json!(text)
    );
    page.eval(&script).await.unwrap();
    wait(
        page,
        "(document.getElementById('chat-form').requestSubmit(), document.getElementById('chat-text').value === '')",
    )
    .await;
}

async fn press(page: &Page, kind: &str) {
    let script = format!("document.querySelector('.bar [data-toggle={kind}]').click()");
    page.eval(&script).await.unwrap();
}

fn assert_healthy(page: &Page) {
    assert_eq!(page.complaints(), [], "{:#?}", page.messages());
}

#[tokio::test]
async fn two_pages_see_hear_and_write_each_other() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let ada = stage.join("two", "Ada", "").await;
    let grace = stage.join("two", "Grace", "").await;
    sees_others_move(&ada, 1).await;
    sees_others_move(&grace, 1).await;
    hears_others(&ada).await;
    hears_others(&grace).await;

    wait(
        &grace,
        "document.querySelector('#chat-log') && rtc.peers[0].name === 'Ada'",
    )
    .await;
    say(&grace, "hello <b>Ada</b>").await;
    wait(
        &ada,
        "rtc.chat.some(l => l.text === 'hello <b>Ada</b>' && !l.own)",
    )
    .await;
    say(&ada, "first\nsecond").await;
    wait(&grace, "rtc.chat.some(l => !l.own)").await;
    // Markup is text, and in the log as such.
    let shown = "document.querySelector('#chat-log .line .text').textContent";
    assert_eq!(ada.eval(shown).await.unwrap(), "hello <b>Ada</b>");

    press(&grace, "audio").await;
    wait(&ada, "rtc.peers[0].muted.join() === 'audio'").await;
    press(&grace, "video").await;
    wait(&ada, "rtc.peers[0].muted.includes('video')").await;
    wait(
        &ada,
        "document.querySelector('#tiles .tile').matches('.no-picture.muted-audio')",
    )
    .await;
    press(&grace, "video").await;
    press(&grace, "audio").await;
    wait(&ada, "rtc.peers[0].muted.length === 0").await;
    sees_others_move(&ada, 1).await;

    assert_healthy(&ada);
    assert_healthy(&grace);
}

#[tokio::test]
async fn three_pages_make_a_mesh_and_one_that_reloads_comes_back() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let pages = [
        stage.join("mesh", "Ada", "").await,
        stage.join("mesh", "Grace", "").await,
        stage.join("mesh", "Edsger", "").await,
    ];
    for page in &pages {
        sees_others_move(page, 2).await;
    }
    let before = pages[1].eval("rtc.me").await.unwrap();
    pages[1].eval("globalThis.old = true").await.unwrap();
    pages[1].reload(PATIENCE).await.unwrap();
    wait(&pages[1], "!globalThis.old && rtc.phase === 'joined'").await;
    assert_eq!(
        pages[1].eval("rtc.me").await.unwrap(),
        before,
        "a reload is the same peer"
    );
    for page in &pages {
        sees_others_move(page, 2).await;
        assert_healthy(page);
    }
    pages[2]
        .eval("document.getElementById('leave').click()")
        .await
        .unwrap();
    wait(&pages[0], "rtc.peers.length === 1").await;
    wait(
        &pages[2],
        "rtc.phase === 'ended' && !document.getElementById('ended').hidden",
    )
    .await;
}

#[tokio::test]
async fn a_page_without_devices_receives() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let ada = stage.join("receive", "Ada", "").await;
    let watcher = stage.join("receive", "Watcher", "&audio=0&video=0").await;
    sees_others_move(&watcher, 1).await;
    hears_others(&watcher).await;
    wait(&ada, "rtc.peers[0].muted.length === 2").await;
    assert_eq!(
        watcher.eval("rtc.sending").await.unwrap(),
        json!({ "audio": false, "video": false })
    );
    // A camera that comes later is seen too.
    press(&watcher, "video").await;
    sees_others_move(&ada, 1).await;
    assert_healthy(&watcher);
}

/// A peer that is not the page: it offers a data channel and nothing else.
const DATA_ONLY: &str = r"(async () => {
    const { Signaling, newToken } = await import('/_/signaling.js');
    const signaling = new Signaling({ url: `ws://${location.host}/ws`, session: { token: newToken(), lastSeq: 0 } });
    await signaling.connect();
    const pc = new RTCPeerConnection();
    const { members } = await signaling.request({ type: 'join', room: 'data', name: 'Plain' });
    const send = (signal) => signaling.request({ type: 'signal', room: 'data', to: members[0].peer, signal });
    globalThis.kinds = new Set();
    globalThis.said = [];
    pc.ontrack = ({ track }) => kinds.add(track.kind);
    pc.onicecandidate = ({ candidate }) => send({ candidate });
    signaling.addEventListener('message', async ({ detail }) => {
        if (detail.type !== 'signal') return;
        const { description, candidate } = detail.signal;
        if (description) await pc.setRemoteDescription(description);
        else await pc.addIceCandidate(candidate ?? undefined);
        if (description?.type !== 'offer') return;
        await pc.setLocalDescription();
        await send({ description: pc.localDescription });
    });
    globalThis.chat = pc.createDataChannel('chat');
    chat.onmessage = ({ data }) => said.push(data);
    await pc.setLocalDescription();
    await send({ description: pc.localDescription });
    globalThis.frames = async () => [...(await pc.getStats()).values()].find((s) => s.kind === 'video' && s.type === 'inbound-rtp')?.framesDecoded ?? 0;
})()";

/// What a page does with an answer to an offer of a connection that it has replaced since, and then with the right one.
const LATE_ANSWER: &str = r"(async () => {
    const { Peer, sessionId } = await import('/_/peer.js');
    const version = (sdp) => /^o=\S+ (\S+ \S+)/m.exec(sdp)[1];
    const media = { tracks: {}, stream: new MediaStream() };
    const said = [];
    const make = (more) => new Peer({ id: 'far', polite: false, media, config: {}, codec: null, send: (signal) => said.push(signal), ...more });
    const told = (type) => said.map(({ description }) => description).filter((one) => one?.type === type);
    const until = async (there) => { while (!there()) await new Promise((done) => setTimeout(done, 10)); };
    const answer = async (offer) => {
        const far = new RTCPeerConnection();
        await far.setRemoteDescription(offer);
        await far.setLocalDescription();
        return { type: 'answer', sdp: far.localDescription.sdp.replace(/^m=/m, `a=x-answers:${version(offer.sdp)}\r\nm=`) };
    };
    const peer = make({ offers: true });
    await until(() => told('offer').length === 1);
    const late = await answer(told('offer')[0]);
    peer.rebuild();
    await until(() => told('offer').length === 2);
    const right = await answer(told('offer')[1]);
    await peer.signal({ description: late });
    const after = peer.pc.signalingState;
    await peer.signal({ description: right });
    await until(() => sessionId(peer.pc.currentRemoteDescription?.sdp) === sessionId(right.sdp));
    // And its own answers name their offers.
    const far = new RTCPeerConnection();
    far.createDataChannel('any');
    await far.setLocalDescription();
    await make({}).signal({ description: { type: 'offer', sdp: far.localDescription.sdp } });
    const [ours] = told('answer');
    await far.setRemoteDescription(ours);
    const named = ours.sdp.includes(`a=x-answers:${version(far.localDescription.sdp)}\r\n`);
    return [after, peer.pc.signalingState, told('offer').length, named];
})()";

#[tokio::test]
async fn an_answer_to_a_connection_that_was_replaced_spoils_nothing() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let page = stage
        .browser
        .open(&format!("{}/healthz", stage.url))
        .await
        .unwrap();
    let came = page.eval(LATE_ANSWER).await.unwrap();
    assert_eq!(came, json!(["have-local-offer", "stable", 2, true]));
}

#[tokio::test]
async fn a_peer_that_offers_data_alone_is_sent_sound_and_picture_all_the_same() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let ada = stage.join("data", "Ada", "").await;
    let url = format!("{}/healthz", stage.url);
    let plain = stage.browser.open(&url).await.unwrap();
    wait(
        &plain,
        "location.pathname === '/healthz' && document.readyState === 'complete'",
    )
    .await;
    plain.eval(DATA_ONLY).await.unwrap();
    wait(
        &plain,
        "kinds.has('audio') && kinds.has('video') && chat.readyState === 'open'",
    )
    .await;
    wait(&plain, "frames().then(n => n > 20)").await;
    wait(&ada, &format!("rtc.peers.length === 1 && {ALL_CONNECTED}")).await;
    plain.eval("chat.send('one line')").await.unwrap();
    wait(&ada, "rtc.chat.some(l => l.text === 'one line')").await;
    say(&ada, "another").await;
    wait(&plain, "said.includes('another')").await;
    assert_healthy(&ada);
}

#[tokio::test]
async fn a_missing_camera_and_microphone_are_told_and_end_nothing() {
    let stage = Stage::new(ChromeOptions {
        without_devices: true,
        ..ChromeOptions::default()
    })
    .await;
    let page = stage.join("bare", "Ada", "").await;
    wait(
        &page,
        "document.getElementById('call-problem').textContent.includes('No camera was found')",
    )
    .await;
    wait(
        &page,
        "document.getElementById('call-problem').textContent.includes('No microphone was found')",
    )
    .await;
    let other = stage.join("bare", "Grace", "").await;
    wait(
        &other,
        &format!("rtc.peers.length === 1 && {ALL_CONNECTED}"),
    )
    .await;
    say(&other, "still here").await;
    wait(&page, "rtc.chat.some(l => l.text === 'still here')").await;
    assert_healthy(&page);
}

#[tokio::test]
async fn every_picture_and_the_tone_arrive_as_they_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (camera, microphone) = (folder.path().join("c.y4m"), folder.path().join("m.wav"));
    fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
    fake::write_microphone(&microphone, 440, 10).unwrap();
    let stage = Stage::new(ChromeOptions {
        camera: Some(camera),
        microphone: Some(microphone),
        ..ChromeOptions::default()
    })
    .await;
    let _sender = stage.join("marks", "Sender", "&processing=0").await;
    let receiver = stage.join("marks", "Receiver", "&audio=0&video=0").await;
    sees_others_move(&receiver, 1).await;
    receiver.eval(MARKS_JS).await.unwrap();
    receiver.eval(TONE_JS).await.unwrap();
    receiver
        .eval(
            "(() => { const stream = rtc.stream(rtc.peers[0].id); \
             globalThis.marks = rtcMarks.watch(stream.getVideoTracks()[0]); \
             globalThis.tone = rtcTone.watch(stream.getAudioTracks()[0], 440); })()",
        )
        .await
        .unwrap();
    wait(
        &receiver,
        "marks.summary().read >= 60 && tone.summary().heardSeconds >= 3",
    )
    .await;
    let marks = receiver.eval("marks.summary()").await.unwrap();
    let tone = receiver.eval("tone.summary(2)").await.unwrap();
    assert_eq!(
        (&marks["width"], &marks["height"]),
        (&json!(640), &json!(360)),
        "{marks}"
    );
    assert_eq!(marks["unreadable"], 0, "{marks}");
    assert!((tone["hz"].as_f64().unwrap() - 440.0).abs() < 2.0, "{tone}");
    assert!(tone["purity"].as_f64().unwrap() > 0.95, "{tone}");
    receiver
        .eval("Promise.all([marks.stop(), tone.stop()])")
        .await
        .unwrap();
}

#[tokio::test]
async fn h264_is_used_where_the_address_asks_for_it() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let ada = stage.join("codec", "Ada", "&codec=h264").await;
    let grace = stage.join("codec", "Grace", "&codec=h264").await;
    for page in [&ada, &grace] {
        sees_others_move(page, 1).await;
        wait(
            page,
            "rtc.peers[0].figures?.receive.video?.codec === 'H264'",
        )
        .await;
        wait(page, "rtc.peers[0].figures?.send.video?.codec === 'H264'").await;
    }
}

#[tokio::test]
async fn a_phone_s_width_needs_no_sideways_scrolling() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let room = "a-room-with-a-rather-long-name-that-somebody-thought-was-funny";
    let fits = "document.documentElement.scrollWidth <= innerWidth && \
                [...document.querySelectorAll('button, input, select')].every(e => { \
                    const box = e.getBoundingClientRect(); \
                    return box.width === 0 || (box.left >= 0 && box.right <= innerWidth + 0.5); })";
    let other = stage.join(room, "Grace", "").await;
    for width in [320, 375] {
        for path in [
            String::new(),
            room.to_owned(),
            format!("{room}?autojoin=1&name=Ada"),
        ] {
            let page = stage.browser.blank().await.unwrap();
            page.resize(width, 640, true).await.unwrap();
            page.goto(&format!("{}/{path}", stage.url)).await.unwrap();
            wait(&page, "document.querySelector('main:not([hidden])')").await;
            if path.contains("autojoin") {
                sees_others_move(&page, 1).await;
                for pane in ["chat", "people", "quality", "settings"] {
                    page.eval(&format!(
                        "document.querySelector('[data-pane={pane}]').click()"
                    ))
                    .await
                    .unwrap();
                    assert_eq!(page.eval(fits).await.unwrap(), true, "{pane} at {width}");
                }
                page.eval("document.getElementById('panel-close').click()")
                    .await
                    .unwrap();
            }
            assert_eq!(page.eval(fits).await.unwrap(), true, "{path} at {width}");
            assert_healthy(&page);
            if path.contains("autojoin") {
                page.eval("document.getElementById('leave').click()")
                    .await
                    .unwrap();
                wait(&other, "rtc.peers.length === 0").await;
            }
        }
    }
}

#[tokio::test]
async fn inline_code_is_refused_by_the_page_s_policy() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let page = stage
        .browser
        .open(&format!("{}/policy", stage.url))
        .await
        .unwrap();
    wait(&page, "globalThis.rtc").await;
    assert_healthy(&page);
    // A handler may be refused with an exception already, where trusted types are asked for.
    page.eval(
        "(() => { const element = document.createElement('div'); \
         document.body.append(element); \
         element.setAttribute('style', 'position: fixed'); \
         try { element.setAttribute('onclick', 'globalThis.hacked = true'); } catch {} \
         element.click(); globalThis.placed = getComputedStyle(element).position; })()",
    )
    .await
    .unwrap();
    assert_eq!(page.eval("globalThis.placed").await.unwrap(), "static");
    assert_eq!(
        page.eval("globalThis.hacked ?? null").await.unwrap(),
        Value::Null
    );
    let complaints = page.complaints();
    assert!(
        complaints
            .iter()
            .any(|m| m.text.contains("Content Security Policy")),
        "{complaints:?}"
    );
}

#[tokio::test]
async fn the_start_page_leads_to_a_room_and_says_what_is_wrong_with_a_name() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let page = stage.browser.open(&stage.url).await.unwrap();
    wait(&page, "!document.getElementById('start').hidden").await;
    let enter = |name: &str| {
        format!(
            "document.getElementById('start-room').value = {}; \
             document.getElementById('start-form').requestSubmit(); \
             document.getElementById('start-error').textContent",
            json!(name)
        )
    };
    for wrong in ["a/b", "..", &"ü".repeat(65)] {
        let error = page.eval(&enter(wrong)).await.unwrap();
        assert!(
            error.as_str().is_some_and(|text| !text.is_empty()),
            "{wrong}"
        );
    }
    assert_eq!(page.eval(&enter("Tea & Kekse")).await.unwrap(), "");
    wait(
        &page,
        "!document.getElementById('lobby').hidden && rtc.link === 'open'",
    )
    .await;
    page.eval("document.getElementById('lobby-form').requestSubmit()")
        .await
        .unwrap();
    wait(
        &page,
        "rtc.phase === 'joined' && rtc.room === 'Tea & Kekse'",
    )
    .await;
    assert_healthy(&page);
}

#[tokio::test]
async fn a_call_goes_on_while_another_server_takes_over() {
    let mut stage = Stage::new(ChromeOptions::default()).await;
    let ada = stage.join("door", "Ada", "").await;
    let grace = stage.join("door", "Grace", "").await;
    sees_others_move(&ada, 1).await;
    let connection = "rtc.peers.map(p => [p.id, p.timings.createdAt, p.timings.connectedMs])";
    let before = ada.eval(connection).await.unwrap();
    stage.replace_server().await;
    for page in [&ada, &grace] {
        wait(page, "rtc.link === 'open' && rtc.peers.length === 1").await;
    }
    // Somebody new finds both, so both have joined again.
    let edsger = stage.join("door", "Edsger", "").await;
    for page in [&ada, &grace, &edsger] {
        sees_others_move(page, 2).await;
    }
    let after = ada.eval(connection).await.unwrap();
    assert_eq!(after[0], before[0], "the connection that stood was kept");
}

#[tokio::test]
async fn a_moderator_mutes_and_removes() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let ada = stage.join("order", "Ada", "").await;
    let grace = stage.join("order", "Grace", "").await;
    wait(
        &ada,
        &format!("rtc.role === 'moderator' && rtc.peers.length === 1 && {ALL_CONNECTED}"),
    )
    .await;
    ada.eval("document.querySelector('[data-pane=people]').click()")
        .await
        .unwrap();
    ada.eval("document.querySelector('.person:nth-child(2) .act-mute').click()")
        .await
        .unwrap();
    wait(&grace, "!rtc.sending.audio && rtc.sending.video").await;
    wait(&ada, "rtc.peers[0].muted.join() === 'audio'").await;
    ada.eval("document.querySelector('.person:nth-child(2) .act-kick').click()")
        .await
        .unwrap();
    wait(&grace, "rtc.phase === 'ended'").await;
    wait(&ada, "rtc.peers.length === 0").await;
    assert_healthy(&ada);
    assert_healthy(&grace);
}

#[tokio::test]
async fn a_seventh_page_is_told_that_the_room_is_full() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let mut inside = Vec::new();
    for number in 1..=6 {
        let name = format!("P{number}");
        inside.push(stage.join("full", &name, "&audio=0&video=0").await);
    }
    let url = format!("{}/full?autojoin=1&audio=0&video=0", stage.url);
    let late = stage.browser.open(&url).await.unwrap();
    wait(&late, "rtc.phase === 'ended'").await;
    let title = late
        .eval("document.getElementById('ended-title').textContent")
        .await
        .unwrap();
    assert_eq!(title, "The room is full");
    for page in &inside {
        wait(page, &format!("rtc.peers.length === 5 && {ALL_CONNECTED}")).await;
    }
}

/// Signaling on a clock of its own, with a server that lets in, sends away at once, and does so each time; notes how long
/// each try waits. `held` is how long the link lasts.
const SENT_AWAY: &str = r"(async () => {
    const { Signaling, newToken } = await import('/_/signaling.js');
    const later = setTimeout.bind(globalThis);
    let now = 0;
    globalThis.performance.now = () => now;
    globalThis.held = 0;
    globalThis.waits = [];
    globalThis.tries = [];
    globalThis.setTimeout = (then, ms) => {
        waits.push(ms);
        // Whole ones: a sum of parts of milliseconds is not exact.
        now += Math.ceil(ms);
        tries.push(then);
    };
    globalThis.WebSocket = class {
        constructor() { later(() => this.serve()); }
        send() {}
        close() {}
        serve() {
            const say = (message) => this.onmessage({ data: JSON.stringify(message) });
            this.onopen();
            say({ type: 'welcome', heartbeatMs: 10_000_000, resumed: false });
            now += held;
            say({ type: 'go-away', reason: 'drain', reconnectMs: 0 });
        }
    };
    const signaling = new Signaling({ url: 'ws://nowhere/ws', session: { token: newToken(), lastSeq: 0 } });
    await signaling.connect();
    globalThis.next = () => tries.shift()();
})()";

#[tokio::test]
async fn a_page_that_a_server_lets_in_and_sends_away_each_time_waits_ever_longer() {
    let stage = Stage::new(ChromeOptions::default()).await;
    let url = format!("{}/healthz", stage.url);
    let page = stage.browser.open(&url).await.unwrap();
    wait(
        &page,
        "location.pathname === '/healthz' && document.readyState === 'complete'",
    )
    .await;
    page.eval(SENT_AWAY).await.unwrap();
    for tries in 1..=8 {
        let least = (100 * 2_u32.pow(tries - 1)).min(5_000);
        let waited = wait(&page, &format!("waits.length === {tries} && waits.at(-1)")).await;
        let range = f64::from(least)..=f64::from(2 * least);
        let waited = waited.as_f64().unwrap();
        assert!(range.contains(&waited), "{waited} at try {tries}");
        if tries == 8 {
            page.eval("held = 5_000").await.unwrap();
        }
        page.eval("next()").await.unwrap();
    }
    let waited = wait(&page, "waits.length === 9 && waits.at(-1)").await;
    let waited = waited.as_f64().unwrap();
    assert!(
        waited <= 200.0,
        "{waited} after a link that held: the first of a new row"
    );
}

/// Two servers, and a call at the first one, which is about to send it to the second.
async fn about_to_move(second_lets_in: bool) -> (Stage, Running, [Page; 2]) {
    let alone = ONE_AT_A_TIME.lock().await;
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let second = Config {
        allow_origins: Vec::from_iter(second_lets_in.then(|| "*".to_owned())),
        ..Config::localhost(0)
    };
    let second = Server::bind(second).await.unwrap().start();
    let first = Config {
        drain_url: Some(site_of(&second)),
        ..Config::localhost(0)
    };
    let first = Server::bind(first).await.unwrap().start();
    let stage = Stage {
        browser,
        url: site_of(&first).trim_end_matches('/').to_owned(),
        server: first,
        _alone: alone,
    };
    let a = stage.join("roaming", "Ann", "").await;
    let b = stage.join("roaming", "Bob", "").await;
    for page in [&a, &b] {
        sees_others_move(page, 1).await;
    }
    (stage, second, [a, b])
}

fn site_of(server: &Running) -> String {
    format!("http://localhost:{}/", server.local_addrs()[0].port())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_moves_to_the_server_that_the_first_one_sends_it_to() {
    let (mut stage, second, [a, b]) = about_to_move(true).await;
    let site = site_of(&second);
    let began = a.eval("rtc.peers[0].timings.createdAt").await.unwrap();
    let fresh = serve(0).await;
    std::mem::replace(&mut stage.server, fresh).shutdown().await;
    for page in [&a, &b] {
        wait(
            page,
            &format!("rtc.server === '{site}' && rtc.link === 'open'"),
        )
        .await;
        sees_others_move(page, 1).await;
    }
    let same = a.eval("rtc.peers[0].timings.createdAt").await.unwrap();
    assert_eq!(began, same, "the connection is the one that stood");
    let link = "document.getElementById('waiting-link').textContent";
    wait(&a, &format!("{link} === '{site}roaming'")).await;
    // Both are in the room there.
    let url = format!("{site}roaming?name=Eve&autojoin=1");
    let c = stage.browser.open(&url).await.unwrap();
    sees_others_move(&c, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_the_other_server_does_not_let_in_come_back() {
    let (mut stage, _second, [a, b]) = about_to_move(false).await;
    stage.replace_server().await;
    let home = format!("{}/", stage.url);
    for page in [&a, &b] {
        wait(
            page,
            &format!("rtc.server === '{home}' && rtc.link === 'open'"),
        )
        .await;
        sees_others_move(page, 1).await;
    }
}
