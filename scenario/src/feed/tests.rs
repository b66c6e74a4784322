//! Tests of `feed`.

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::{Strategy, *};
use crate::expr::{FnId, Hooks, NoHooks};
use crate::inject::division::{SEGMENTS, split};
use crate::shard::ProblemKind;

#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Files for Memory {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn io::Read>>> {
        Ok(self.0.get(path).cloned().map(|bytes| Box::new(Cursor::new(bytes)) as _))
    }
}

fn csv(strategy: Strategy) -> FeederSpec {
    let source = FeederSource::Separated {
        path: "one.csv".to_owned(),
        separator: ',',
        quote: '"',
        headers: Vec::new(),
    };
    FeederSpec { source, strategy, unzip: false, transform: None }
}

fn load_bytes(text: &[u8]) -> Result<Feeder, Problem> {
    let files = Memory([("resources/one.csv", text.to_vec())].into());
    Feeder::load(&csv(Strategy::Queue), &files)
}

fn load(text: &str) -> Result<Feeder, Problem> {
    load_bytes(text.as_bytes())
}

fn numbers(count: u64, strategy: Strategy) -> Feeder {
    let records = (0..count)
        .map(|number| [("n".into(), Value::Int(number.cast_signed()))].into_iter().collect())
        .collect();
    let source = FeederSource::Records(records);
    let spec = FeederSpec { source, strategy, unzip: false, transform: None };
    Feeder::load(&spec, &Memory::default()).unwrap()
}

fn feed_with(
    feeder: &Feeder,
    count: Option<i64>,
    session: &mut Session,
    hooks: &mut dyn Hooks,
) -> Result<(), String> {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut ctx = EvalCtx { hooks, rng: &mut rng, unix_ms: 0 };
    feeder.feed(count, session, &mut ctx).map_err(|error| error.to_string())
}

fn feed(feeder: &Feeder, count: Option<i64>) -> Result<String, String> {
    let mut session = Session::new("s".into(), 0);
    feed_with(feeder, count, &mut session, &mut NoHooks)?;
    let texts: Vec<_> =
        session.attributes().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(texts.join("|"))
}

/// The next numbers of a feeder made by [`numbers`].
fn take(feeder: &Feeder, count: usize) -> Vec<u64> {
    (0..count)
        .map_while(|_| feed(feeder, None).ok())
        .map(|text| text.strip_prefix("n=").unwrap().parse().unwrap())
        .collect()
}

#[test]
fn csv_in_gatlings_details() {
    let feeder =
        load("\u{feff}a, b ,\"c\"\r\n1, \"x\",\"two\r\nlines, \"\"q\"\"\"\r\n\r\n2\r\n3,4,5,6\r\n")
            .unwrap();
    assert_eq!(feeder.records(), 3);
    assert_eq!(feed(&feeder, None).unwrap(), "a=1|b= \"x\"|c=two\r\nlines, \"q\"");
    assert_eq!(feed(&feeder, None).unwrap(), "a=2");
    assert_eq!(feed(&feeder, None).unwrap(), "a=3|b=4|c=5");
    assert_eq!(
        feed(&feeder, None).unwrap_err(),
        "Feeder csv(one.csv) crashed: feeder is now empty."
    );
    let twice = load("a,a\n1,2\n").unwrap();
    assert_eq!(feed(&twice, None).unwrap(), "a=2");
    let mut session = Session::new("s".into(), 0);
    session.set("b", "old".into());
    feed_with(&load("a,b\n1\n").unwrap(), None, &mut session, &mut NoHooks).unwrap();
    assert_eq!(session.get("b"), Some(&"old".into()));
}

#[test]
fn malformed_files_name_the_place_and_the_fix() {
    let problem = load("a,b\n1,\"open\n2,3\n").unwrap_err();
    assert_eq!(
        (problem.kind, problem.line, problem.column),
        (ProblemKind::FileInvalid, Some(2), Some(3))
    );
    assert!(problem.message.contains("never closed"), "{}", problem.message);
    let problem = load_bytes(b"a,b\n1,2\n3,\xff\n").unwrap_err();
    assert_eq!((problem.line, problem.column), (Some(3), Some(2)));
    assert!(problem.message.contains("save the file as UTF-8"), "{}", problem.message);
    assert!(load("").unwrap_err().message.contains("is empty"));
    assert!(load("a,,b\n1,2,3\n").unwrap_err().message.contains("column 2 has no name"));
    let missing = Feeder::load(&csv(Strategy::Queue), &Memory::default()).unwrap_err();
    assert_eq!(missing.kind, ProblemKind::FileMissing);
    assert_eq!(missing.message, "Could not locate feeder file: Resource one.csv not found");
}

