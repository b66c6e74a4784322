//! What the cluster promises, at the size that a test run can afford. `tests/acceptance.sh` runs
//! the same at full size.

use std::time::Duration;

use harness::acceptance::{Load, Target, exactness, master_loss, restart_of_all};
use harness::cluster::Cluster;

#[test]
fn three_nodes_send_exactly_what_one_would_and_report_exactly_what_was_sent() {
    let text = exactness(Load { users_per_sec: 50, seconds: 6 }).expect("exact");
    println!("{text}");
}

#[test]
fn the_load_goes_on_and_every_sample_counts_once_when_the_master_dies() {
    let mut cluster = Cluster::start(5);
    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 60, seconds: 15 };
    let loss =
        master_loss(&mut cluster, &target, load, Duration::from_secs(4)).expect("no sample lost");
    println!("first tick {:?} after the kill, {} requests", loss.first_tick, loss.outcome.requests);
}

#[test]
fn jobs_files_reports_and_history_survive_the_death_of_all_nodes() {
    let text = restart_of_all(Load { users_per_sec: 20, seconds: 3 }).expect("all is there");
    println!("{text}");
}
