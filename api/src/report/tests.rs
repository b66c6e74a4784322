//! The report as a whole: every section from one summary, and hostile texts kept inert.

use onrush_scenario::stats::aggregate::Aggregate;
use onrush_scenario::stats::assertion::{AssertionSpec, Condition, Scope, Target};
use onrush_scenario::stats::frame::{
    ErrorDelta, FRAME_VERSION, Frame, GroupDelta, RequestDelta, ScenarioDelta, Times,
};
use onrush_scenario::stats::summarize::Context;
use onrush_scenario::stats::summary::{
    Event, Excerpt, LoadStep, LostPart, RunInfo, Sample, Summary,
};

/// A run of `seconds` on two nodes; `names` are the requests.
fn sample(seconds: u32, names: &[String], message: &str) -> Summary {
    let mut aggregate = Aggregate::new();
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for second in 0..seconds {
        for shard in 0..2u32 {
            let load = 5 + u64::from(second) * 60 / u64::from(seconds);
            let slow = if second * 3 > seconds * 2 { 3 } else { 1 };
            let requests = responses(names, load, slow, &mut random);
            let failed = requests.iter().map(|r| r.ko.count).sum();
            let mut frame = Frame {
                version: FRAME_VERSION,
                shard,
                epoch: 1,
                seq: u64::from(second) + 1,
                second,
                requests,
                scenarios: ["buy", "browse"]
                    .iter()
                    .map(|name| ScenarioDelta {
                        name: (*name).into(),
                        started: load / 5,
                        ended: load / 6,
                        active: load,
                        active_max: load + 1,
                        planned: Some(900),
                        ..ScenarioDelta::default()
                    })
                    .collect(),
                groups: vec![GroupDelta {
                    path: vec!["checkout".into()],
                    duration_ok: Times::of([400_000]),
                    cumulated_ok: Times::of([90_000]),
                    ..GroupDelta::default()
                }],
                ..Frame::default()
            };
            frame.connections.opened = 3;
            frame.generator.cpu_percent = 61.0;
            frame.generator.lateness_p99_us = 140;
            if failed > 0 {
                frame.errors.push(ErrorDelta {
                    path: vec![names[0].clone()],
                    message: message.into(),
                    count: failed,
                    sample: Some(Box::new(example(message))),
                    ..ErrorDelta::default()
                });
            }
            aggregate.apply_frames([frame]);
        }
    }
    summarise(&aggregate, seconds, &names[0], message)
}

fn example(body: &str) -> Sample {
    let headers = |text: &str| vec![("Content-Type".to_owned(), text.to_owned())];
    Sample {
        at_us: 61_250_000,
        sent: Excerpt::new("POST http://shop.test/cart", headers("text/plain"), "a=1", false),
        received: Some(Excerpt::new("503 Service Unavailable", headers("text/html"), body, true)),
    }
}

/// Responses of one second: `load` of each request, `slow` times as slow as at first.
fn responses(
    names: &[String],
    load: u64,
    slow: u64,
    random: &mut impl FnMut(u64) -> u64,
) -> Vec<RequestDelta> {
    let mut requests = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let base = 8_000 * (i as u64 % 7 + 1) * slow;
        let ok: Vec<_> = (0..load)
            .map(|_| {
                let r = random(1_000);
                base + random(base) + r * r * r / 20_000
            })
            .collect();
        let ko = if slow > 1 && i % 3 == 0 { vec![base * 9; 3] } else { vec![] };
        let path =
            if i % 2 == 0 { vec![name.clone()] } else { vec!["checkout".into(), name.clone()] };
        requests.push(RequestDelta {
            path,
            sent: (ok.len() + ko.len()) as u64,
            codes: vec![(200, ok.len() as u64), (503, ko.len() as u64)],
            ok: Times::of(ok),
            ko: Times::of(ko),
            bytes_sent: 4_000,
            bytes_received: 90_000,
        });
    }
    requests
}

