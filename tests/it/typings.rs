//! Our TypeScript simulations against Gatling's own typings: what compiles here compiles for a user
//! of Gatling. The packages are installed once, in the cache; that needs Node and npm, which
//! `scripts/test.sh` installs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::cluster::repository;
use serde_json::{Value, json};

const NEEDED: &str = "this test needs Node.js 18 or later with npm: scripts/test.sh installs them, \
                      or use your system's packages nodejs and npm";

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output();
    assert!(output.is_ok(), "{}: {output:?}; {NEEDED}", command.get_program().display());
    let output = output.expect("it was started");
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    (output.status.success(), text.concat())
}

/// The folder in which the packages are: named by their versions, and whole.
fn installed() -> PathBuf {
    let listed = fs::read(repository().join("tests/typings/package.json")).expect("the list");
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let list: Value = serde_json::from_slice(&listed).expect("JSON");
    let dependencies = list["dependencies"].as_object().expect("dependencies");
    let versions: Vec<&str> = dependencies.values().filter_map(Value::as_str).collect();
    let folder = cache.join("onrush/typings").join(versions.join("-"));
    if folder.is_dir() {
        return folder;
    }
    fs::create_dir_all(folder.parent().expect("a parent")).expect("the cache");
    let beside = folder.parent().expect("a parent");
    let fresh = tempfile::tempdir_in(beside).expect("a folder").keep();
    fs::write(fresh.join("package.json"), &listed).expect("the list is written");
    let flags = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"];
    let (done, text) = said(Command::new("npm").arg("install").args(flags).current_dir(&fresh));
    assert!(done, "npm install of tests/typings/package.json failed: {text}");
    // Another run may have been first: its folder is the same.
    if fs::rename(&fresh, &folder).is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    folder
}

fn compile(packages: &Path, folder: &Path, sources: &str) -> (bool, String) {
    let text = fs::read(repository().join("tests/typings/tsconfig.json")).expect("the settings");
    let mut settings: Value = serde_json::from_slice(&text).expect("JSON");
    let package = |name: &str| json!([packages.join("node_modules").join(name)]);
    settings["compilerOptions"]["paths"] = json!({
        "@gatling.io/core": package("@gatling.io/core"),
        "@gatling.io/http": package("@gatling.io/http"),
    });
    settings["include"] = json!([sources]);
    let written = folder.join("tsconfig.json");
    fs::write(&written, settings.to_string()).expect("the settings are written");
    let tsc = packages.join("node_modules/typescript/bin/tsc");
    said(Command::new("node").arg(tsc).arg("-p").arg(&written).args(["--pretty", "false"]))
}

#[test]
fn our_typescript_compiles_against_the_published_typings() {
    let packages = installed();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ours = repository().join("tests/simulations/**/*.ts");
    let (compiles, text) = compile(&packages, folder.path(), &ours.display().to_string());
    assert!(compiles, "{text}");
    // The compiler does look at what it is given.
    let wrong = "import { scenario } from \"@gatling.io/core\";\nscenario(7);\n";
    fs::write(folder.path().join("wrong.ts"), wrong).expect("a file");
    let (compiles, text) = compile(&packages, folder.path(), "wrong.ts");
    assert!(!compiles && text.contains("wrong.ts(2,10)"), "{text}");
}
