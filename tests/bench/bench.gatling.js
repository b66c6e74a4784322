// The benchmark's simulations, one per case; the peers' files beside it do the same.
import {
  atOnceUsers, constantConcurrentUsers, constantUsersPerSec, csv, exec, feed, getParameter, jsonPath,
  pause, scenario, simulation, StringBody
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const kind = getParameter("case");
const users = Number(getParameter("users", "64"));
const seconds = Number(getParameter("seconds", "5"));
const names = Number(getParameter("names", "1"));
const count = Number(getParameter("count", "0"));

const get = (path) => http("get").get(path);

const order = http("order")
  .post("/items/#{id}?token=#{token}")
  .header("accept", "application/json")
  .header("accept-encoding", "identity")
  .header("content-type", "application/json")
  .header("user-agent", "bench/1")
  .header("x-token", "#{token}")
  .header("x-trace", "trace-#{id}")
  .body(StringBody('{"item": #{id}, "token": "#{token}", "quantity": 1}'))
  .requestTimeout(10)
  .check(status().is(200), jsonPath("$.id").saveAs("order"));

const visitors = () => csv("visitors.csv").circular();
const counted = (session) => session.set("x", (session.get("x") || 0) + 1);

// A fixed number of requests a user, for what is counted instead of timed; else for a time.
const repeated = (steps) => {
  const looping = scenario(kind);
  return count > 0 ? looping.repeat(count).on(steps) : looping.during(seconds).on(steps);
};
const closed = (steps) => repeated(steps).injectOpen(atOnceUsers(users));

const cases = {
  trivial: () => closed(exec(get("/"))),
  names: () => closed(exec(...Array.from({ length: names }, (_, i) => http(`get ${i}`).get("/")))),
  http2: () => closed(exec(get("/"))),
  large: () => closed(exec(get("/large"))),
  scenario: () => closed(feed(visitors()).exec(order)),
  script: () => closed(feed(visitors()).exec(counted).exec(order)),
  fresh: () => scenario(kind).exec(get("/"))
    .injectClosed(constantConcurrentUsers(users).during(seconds)),
  rotating: () => cases.fresh(),
  idle: () => scenario(kind).exec(pause(seconds)).injectOpen(atOnceUsers(users)),
  connected: () => scenario(kind).exec(get("/")).pause(seconds).injectOpen(atOnceUsers(users)),
  open: () => scenario(kind).exec(get("/stamp")).injectOpen(constantUsersPerSec(users).during(seconds)),
};

export default simulation((setUp) => {
  const plain = http.baseUrl(getParameter("target"));
  const sources = Array.from({ length: 64 }, (_, i) => `127.0.1.${i + 1}`);
  const own = { http2: plain.enableHttp2(), open: plain.shareConnections(), rotating: plain.localAddresses(...sources) };
  const protocol = own[kind] ?? plain;
  setUp(cases[kind]()).protocols(protocol);
});