/// As on Gatling 3.16.0: the run goes on until a user asks.
#[test]
fn a_file_without_records_is_an_error_for_the_user_that_needs_one() {
    for strategy in [Strategy::Queue, Strategy::Random, Strategy::Shuffle, Strategy::Circular] {
        for text in ["a,b\n", "a,b", "a,b\n\n\r\n\"\"\n"] {
            let files = Memory([("resources/one.csv", text.into())].into());
            let feeder = Feeder::load(&csv(strategy), &files).unwrap();
            let feeder = feeder.divided(&Segments::all(), 1, 0);
            assert_eq!(feeder.records(), 0);
            let empty = "Feeder csv(one.csv) crashed: feeder is now empty.";
            assert_eq!(feed(&feeder, None).unwrap_err(), empty, "{strategy:?}");
            assert_eq!(feed(&feeder, Some(2)).unwrap_err(), empty, "{strategy:?}");
        }
    }
    assert_eq!(json("[]").unwrap().records(), 0);
    let spec = FeederSpec {
        source: FeederSource::Records(Vec::new()),
        strategy: Strategy::Queue,
        unzip: false,
        transform: None,
    };
    let problem = Feeder::load(&spec, &Memory::default()).unwrap_err();
    assert_eq!(problem.message, "in-memory has no records");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_column() {
    for text in ["\u{feff}\"a\",b\n1,2\n", "\u{feff}a ,b\r1,2"] {
        assert_eq!(feed(&load(text).unwrap(), None).unwrap(), "a=1|b=2", "{text:?}");
    }
    for bytes in [&b"\xff\xfea\x00\n\x001\x00"[..], b"\xfe\xff\x00a"] {
        let problem = load_bytes(bytes).unwrap_err();
        assert_eq!(problem.message, "one.csv is UTF-16, by its mark: save the file as UTF-8");
    }
    for bytes in [&b"\xef"[..], b"\xef\xbb", b"\xff"] {
        assert!(load_bytes(bytes).unwrap_err().message.contains("is not UTF-8"));
    }
}

#[test]
fn other_separators_and_quotes() {
    let source = FeederSource::Separated {
        path: "x.txt".to_owned(),
        separator: '#',
        quote: '\'',
        headers: Vec::new(),
    };
    let spec = FeederSpec { source, strategy: Strategy::Queue, unzip: false, transform: None };
    let files = Memory([("x.txt", b"a#b\n'1#'#\"2\"\n".to_vec())].into());
    let feeder = Feeder::load(&spec, &files).unwrap();
    assert_eq!(feed(&feeder, None).unwrap(), "a=1#|b=\"2\"");
    assert_eq!(feeder.name(), "separatedValues(x.txt)");
    let source = FeederSource::Separated {
        path: "x.txt".to_owned(),
        separator: '§',
        quote: '«',
        headers: Vec::new(),
    };
    let spec = FeederSpec { source, strategy: Strategy::Queue, unzip: false, transform: None };
    let files = Memory([("x.txt", "ä§b\n«1§«§2\n«x««y«§«\"z\"\"«\n".into())].into());
    let feeder = Feeder::load(&spec, &files).unwrap();
    assert_eq!(feed(&feeder, None).unwrap(), "ä=1§|b=2");
    // What is left out is the usual quote, as in Gatling's parser.
    assert_eq!(feed(&feeder, None).unwrap(), "ä=x««y|b=z\"");
}

fn json_bytes(bytes: Vec<u8>) -> Result<Feeder, Problem> {
    let source = FeederSource::Json { path: "x.json".to_owned() };
    let spec = FeederSpec { source, strategy: Strategy::Queue, unzip: false, transform: None };
    Feeder::load(&spec, &Memory([("x.json", bytes)].into()))
}

fn json(text: &str) -> Result<Feeder, Problem> {
    json_bytes(text.as_bytes().to_vec())
}

/// Asked of Gatling 3.16.0.
#[test]
fn json_numbers_are_exact_and_the_encoding_is_found() {
    let text = r#"[{"a":9007199254740993,"b":[18446744073709551615,1e400,1.0]}]"#;
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes().to_vec(), [b"\xEF\xBB\xBF", text.as_bytes()].concat(), utf16] {
        let feeder = json_bytes(bytes).unwrap();
        let record = feed(&feeder, None).unwrap();
        assert_eq!(record, "a=9007199254740993|b=[18446744073709551615, Infinity, 1.0]");
    }
}