fn summarise(aggregate: &Aggregate, seconds: u32, title: &str, message: &str) -> Summary {
    let spec = |target, condition| AssertionSpec { scope: Scope::Global, target, condition };
    let specs = [
        spec(Target::PercentileResponseTime(95.0), Condition::Lt(5_000.0)),
        spec(Target::FailedPercent, Condition::Lt(0.5)),
    ];
    aggregate.summary(Context {
        run: RunInfo {
            simulation: "checkout".into(),
            title: title.to_owned(),
            started_unix_ms: 1_795_408_360_000,
            ended_unix_ms: 1_795_408_660_000,
            seed: 42,
            version: "0.1.0".into(),
            nodes: 2,
            parameters: [("users".to_owned(), message.to_owned())].into(),
            ..RunInfo::default()
        },
        status: "finished".into(),
        assertions: &specs,
        judge: true,
        lost: vec![LostPart { node: message.into(), made_up: true, ..LostPart::default() }],
        nodes: [(0, "node-a".to_owned()), (1, message.to_owned())].into(),
        events: vec![Event { second: seconds / 2, text: message.into() }],
        load: vec![
            LoadStep { at_us: 34_000_000, factor: 2.5, ..LoadStep::default() },
            LoadStep { at_us: 61_000_000, factor: 2.5, paused: true, by: message.into() },
        ],
        ..Context::default()
    })
}

fn keep(name: &str, page: &str) {
    // For looking at it: ONRUSH_REPORT_DIR=/some/folder cargo test -p onrush-api report
    if let Some(folder) = std::env::var_os("ONRUSH_REPORT_DIR") {
        std::fs::write(std::path::Path::new(&folder).join(name), page).unwrap();
    }
}

#[test]
fn every_section_is_there() {
    let names = ["GET /", "cart", "GET /item", "pay", "GET /stock"].map(String::from);
    let summary = sample(90, &names, "status.find.in(200,304,201), found 503");
    let page = super::html(&summary);
    keep("report.html", &page);
    keep("report.txt", &super::text(&summary));
    keep("report.md", &super::markdown(&summary));
    for id in [
        "charts",
        "requests",
        "errors",
        "generator",
        "setup",
        "users",
        "throughput",
        "percentiles",
        "distribution",
        "curve",
        "assertions",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let load = "×2.5 from 00:34, paused from 01:01";
    for text in [&page, &super::text(&summary), &super::markdown(&summary)] {
        assert!(text.contains(load), "{text}");
    }
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href=\"http"));
    let shown = [
        "The first one, at 01:01",
        "<b>POST http://shop.test/cart</b>\nContent-Type: text/plain\n\na=1</pre>",
        "<b>503 Service Unavailable</b>\nContent-Type: text/html\n\nstatus.find",
    ];
    for text in shown {
        assert!(page.contains(text), "{text}");
    }
    assert!(
        super::text(&summary)
            .starts_with(" VERDICT FAILED – 1 of 2 assertions failed; load of shard 0")
    );
}

#[test]
fn hostile_texts_stay_text() {
    let hostile = "</title><script>alert(1)</script>\" onload='x' <img src=x> \u{202e}\u{1b}[2J";
    let names: Vec<String> = (0..12).map(|i| format!("{hostile}{i}{}", "x".repeat(400))).collect();
    let summary = sample(3, &names, hostile);
    let page = super::html(&summary);
    keep("hostile.html", &page);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'));
    assert_eq!(page.matches("</title>").count() - page.matches("<title>").count(), 0);
    let text = super::text(&summary);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert!(!super::markdown(&summary).contains("<script"));
}

#[test]
fn nothing_and_much_are_reports_too() {
    let nothing = Aggregate::new().summary(Context { judge: true, ..Context::default() });
    let page = super::html(&nothing);
    keep("nothing.html", &page);
    assert!(page.contains("no request was sent") && page.contains("Nothing was measured"));
    let names: Vec<String> = (0..1_000).map(|i| format!("GET /item/{i}")).collect();
    let page = super::html(&sample(5, &names, "x"));
    keep("huge.html", &page);
    assert!(page.len() < 5_000_000, "{}", page.len());
    assert!(super::json(&nothing).contains("onrush.summary/v1"));
}
