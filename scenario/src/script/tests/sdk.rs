//! The graph that each part of the SDK writes.

use super::*;

#[test]
fn steps_of_every_kind() {
    for (body, expected) in [
        ("pause(1)", r#"[{"step":"pause","duration":{"lit":1}}]"#),
        (
            "pause({amount: 500, unit: 'milliseconds'}, 2, 'Exponential')",
            r#"[{"step":"pause","duration":{"lit":0.5},"max":{"lit":2},"kind":{"type":"exponential"}}]"#,
        ),
        ("pause('#{d}')", r##"[{"step":"pause","duration":{"el":"#{d}"}}]"##),
        (
            "core.pace('#{a}', '#{b}')",
            r##"[{"step":"pace","duration":{"el":"#{a}"},"counter":"#{b}"}]"##,
        ),
        (
            "core.repeat(3, 'n').on(pause(1))",
            r#"[{"step":"repeat","times":{"lit":3},"counter":"n","body":[{"step":"pause","duration":{"lit":1}}]}]"#,
        ),
        (
            "core.during(10, 'n', false).on(pause(1))",
            r#"[{"step":"loop","name":"during","duration":{"lit":10},"counter":"n","exit_asap":false,"check_first":true,"body":[{"step":"pause","duration":{"lit":1}}]}]"#,
        ),
        (
            "core.doWhileDuring('#{go}', 5).on(core.exitHere())",
            r##"[{"step":"loop","name":"doWhileDuring","condition":{"el":"#{go}"},"duration":{"lit":5},"exit_asap":false,"check_first":false,"body":[{"step":"exit_here"}]}]"##,
        ),
        (
            "core.doIfEqualsOrElse('#{a}', 1).then(core.exitHere()).orElse(core.exitHereIfFailed())",
            r##"[{"step":"do_if_equals","actual":{"el":"#{a}"},"expected":{"lit":1},"then":[{"step":"exit_here"}],"or_else":[{"step":"exit_here_if_failed"}]}]"##,
        ),
        (
            "core.randomSwitchOrElse().on(core.percent(60).then(core.exitHere())).orElse(core.rendezVous(2))",
            r#"[{"step":"random_switch","cases":[{"percent":60.0,"then":[{"step":"exit_here"}]}],"or_else":[{"step":"rendez_vous","users":2}]}]"#,
        ),
        (
            "core.exitBlockOnFail().on(exec(s => s))",
            r#"[{"step":"try_max","times":{"lit":1},"body":[{"step":"hook","function":0}]}]"#,
        ),
        (
            "core.dummy('d', 5).withSuccess(false)",
            r#"[{"step":"dummy","name":{"lit":"d"},"response_time_ms":{"lit":5},"success":{"lit":false}}]"#,
        ),
        (
            "core.stopLoadGeneratorIf('m', '#{x}')",
            r##"[{"step":"stop_load_generator","message":{"lit":"m"},"condition":{"el":"#{x}"}}]"##,
        ),
    ] {
        let chain = format!("const chain = exec({body});");
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(steps(&chain), expected, "{body}");
    }
}

#[test]
fn chained_methods_are_the_functions() {
    let chained = steps("const chain = exec(core.exitHere()).pause(1).repeat(2).on(pause(3));");
    let nested =
        steps("const chain = exec(core.exitHere(), pause(1), core.repeat(2).on(pause(3)));");
    assert_eq!(chained, nested);
}

#[test]
fn builders_are_immutable() {
    let found = steps(
        "const base = http('a').get('/'); base.check(status().is(200)); base.header('X', 'y');
         const chain = exec(base);",
    );
    assert_eq!(found[0]["spec"].get("checks"), None);
    assert_eq!(found[0]["spec"].get("headers"), None);
}

#[test]
fn a_request_with_everything() {
    let found = steps(
        "const chain = exec(http('#{n}').post(s => '/x').queryParam('q', 1)
           .multivaluedQueryParam('m', ['a', 2]).queryParamMap({k: '#{v}'}).header('A', 'b')
           .asJson().formParam('f', '#{v}').formUpload('up', 'a.txt').silent().requestTimeout(2)
           .basicAuth('u', 'p').disableFollowRedirect().ignoreProtocolChecks()
           .check(core.regex('a(.)').captureGroups(2).findAll().transform(x => x).saveAs('r'),
                  core.css('a', 'href').count().gt(2), core.jmesPath('x').ofInt().isEL('#{i}'))
           .checkIf('#{c}').then(core.substring('z').notExists().name('zed'))
           .resources(http('r').get('/r')));",
    );
    let request: crate::protocol::http::spec::RequestSpec =
        serde_json::from_value(found[0]["spec"].clone()).unwrap();
    assert_eq!((request.query.len(), request.checks.len(), request.parts.len()), (3, 4, 1));
    assert_eq!(request.default_type.as_deref(), Some("application/json"));
    let checks = &found[0]["spec"]["checks"];
    assert_eq!(checks[0]["extractor"]["groups"], serde_json::json!({"count": 2}));
    assert_eq!(checks[0]["arity"], "find_all");
    assert_eq!(checks[0]["transforms"], serde_json::json!([{"function": 1}]));
    assert_eq!(checks[2]["validator"], serde_json::json!({"is": {"el": "#{i}"}}));
    assert_eq!(checks[3]["condition"], serde_json::json!({"el": "#{c}"}));
    assert_eq!(checks[3]["name"], "zed");
}

#[test]
fn profiles_throttles_and_assertions() {
    let source = "
import { scenario, simulation, exitHere, rampUsersPerSec, incrementUsersPerSec, nothingFor, global,
  details, forAll, reachRps, holdFor, jumpToRps, rampConcurrentUsers, stressPeakUsers } from '@gatling.io/core';
import { http } from '@gatling.io/http';
export default simulation(setUp => setUp(
  scenario('a').exec(exitHere()).injectOpen(nothingFor(1), rampUsersPerSec(1).to(2.5).during(3).randomized(),
    incrementUsersPerSec(1).times(2).eachLevelLasting(3).startingFrom(4).separatedByRampsLasting(5),
    stressPeakUsers(9).during({amount: 1, unit: 'minutes'}))
   .andThen(scenario('b').exec(exitHere()).injectClosed(rampConcurrentUsers(1).to(2).during(3))))
  .protocols(http.baseUrls('http://a', 'http://b').shareConnections()).maxDuration(60)
  .throttle(reachRps(10).in(2), holdFor(3), jumpToRps(4)).uniformPauses(2)
  .assertions(global().responseTime().percentile4().lt(5), forAll().failedRequests().count().in(0, 1),
    details('g', 'r').requestsPerSec().deviatesAround(9, 0.25), global().responseTime().mean().around(5, 1, false)));";
    let loaded = try_load(&[("x/p.gatling.js", source)], &LoadOptions::default());
    let found = serde_json::to_value(loaded.unwrap().simulation).unwrap();
    assert_eq!(found["name"], "p");
    let open = &found["populations"][0]["inject"]["open"];
    assert_eq!(open[1]["randomized"], true);
    assert_eq!(open[2]["ramp_us"], 5_000_000);
    assert_eq!(open[3]["duration_us"], 60_000_000);
    assert_eq!(found["populations"][0]["children"][0]["scenario"]["name"], "b");
    assert_eq!(found["pauses"]["plus_or_minus_us"], 2_000_000);
    assert_eq!(
        found["throttle"][0],
        serde_json::json!({"throttle":"reach","rps":10,"duration_us":2_000_000})
    );
    let between = serde_json::json!({"between": {"min": 7.0, "max": 11.0, "inclusive": true}});
    assert_eq!(found["assertions"][2]["condition"], between);
    assert_eq!(found["assertions"][0]["target"]["percentile_response_time"], 99.0);
}

#[test]
fn one_feeder_object_is_one_feeder() {
    let source = around(
        "const shared = core.csv('u.csv').circular();
         const chain = exec(core.feed(shared), core.feed(shared, 2), core.feed(core.csv('u.csv')),
           core.feed(core.arrayFeeder([{a: 1}]).random()));",
    );
    let files = [("sim.js", source.as_str()), ("resources/u.csv", "a\n1\n")];
    let simulation = try_load(&files, &LoadOptions::default()).unwrap().simulation;
    assert_eq!(simulation.feeders.len(), 3);
    let found = serde_json::to_value(&simulation).unwrap();
    let indices: Vec<_> = found["populations"][0]["scenario"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["feeder"].as_u64().unwrap())
        .collect();
    assert_eq!(indices, [0, 0, 1, 2]);
}

#[test]
fn every_graph_reads_back() {
    let first = graph("const chain = exec(http('a').get('/').check(status().is(200)), s => s);");
    let text = first.to_string();
    let again: ir::Simulation = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), first);
}