#[test]
fn json_records_keep_their_types() {
    let feeder = json(r#"[{"a":1,"b":{"c":[true]}},{"a":"x"}]"#).unwrap();
    assert_eq!(feed(&feeder, None).unwrap(), "a=1|b={c=[true]}");
    assert_eq!(feed(&feeder, None).unwrap(), "a=x");
    for (bad, place, text) in [
        (r#"{"a":1}"#, (1, 0), "expected an array of objects"),
        ("[{\"a\":1},\n 3]", (2, 3), "record 2 is of type integer"),
        ("[{\"a\":1},\n {\"a\" 2}]", (2, 7), "expected `:`"),
        ("[] x", (1, 4), "trailing characters"),
    ] {
        let problem = json(bad).unwrap_err();
        assert!(problem.message.contains(text), "{}", problem.message);
        assert_eq!(problem.line, Some(place.0), "{bad}");
        assert!(place.1 == 0 || problem.column == Some(place.1), "{bad}: {problem:?}");
    }
}

#[test]
fn several_records_at_once_are_lists() {
    let feeder = load("a,b\n1,x\n2,y\n3\n").unwrap();
    assert_eq!(feed(&feeder, Some(2)).unwrap(), "a=[1, 2]|b=[x, y]");
    assert_eq!(
        feed(&feeder, Some(2)).unwrap_err(),
        "Feeder csv(one.csv) crashed: feeder is now empty."
    );
    assert_eq!(feed(&feeder, Some(1)).unwrap(), "a=[3]");
    assert_eq!(
        feed(&feeder, Some(0)).unwrap_err(),
        "Feeder csv(one.csv) crashed: 0 is not a valid number of records."
    );
    assert!(feed(&feeder, Some(i64::MAX)).is_err());
    assert_eq!(feed(&numbers(3, Strategy::Circular), Some(4)).unwrap(), "n=[0, 1, 2, 0]");
}

#[test]
fn strategies() {
    assert_eq!(take(&numbers(3, Strategy::Queue), 9), [0, 1, 2]);
    assert_eq!(take(&numbers(3, Strategy::Circular), 7), [0, 1, 2, 0, 1, 2, 0]);
    let mut shuffled = take(&numbers(50, Strategy::Shuffle), 60);
    assert_ne!(shuffled, (0..50).collect::<Vec<_>>());
    shuffled.sort_unstable();
    assert_eq!(shuffled, (0..50).collect::<Vec<_>>());
    let drawn = take(&numbers(10, Strategy::Random), 1000);
    for number in 0..10 {
        let times = drawn.iter().filter(|&&drawn| drawn == number).count();
        assert!((60..150).contains(&times), "{number}: {times}");
    }
}

#[test]
fn a_transform_sees_name_and_value() {
    struct Shout;
    impl Hooks for Shout {
        fn call(
            &mut self,
            _function: FnId,
            _session: &Session,
            args: HookArgs<'_>,
        ) -> Result<HookOutcome, String> {
            match args {
                HookArgs::NameAndValue("bad", _) => Err("Error: boom".to_owned()),
                HookArgs::NameAndValue(name, value) => {
                    Ok(HookOutcome::Value(format!("{name}:{value}!").into()))
                }
                _ => Err("unexpected arguments".to_owned()),
            }
        }
    }
    let feeder = |text: &str| Feeder { transform: Some(0), ..load(text).unwrap() };
    let mut session = Session::new("s".into(), 0);
    feed_with(&feeder("a\n1\n"), None, &mut session, &mut Shout).unwrap();
    assert_eq!(session.get("a"), Some(&"a:1!".into()));
    assert_eq!(
        feed_with(&feeder("bad\n1\n"), None, &mut session, &mut Shout).unwrap_err(),
        "Feeder csv(one.csv) crashed: Error: boom"
    );
}

#[test]
fn positions_can_be_read_and_set() {
    let segments = Segments::new(4, &[1, 3]).unwrap();
    let feeder = numbers(20, Strategy::Queue).divided(&segments, 1, 0);
    assert_eq!(take(&feeder, 3), [1, 3, 5]);
    assert_eq!(feeder.division().position(), 7);
    feeder.division().set_position(14);
    assert_eq!(take(&feeder, 9), [15, 17, 19]);
    feeder.division().set_position(7);
    assert_eq!(take(&feeder, 1), [7]);
}

#[test]
fn threads_share_one_feeder() {
    let feeder = numbers(1000, Strategy::Queue);
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| take(&feeder, 250))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn shards_together_use_each_record_once_a_round(
        count in 1_u64..2500, nodes in 1_usize..9, seed in any::<u64>(),
    ) {
        for strategy in [Strategy::Queue, Strategy::Shuffle] {
            let mut all: Vec<u64> = split(&vec![1; nodes])
                .iter()
                .map(|owned| Segments::new(SEGMENTS, owned).unwrap())
                .flat_map(|own| take(&numbers(count, strategy).divided(&own, seed, 3), 2500))
                .collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        // Three rounds of a circular feeder: what the shards hand out of the first 3 * count.
        let mut all: Vec<u64> = split(&vec![1; nodes])
            .iter()
            .map(|owned| Segments::new(SEGMENTS, owned).unwrap())
            .flat_map(|own| {
                let share = usize::try_from(own.closed_share(3 * count)).unwrap();
                take(&numbers(count, Strategy::Circular).divided(&own, seed, 3), share)
            })
            .collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..3 * count).map(|number| number / 3).collect::<Vec<_>>());
    }

    #[test]
    fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = load_bytes(&bytes).map(|feeder| feed(&feeder, None));
        let _ = json(&String::from_utf8_lossy(&bytes));
    }
}

