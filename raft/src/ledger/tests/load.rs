//! The load of a running job.

use super::*;
use crate::ledger::job::load::times;

fn load(factor: Option<u32>, paused: Option<bool>) -> JobCommand {
    JobCommand::Load { id: "j".into(), factor, paused }
}

fn at(change: u32, at_us: u64) -> JobCommand {
    JobCommand::LoadAt { id: "j".into(), change, at_us }
}

fn seen(log: &Log) -> Vec<(u32, Option<u64>)> {
    log.get("j").loads.iter().map(|it| (it.in_force(), it.at_us)).collect()
}

#[test]
fn a_wish_gets_its_instant_once_and_in_order() {
    let mut log = Log::running("j");
    log.job(load(Some(2_000), None)).unwrap();
    log.job(load(None, Some(true))).unwrap();
    log.job(load(Some(500), None)).unwrap();
    log.job(load(None, Some(false))).unwrap();
    assert_eq!(seen(&log), [(2_000, None), (0, None), (0, None), (500, None)]);
    let refused = log.job(at(2, 9_000_000)).unwrap_err();
    assert!(format!("{refused:?}").contains("before an earlier one"), "{refused:?}");
    log.job(at(1, 5_000_000)).unwrap();
    assert_eq!(log.job(at(1, 5_000_000)), Ok(Outcome::Done));
    assert_eq!(
        log.job(at(1, 6_000_000)),
        Err(Rejection::Conflict("change 1 of j's load holds from 5000000 µs already".to_owned()))
    );
    assert!(log.job(at(2, 4_999_999)).is_err());
    log.job(at(2, 5_000_000)).unwrap();
    for unknown in [0, 5] {
        assert!(matches!(log.job(at(unknown, 9)), Err(Rejection::NotFound { .. })));
    }
    let job = log.get("j");
    let decided: Vec<_> = job.decided_loads().map(|(at, it)| (at, it.in_force())).collect();
    assert_eq!(decided, [(5_000_000, 2_000), (5_000_000, 0)]);
    assert_eq!(job.loads[0].asked_by, "ann");
    let events: Vec<&str> = job.events.iter().map(|event| event.what.as_str()).collect();
    for event in
        ["load ×2 asked for", "load paused from 5.000 s of the run on", "load ×0.5 asked for"]
    {
        assert!(events.contains(&event), "{events:?}");
    }
}

#[test]
fn what_is_so_already_is_no_change() {
    let mut log = Log::running("j");
    for same in [load(Some(1_000), None), load(None, Some(false)), load(None, None)] {
        assert_eq!(log.job(same), Ok(Outcome::Done));
    }
    log.job(load(Some(2_000), Some(true))).unwrap();
    log.job(load(Some(2_000), Some(true))).unwrap();
    assert_eq!(seen(&log), [(0, None)]);
}

#[test]
fn only_a_running_job_and_only_so_much() {
    let mut log = Log::open();
    log.put("a.js", 1).unwrap();
    log.submit("j", None).unwrap();
    assert_eq!(conflict(log.job(load(Some(2_000), None))), "j is queued");
    log.job(prepare("j")).unwrap();
    assert_eq!(conflict(log.job(load(Some(2_000), None))), "j is preparing");
    log.job(start("j")).unwrap();
    let low = log.job(load(Some(99), None));
    assert_eq!(low, Err(Rejection::Invalid("a factor of 0.099; 0.1 to 10 work".to_owned())));
    assert!(log.job(load(Some(10_001), None)).is_err());
    for n in 0..limits::LOAD_CHANGES_MAX {
        log.job(load(None, Some(n % 2 == 0))).unwrap();
    }
    let more = format!("{:?}", log.job(load(None, Some(true))).unwrap_err());
    assert!(more.contains("257 changes of the load"), "{more}");
    log.job(at(1, 7)).unwrap();
    log.job(JobCommand::Abort { id: "j".into(), reason: String::new() }).unwrap();
    assert_eq!(conflict(log.job(load(Some(2_000), None))), "j is being aborted");
    assert_eq!(conflict(log.job(at(2, 9))), "j is being aborted");
}

#[test]
fn factors_are_written_as_people_write_them() {
    let all = [(2_000, "2"), (500, "0.5"), (1_125, "1.125"), (10_000, "10"), (100, "0.1")];
    for (factor, text) in all {
        assert_eq!(times(factor), text);
    }
}
