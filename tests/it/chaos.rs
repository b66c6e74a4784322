//! A few runs of chaos with seeds that stay the same; `tests/chaos.sh` has the rest. The program runs
//! itself inside of network namespaces where it may, and on loopback where it may not.

use std::process::Command;

use harness::process::binary;

/// Faults that a job of eight seconds survives, and that end within them.
const FAULTS: [&str; 7] = [
    "kill-master",
    "kill-worker",
    "kill-shard",
    "cut-worker",
    "cut-link",
    "upload",
    "flipped-byte",
];

#[test]
fn clusters_that_are_broken_lose_double_and_hold_up_nothing() {
    let _machine = crate::whole_machine();
    let out = tempfile::tempdir().expect("a folder");
    let output = Command::new(binary("onrush-chaos"))
        .args(["--seed", "1", "--runs", "3", "--nodes", "3", "--rate", "40", "--seconds", "8"])
        .args(["--fault", &FAULTS.join(",")])
        .arg("--out")
        .arg(out.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let timeline = || {
        let folders = std::fs::read_dir(out.path()).into_iter().flatten().flatten();
        let read = |folder: std::fs::DirEntry| {
            std::fs::read_to_string(folder.path().join("timeline.txt")).unwrap_or_default()
        };
        folders.map(read).collect::<String>()
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}\n{}", timeline());
}
