//! What one request may allocate. Counted, not timed, so that it says the same on every machine:
//! two runs of a whole shard, the longer one's allocations less the shorter one's.
//!
//! The target answers from fixed buffers and allocates nothing; all threads are counted.
#![expect(unsafe_code, reason = "counting allocations takes an allocator of one's own")]
#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use onrush_scenario::engine::{Event, run_local};
use onrush_scenario::inject::division::SEGMENTS;
use onrush_scenario::shard::{EndReason, ShardSpec};
use serde_json::{Value, json};

/// The engine alone: a request that needs no protocol.
const DUMMY_MAX: f64 = 1.1;
/// A GET with its implicit check, 3 headers in the answer.
const GET_MAX: f64 = 7.5;
/// Expression language in path, header and body, 5 headers, status and jsonPath check, `saveAs`.
const ORDER_MAX: f64 = 33.5;
/// Of large pieces: some come with the seconds, none with the requests.
const LARGE_MAX: f64 = 0.1;

const USERS: u32 = 8;
const BODY: &str = r#"{"id":"4711","name":"a thing","tags":["a","b"]}"#;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LARGE: AtomicU64 = AtomicU64::new(0);

/// Up to this the C library's allocator keeps pieces at hand for each thread; a larger one costs as
/// much as ten of them.
const SMALL_BYTES_MAX: usize = 1_032;

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        if layout.size() > SMALL_BYTES_MAX {
            LARGE.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers each read with one response: its clients send their requests whole.
fn target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let answer: &'static [u8] = answer.leak().as_bytes();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(stream, answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    let mut buffer = [0; 4_096];
    while stream.read(&mut buffer).is_ok_and(|length| length > 0) {
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

fn spec(root: &Path) -> ShardSpec {
    ShardSpec {
        job: "j".to_owned(),
        shard: 0,
        epoch: 1,
        segments_total: SEGMENTS,
        segments: (0..SEGMENTS).collect(),
        threads: 1,
        seed: 7,
        root: root.to_owned(),
        simulation: "sim.json".to_owned(),
        parameters: BTreeMap::new(),
        environment: BTreeMap::new(),
        unix_ms: None,
        record_arrivals: None,
        max_duration_us: None,
        leased: false,
        ..ShardSpec::default()
    }
}

/// Allocations of a run in which each user repeats the steps so often, and the large ones of them.
fn allocations(steps: &Value, times: u32) -> [u64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let simulation = json!({
        "version": 1,
        "name": "sim",
        "populations": [{
            "scenario": { "name": "s", "steps": [
                { "step": "set_in_session", "attribute": "token", "value": { "lit": "abc" } },
                { "step": "set_in_session", "attribute": "id", "value": { "lit": 7 } },
                { "step": "repeat", "times": { "lit": times }, "body": steps },
            ] },
            "inject": { "open": [{ "profile": "at_once_users", "users": USERS }] },
        }],
    });
    std::fs::write(folder.path().join("sim.json"), simulation.to_string()).unwrap();
    let (_control, orders) = mpsc::channel();
    let mut ok = 0;
    let counted = || [&ALLOCATIONS, &LARGE].map(|it| it.load(Ordering::Relaxed));
    let before = counted();
    let ended = run_local(&spec(folder.path()), &orders, &mut |event| {
        if let Event::Frame(frame) = event
            && let Some(totals) = frame.totals
        {
            ok = totals.requests_ok;
        }
    });
    let after = counted();
    assert_eq!(ended, Ok(EndReason::Completed));
    assert_eq!(ok, u64::from(USERS * times));
    [after[0] - before[0], after[1] - before[1]]
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn per_request(steps: &Value) -> [f64; 2] {
    let (short, long) = (200, 1_200);
    let (few, many) = (allocations(steps, short), allocations(steps, long));
    [0, 1].map(|of| (many[of] as f64 - few[of] as f64) / f64::from(USERS * (long - short)))
}

#[test]
fn a_request_allocates_no_more_than_its_ceiling() {
    let address = target();
    let get = json!({ "step": "action", "protocol": "http", "name": { "lit": "get" },
        "spec": { "method": "GET", "url": { "lit": format!("http://{address}/") } } });
    let header = |name: &str, value: &str| json!({ "name": name, "value": { "el": value } });
    let check = |extractor: Value, validator: Value| {
        json!({ "extractor": extractor, "arity": { "find": { "index": 0 } }, "transforms": [],
            "validator": validator, "log_actual": true, "save_as": "found" })
    };
    let order = json!({ "step": "action", "protocol": "http", "name": { "lit": "order" },
        "spec": {
            "method": "POST",
            "url": { "el": format!("http://{address}/items/#{{id}}?token=#{{token}}") },
            "headers": [header("accept", "application/json"), header("x-token", "#{token}"),
                header("content-type", "application/json"), header("user-agent", "test"),
                header("x-trace", "trace-#{id}")],
            "body": { "text": { "el": "{\"item\": #{id}, \"token\": \"#{token}\"}" } },
            "checks": [
                check(json!({ "kind": "status" }), json!({ "is": { "lit": 200 } })),
                check(json!({ "kind": "json_path", "path": { "lit": "$.id" } }), json!("exists")),
            ],
        } });
    let dummy = json!({ "step": "dummy", "name": { "lit": "d" },
        "response_time_ms": { "lit": 0 } });
    let found = [("dummy", dummy, DUMMY_MAX), ("get", get, GET_MAX), ("order", order, ORDER_MAX)]
        .map(|(name, steps, most)| (name, per_request(&json!([steps])), most));
    let holds = found.iter().all(|(_, [all, large], most)| all <= most && *large <= LARGE_MAX);
    assert!(holds, "allocations a request, and how many there may be: {found:?}");
}
