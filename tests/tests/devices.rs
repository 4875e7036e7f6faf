//! Camera, microphone and loudspeaker on the kernel's own drivers, in a virtual machine.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Its checks and their figures are printed; `tests/rig/vm` runs them by hand.
#[test]
fn every_check_of_the_virtual_machine_passes() {
    let output = Command::new(env!("CARGO_BIN_EXE_vm-rig")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    println!("{told}");
    assert!(output.status.success(), "{told}{trouble}");
}
