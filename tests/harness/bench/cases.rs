//! What is measured: one line per case. A case's simulation is in `tests/bench`, for each tool.

/// One case, run by several tools.
#[derive(Debug)]
pub struct Case {
    pub id: &'static str,
    pub title: &'static str,
    /// What the tools ask for that know one URL only: the same response as in the simulation.
    pub path: &'static str,
    pub users: u32,
    pub tools: &'static [&'static str],
}

pub static CASES: &[Case] = &[
    Case {
        id: "trivial",
        title: "one GET, 64 keep-alive connections, 128 B",
        path: "/",
        users: 64,
        tools: &[
            "wrk",
            "onrush",
            "ab",
            "h2load",
            "oha",
            "hey",
            "k6",
            "locust",
            "gatling",
            "gatling-start-up",
            "gatling-js",
        ],
    },
    Case {
        id: "scenario",
        title: "feeder, expression language in path, header and body, 6 headers, status and \
                jsonPath check with saveAs, 1 KiB JSON",
        path: "/items/1",
        users: 64,
        tools: &["wrk", "onrush", "k6", "locust", "gatling", "gatling-start-up", "gatling-js"],
    },
    Case {
        id: "script",
        title: "the scenario and one function of the script per request",
        path: "/items/1",
        users: 64,
        tools: &["wrk", "onrush", "k6", "gatling", "gatling-start-up", "gatling-js"],
    },
    Case {
        id: "large",
        title: "one GET, 64 keep-alive connections, 100 KiB",
        path: "/large",
        users: 64,
        tools: &["wrk", "onrush", "oha"],
    },
    Case {
        id: "thousand",
        title: "one GET, 1,000 keep-alive connections, 128 B",
        path: "/",
        users: 1_000,
        tools: &["wrk", "onrush", "oha", "h2load"],
    },
    Case {
        id: "http2",
        title: "one GET over HTTP/2 and TLS, 64 connections with one stream each, 128 B",
        path: "/",
        users: 64,
        tools: &["h2load", "onrush", "oha"],
    },
    Case {
        id: "fresh",
        title: "a new connection and user per request, 64 at a time",
        path: "/",
        users: 64,
        tools: &["ab-rotating", "onrush", "onrush-rotating"],
    },
];

impl Case {
    #[must_use]
    pub fn of(id: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.id == id)
    }

    /// What `onrush`'s and the peers' simulations call it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.id == "thousand" { "trivial" } else { self.id }
    }

    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.id != "fresh"
    }

    /// Over TLS and HTTP/2, at the second target.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.id == "http2"
    }

    /// Onrush as it is held against the peers: with as many addresses as they have, where it
    /// matters.
    #[must_use]
    pub fn own(&self) -> &'static str {
        if self.keeps_alive() { "onrush" } else { "onrush-rotating" }
    }

    /// What the ratios are to.
    #[must_use]
    pub fn base(&self) -> &'static str {
        self.tools[0]
    }
}