#[test]
fn an_exported_graph_loads_and_one_with_functions_does_not() {
    let plain = graph("const chain = exec(pause(1));").to_string();
    assert!(try_load(&[("g.json", &plain)], &LoadOptions::default()).is_ok());
    let hooked = graph("const chain = exec(s => s);").to_string();
    let problem = problem_of(&[("g.json", &hooked)]);
    assert_eq!(problem.kind, ProblemKind::FileInvalid);
    assert!(problem.message.contains("refers to 1 script functions"), "{}", problem.message);
}

/// What the typings of `@gatling.io/core` and `/http` 3.15.108 export for simulations to use, and
/// the five names that core 3.16.0 adds.
const CORE_NAMES: &str = "AllowList ByteArrayBody DenyList ElFileBody GlobalStore PebbleFileBody \
    PebbleStringBody RawFileBody StringBody arrayFeeder asByteArray asByteArrayFunction \
    asByteArrayMap asJava asLongAs asLongAsDuring atOnceUsers bodyBytes bodyLength bodyString \
    constantConcurrentUsers constantUsersPerSec counter crashLoadGenerator crashLoadGeneratorIf css \
    csv details doIf doIfEquals doIfEqualsOrElse doIfOrElse doSwitch doSwitchOrElse doWhile \
    doWhileDuring dummy during exec exitBlockOnFail exitHere exitHereIf exitHereIfFailed feed \
    forAll foreach forever form getEnvironmentVariable getOption getParameter global group holdFor \
    incrementConcurrentUsers incrementUsersPerSec isDuration isSessionTo jmesPath jsonFile jsonPath \
    jsonUrl jsonpJmesPath jsonpJsonPath jumpToRps md5 nothingFor onCase pace pause percent \
    rampConcurrentUsers rampUsers rampUsersPerSec randomSwitch randomSwitchOrElse reachRps \
    readResourceAsBytes readResourceAsString regex rendezVous repeat responseTimeInMillis \
    roundRobinSwitch scenario separatedValues setInSession sha1 sharedQueue simulation ssv \
    stopLoadGenerator stopLoadGeneratorIf stressPeakUsers substring tryMax tsv uniformRandomSwitch \
    xpath";
const HTTP_NAMES: &str = "ByteArrayBodyPart Cookie CookieKey ElFileBodyPart HttpResponseStatus \
    PebbleFileBodyPart PebbleStringBodyPart Proxy RawFileBodyPart StringBodyPart addCookie \
    currentLocation currentLocationRegex flushCookieJar flushHttpCache flushSessionCookies \
    getCookieValue header headerRegex http httpConcurrentRequests isWsInboundMessageBinary \
    isWsInboundMessageText poll sitemap sse status ws";

#[test]
fn every_name_of_the_packages_is_exported() {
    let list = |names: &str| names.split_whitespace().collect::<Vec<_>>().join(",");
    let source = around(&format!(
        "const missing = '{}'.split(',').filter(n => !(n in core)).concat(
           '{}'.split(',').filter(n => !(n in pkg)));
         if (missing.length > 0) throw new Error(missing.join(' '));
         const chain = exec(pause(1));",
        list(CORE_NAMES),
        list(HTTP_NAMES)
    ));
    try_load(&[("sim.js", &source)], &LoadOptions::default()).unwrap();
}