/// Taken by several threads while segments are given away: each record is handed out once, by the
/// one or by the other, and the giver uses what it had reserved first.
#[test]
fn records_of_segments_that_are_given_away_are_the_takers_from_one_number_on() {
    let half = |first: u32| {
        Segments::new(SEGMENTS, &(first..SEGMENTS).step_by(2).collect::<Vec<_>>()).unwrap()
    };
    let giver = Division::new(Strategy::Queue, 200_000, &Segments::all(), 1);
    giver.grant(60_000);
    let taken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut own: Vec<u64> = Vec::new();
                loop {
                    match giver.take(1) {
                        Ok(places) => own.extend(places),
                        Err(Refused::NotYet) => std::thread::yield_now(),
                        Err(_) => break,
                    }
                }
                taken.lock().unwrap().extend(own);
            });
        }
        giver.keep(&half(1), 70_000);
        giver.grant(200_000);
    });
    let taker = Division::new(Strategy::Queue, 200_000, &half(0), 1);
    taker.set_position(70_000);
    let mut records = taken.into_inner().unwrap();
    while let Ok(places) = taker.take(1) {
        records.extend(places);
    }
    records.sort_unstable();
    assert_eq!(records, (0..200_000).collect::<Vec<u64>>());
}

/// Its last users have what was reserved; then they end, and the run does not.
#[test]
fn who_has_given_all_away_keeps_what_was_reserved() {
    let giver = Division::numbers(&Segments::all());
    giver.grant(5);
    giver.keep(&Segments::new(SEGMENTS, &[]).unwrap(), 7);
    giver.grant(7);
    let take = |count| giver.take(count).map(|places| places.collect::<Vec<_>>());
    assert_eq!(take(7), Ok((0..7).collect()));
    assert_eq!(take(1), Err(Refused::GivenAway));
    assert_eq!(giver.position(), 7);
}

/// Nothing beyond what is reserved, so that whoever takes over knows where nothing was used.
#[test]
fn what_is_not_reserved_is_waited_for() {
    let whole = Segments::new(2, &[0]).unwrap();
    let division = Division::new(Strategy::Queue, 100, &whole, 1);
    division.grant(6);
    let take = |count| division.take(count).map(|places| places.collect::<Vec<_>>());
    assert_eq!(take(2), Ok(vec![0, 2]));
    assert_eq!(take(2), Err(Refused::NotYet));
    assert_eq!(take(1), Ok(vec![4]));
    assert_eq!((division.position(), division.wanted()), (6, 8));
    division.grant(100);
    assert_eq!(take(2), Ok(vec![6, 8]));
    assert_eq!(take(46), Err(Refused::Empty));
}
