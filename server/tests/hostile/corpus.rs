//! Inputs that are kept for the fuzzers, put through every target again: `fuzz/corpus`, one folder each.

#[allow(unreachable_pub, reason = "the fuzzers reach it")]
#[path = "../../../fuzz/src/server/mod.rs"]
mod targets;

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut inputs: Vec<_> = std::fs::read_dir(format!("{corpus}/{name}"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has a corpus");
        for input in inputs {
            println!("{}", input.display());
            target(&std::fs::read(&input).unwrap());
        }
    }
}
