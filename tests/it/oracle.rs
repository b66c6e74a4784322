//! Onrush against what Gatling did, case by case. Needs no JVM: the recordings are beside the cases.

use harness::cluster::repository;
use harness::oracle::{case, suite};

#[test]
fn cases_do_what_gatling_did() {
    let cases = case::cases(&[]).expect("the cases can be read");
    let report = suite::run(&cases).expect("the cases run");
    println!("{report}");
    assert!(report.agrees(), "{report}");
}

#[test]
fn what_differs_on_purpose_is_in_the_documentation() {
    let page = std::fs::read_to_string(repository().join("docs/gatling.md")).expect("the page");
    for case in case::cases(&[]).expect("the cases can be read") {
        for row in case.known.iter().filter_map(|known| known.row.as_ref()) {
            let found = page.lines().any(|line| line.starts_with(&format!("| {row}")));
            assert!(found, "{}: docs/gatling.md has no row that begins with {row:?}", case.name);
        }
    }
}
