//! What encrypts media end to end: the passphrase, and the codecs that there is a rule for.

use std::io::Read;
use std::path::Path;

use super::{OptionError, codecs};
use crate::cli;
use crate::e2ee::{Medium, RoomSecret};
use crate::media::frame::VideoCodec;

/// The codecs of the list that have a rule of encryption; the others are not offered.
pub(super) fn encryptable(text: &str) -> Result<Vec<VideoCodec>, OptionError> {
    let mut list = codecs(text)?;
    list.retain(|codec| Medium::Picture(*codec).has_rule());
    if list.is_empty() {
        return Err(OptionError::new(
            "--codec",
            text,
            "with --e2ee pictures are in vp8 or vp9: there is no way to encrypt h264 and av1 end to end; add vp8",
        ));
    }
    Ok(list)
}

/// What is read of a file with a passphrase.
const E2EE_FILE_BYTES: u64 = 4096;

/// `--e2ee` or `--e2ee-file`. No error shows what was typed.
pub(super) fn e2ee(
    typed: Option<&cli::Secret>,
    file: Option<&Path>,
) -> Result<Option<RoomSecret>, OptionError> {
    if let Some(path) = file {
        let problem =
            |why: String| OptionError::new("--e2ee-file", &path.display().to_string(), why);
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(E2EE_FILE_BYTES).read_to_string(&mut text))
            .map_err(|error| problem(format!("it cannot be read ({error})")))?;
        let first = text.lines().next().unwrap_or_default();
        let secret = RoomSecret::parse(first);
        return secret.map(Some).map_err(|error| problem(error.to_string()));
    }
    typed
        .map(|typed| RoomSecret::parse(typed.text()))
        .transpose()
        .map_err(|error| OptionError::new("--e2ee", "…", error.to_string()))
}
