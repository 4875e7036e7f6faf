//! Inputs that are kept for the fuzzers, put through their target again, and inputs of no plan at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

// There it is public.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/dialects.rs"]
mod target;

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/dialects");
    let inputs = std::fs::read_dir(corpus).unwrap();
    let mut count = 0;
    for input in inputs {
        target::server(&std::fs::read(input.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 8);
}

proptest! {
    #[test]
    fn any_words_keep_the_promises(head in any::<u8>(), text in "(.{0,30}\n){0,8}") {
        target::server(&[&[head], text.as_bytes()].concat());
    }
}
