//! Inputs that are kept for the fuzzers, put through their target again, and inputs of no plan at all.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

// There it is public.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/transfer.rs"]
mod target;

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/transfer");
    let inputs = std::fs::read_dir(corpus).unwrap();
    let mut count = 0;
    for input in inputs {
        target::messages(&std::fs::read(input.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 3);
}

proptest! {
    #[test]
    fn any_messages_keep_the_promises(data in any::<Vec<u8>>()) {
        target::messages(&data);
    }
}
