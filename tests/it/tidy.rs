//! House rules that a machine can hold: layout, module docs, sizes, who may name what, the
//! direction of dependencies, licences, and that the documents' maps are true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::cluster::repository;
use serde_json::Value;

/// Files longer than this hold a second thing.
const FILE_LINES_MAX: usize = 600;
const LINE_CHARS_MAX: usize = 120;
/// Of the lock file. More is a decision, not an accident.
const PACKAGES_MAX: usize = 750;

const TOP_LEVEL: [&str; 13] = [
    ".ci",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "api",
    "docs",
    "node",
    "raft",
    "scenario",
    "scripts",
];

const LICENCES: [&str; 13] = [
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "0BSD",
    "Unlicense",
    "BSL-1.0",
    "MIT-0",
];

/// MPL-2.0, unmodified: the CSS engine of `scraper`, and an unused option of libp2p's lock entry.
const MPL_EXCEPTIONS: [&str; 5] =
    ["attohttpc", "cssparser", "cssparser-macros", "dtoa-short", "selectors"];

fn tracked(ending: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let mut files: Vec<PathBuf> = text
        .lines()
        .filter(|path| path.ends_with(ending))
        .map(PathBuf::from)
        .filter(|path| repository().join(path).is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file ends with {ending}");
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(repository().join(path)).expect("a tracked file can be read")
}

fn report(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

#[test]
fn every_module_says_what_it_is() {
    let breaches: Vec<String> = tracked(".rs")
        .iter()
        .filter(|path| !read(path).starts_with("//! "))
        .map(|path| path.display().to_string())
        .collect();
    report("a Rust file starts with `//! `", &breaches);
}

#[test]
fn files_and_lines_stay_readable() {
    let mut breaches = Vec::new();
    for path in tracked(".rs") {
        let text = read(&path);
        // A module's own tests do not count against what the module holds.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX {
            breaches.push(format!("{}: {lines} lines (at most {FILE_LINES_MAX})", path.display()));
        }
        let holds_scripts = path.iter().any(|part| part == "tests");
        for (index, line) in text.lines().enumerate().filter(|_| !holds_scripts) {
            if line.chars().count() > LINE_CHARS_MAX
                && !line.contains("http")
                && !line.contains('"')
            {
                breaches.push(format!(
                    "{}:{}: {} characters",
                    path.display(),
                    index + 1,
                    line.len()
                ));
            }
        }
    }
    report("files and lines stay short", &breaches);
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelt in two halves, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["#[ig", "nore"],
        ["dbg", "!("],
        ["todo", "!("],
    ];
    let words: Vec<String> = words.iter().map(|halves| halves.concat()).collect();
    let mut breaches = Vec::new();
    for ending in [".rs", ".js", ".ts", ".sh", ".toml"] {
        for path in tracked(ending) {
            for (index, line) in read(&path).lines().enumerate() {
                for word in words.iter().filter(|word| line.contains(word.as_str())) {
                    breaches.push(format!("{}:{}: {word}", path.display(), index + 1));
                }
            }
        }
    }
    report("nothing is left unfinished or switched off", &breaches);
}

#[test]
fn only_their_wrappers_name_the_replaceable_crates() {
    let owners = [
        ("bincode::", "raft/src/codec"),
        ("openraft::", "raft/"),
        ("redb::", "raft/src/log"),
        ("libp2p::", "node/src/net"),
        ("rquickjs::", "scenario/src/script"),
        ("oxc_", "scenario/src/script"),
    ];
    let mut breaches = Vec::new();
    for path in tracked(".rs") {
        if path.starts_with("tests") {
            continue;
        }
        let shown = path.display().to_string();
        for (index, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            for (name, owner) in owners {
                if code.contains(name) && !shown.starts_with(owner) {
                    breaches
                        .push(format!("{shown}:{}: names {name}, which is {owner}'s", index + 1));
                }
            }
        }
    }
    report("a replaceable crate is named in one place", &breaches);
}

#[test]
fn the_top_level_is_the_one_agreed_on() {
    let agreed: BTreeSet<&str> = TOP_LEVEL.into_iter().chain(["tests"]).collect();
    let found: BTreeSet<String> = tracked("")
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|first| first.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') || name == ".ci")
        .filter(|name| name != "rustfmt.toml")
        .collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, agreed);
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn packages(metadata: &Value) -> &Vec<Value> {
    metadata["packages"].as_array().expect("packages")
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("onrush-scenario", &[][..]),
        ("onrush-raft", &[]),
        ("onrush-api", &["onrush-raft", "onrush-scenario"]),
        ("onrush-node", &["onrush-api", "onrush-raft", "onrush-scenario"]),
        ("onrush-tests", &["onrush-api", "onrush-node", "onrush-raft", "onrush-scenario"]),
    ]);
    let metadata = metadata();
    let mut seen = 0;
    for package in packages(&metadata) {
        let name = package["name"].as_str().expect("name");
        let Some(may) = allowed.get(name) else { continue };
        seen += 1;
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().expect("name");
            assert!(
                !on.starts_with("onrush-") || may.contains(&on),
                "{name} must not depend on {on}"
            );
        }
    }
    assert_eq!(seen, allowed.len(), "all crates of the workspace were looked at");
}

#[test]
fn dependencies_are_few_and_freely_licensed() {
    let metadata = metadata();
    let count = packages(&metadata).len();
    assert!(count <= PACKAGES_MAX, "{count} packages; at most {PACKAGES_MAX}");
    let mut breaches = Vec::new();
    for package in packages(&metadata) {
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        let excepted = package["name"].as_str().is_some_and(|name| MPL_EXCEPTIONS.contains(&name));
        // Every AND part must offer at least one licence of the list.
        let fine = licence.split(" AND ").all(|part| {
            part.split(" OR ").any(|one| {
                let one = one.trim_matches(['(', ')', ' ']);
                LICENCES.contains(&one.split(" WITH ").next().unwrap_or(one))
            })
        });
        if !fine && !excepted {
            breaches.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
        if package["source"].as_str().is_some_and(|source| source.starts_with("git+")) {
            breaches.push(format!("{} comes from git", package["name"]));
        }
    }
    report("licences of the agreed list, crates from the registry", &breaches);
}

#[test]
fn the_architecture_page_names_every_module() {
    let page = read(Path::new("ARCHITECTURE.md"));
    let mut breaches = Vec::new();
    for path in tracked(".rs") {
        let parts: Vec<String> =
            path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let [name, source, module, ..] = &parts[..] else { continue };
        if !["scenario", "raft", "api", "node"].contains(&name.as_str()) || source != "src" {
            continue;
        }
        let module = module.trim_end_matches(".rs");
        if !["lib", "main"].contains(&module)
            && !module.ends_with("tests")
            && !page.contains(&format!("`{module}`"))
        {
            breaches.push(format!("{name}/src/{module}"));
        }
    }
    breaches.dedup();
    report("ARCHITECTURE.md names every top module", &breaches);
}

#[test]
fn scripts_are_executable_and_strict() {
    use std::os::unix::fs::PermissionsExt as _;
    for path in tracked(".sh") {
        if path.ends_with("lib.sh") {
            continue;
        }
        let mode =
            std::fs::metadata(repository().join(&path)).expect("it exists").permissions().mode();
        assert!(mode & 0o111 == 0o111, "{} is not executable", path.display());
        assert!(read(&path).contains("set -euo pipefail"), "{} is not strict", path.display());
    }
}
