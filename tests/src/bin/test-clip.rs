//! Writes the marked test picture as a file that other makers' peers can send: `test-clip FILE.y4m WxH PICTURES`.

use std::path::Path;

use anyhow::Context;
use rtc_e2e::browser::fake;

const USAGE: &str = "usage: test-clip FILE.y4m WxH PICTURES";

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [file, size, pictures] = words.as_slice() else {
        anyhow::bail!(USAGE);
    };
    let (width, height) = size.split_once('x').context(USAGE)?;
    let size = (width.parse()?, height.parse()?);
    fake::write_camera(Path::new(file), size, 30, pictures.parse()?)
}
