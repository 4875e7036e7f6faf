//! Times encoders and decoders on the test picture: milliseconds a picture and PSNR.
//!
//! `cargo run --release -p rtc-client --example codec_bench [pictures]`

use std::time::{Duration, Instant};

use rtc_client::measure::quality::psnr_luma;
use rtc_client::media::capture::test_picture::render;
use rtc_client::media::clock::Timestamp;
use rtc_client::media::codec::{AVAILABLE, EncoderConfig, video_decoder, video_encoder};
use rtc_client::media::frame::VideoCodec;

fn main() -> anyhow::Result<()> {
    let count = std::env::args().nth(1).map_or(Ok(300), |n| n.parse())?;
    println!("codec size encode_ms decode_ms kbit/s psnr_db dropped render_ms");
    for &codec in AVAILABLE {
        for (width, height) in [(320, 180), (640, 360), (1280, 720)] {
            run(codec, width, height, count)?;
        }
    }
    Ok(())
}

fn run(codec: VideoCodec, width: u32, height: u32, count: u32) -> anyhow::Result<()> {
    let config = EncoderConfig {
        width,
        height,
        fps: 30,
        bitrate: 1_500_000,
    };
    let mut encoder = video_encoder(codec, config)?;
    let mut decoder = video_decoder(codec)?;
    let (mut encode, mut decode, mut draw) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut bytes, mut psnr, mut decoded) = (0, 0.0, 0);
    for number in 0..count {
        let start = Instant::now();
        let mut picture = render(number, width, height);
        picture.at = Timestamp::from_micros(1_000_000 + u64::from(number) * 1_000_000 / 30);
        draw += start.elapsed();
        let start = Instant::now();
        let frame = encoder.encode(&picture, false)?;
        encode += start.elapsed();
        let Some(frame) = frame else { continue };
        bytes += frame.data.len();
        let start = Instant::now();
        let seen = decoder.decode(&frame.data)?;
        decode += start.elapsed();
        if let Some(db) = seen.and_then(|seen| psnr_luma(&seen, &picture, 0)) {
            psnr += db;
            decoded += 1;
        }
    }
    let each = |d: Duration| d.as_secs_f64() * 1000.0 / f64::from(count);
    println!(
        "{codec:?} {width}x{height} {:.2} {:.2} {:.0} {:.1} {} {:.2}",
        each(encode),
        each(decode),
        bytes as f64 * 8.0 * 30.0 / f64::from(count) / 1000.0,
        psnr / f64::from(decoded.max(1)),
        count - decoded,
        each(draw),
    );
    Ok(())
}
