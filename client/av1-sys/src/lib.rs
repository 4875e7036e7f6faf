//! What the headers of libaom (`aom`) and libdav1d (`dav1d`) declare, as far as `rtc-client` calls
//! it; its `media/codec/av1` makes it safe.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals
)]
#![allow(unreachable_pub, clippy::all)]

pub mod aom {
    include!(concat!(env!("OUT_DIR"), "/aom.rs"));
}

pub mod dav1d {
    include!(concat!(env!("OUT_DIR"), "/dav1d.rs"));
}
