//! Makes declarations from the headers that are installed: structures differ from one version of
//! dav1d to the next, so none are kept here.

use std::error::Error;
use std::path::PathBuf;

struct Library {
    /// To pkg-config, and of the file that is written.
    name: &'static str,
    /// Debian's and Ubuntu's package of its headers.
    package: &'static str,
    /// The first version whose settings are those that we set.
    oldest: &'static str,
    /// What to include.
    headers: &'static str,
    /// Regular expressions of what is used.
    functions: &'static str,
    constants: &'static str,
    types: &'static str,
}

const LIBRARIES: [Library; 2] = [
    Library {
        name: "aom",
        package: "libaom-dev",
        oldest: "3.2",
        headers: "#include <aom/aom_encoder.h>\n#include <aom/aomcx.h>\n",
        functions:
            "aom_codec_(av1_cx|control|destroy|enc_config_default|enc_config_set|enc_init_ver\
                    |encode|err_to_string|error_detail|get_cx_data)",
        constants: "AOM_(ENCODER_ABI_VERSION|EFLAG_FORCE_KF|USAGE_REALTIME)",
        types: "aome_enc_control_id|aom_rc_mode|aom_kf_mode|aom_enc_pass|aom_img_fmt",
    },
    Library {
        name: "dav1d",
        package: "libdav1d-dev",
        oldest: "1.0",
        headers: "#include <dav1d/dav1d.h>\n",
        functions: "dav1d_(default_settings|open|close|flush|send_data|get_picture|data_create\
                    |data_unref|picture_unref)",
        constants: "",
        types: "Dav1dPixelLayout",
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    for library in LIBRARIES {
        library.bind()?;
    }
    Ok(())
}

impl Library {
    fn bind(&self) -> Result<(), Box<dyn Error>> {
        let found = pkg_config::Config::new()
            .atleast_version(self.oldest)
            .probe(self.name)
            .map_err(|error| {
                format!(
                    "AV1 needs {} {} or newer: install {} (scripts/setup does), or build without AV1 by \
                     --no-default-features\n{error}",
                    self.name, self.oldest, self.package
                )
            })?;
        let out = PathBuf::from(std::env::var("OUT_DIR")?).join(format!("{}.rs", self.name));
        let include = |path: &PathBuf| format!("-I{}", path.display());
        bindgen::Builder::default()
            .header_contents("wrapper.h", self.headers)
            .clang_args(found.include_paths.iter().map(include))
            .allowlist_function(self.functions)
            .allowlist_var(self.constants)
            .allowlist_type(self.types)
            // A value that a later version adds is a number like any other.
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .generate_comments(false)
            .layout_tests(false)
            .generate()?
            .write_to_file(out)?;
        Ok(())
    }
}
