// Clients of an API: each makes items, reads, changes, lists and deletes them, by a token that is
// good for a few calls only.
//
//   onrush run crud.gatling.ts target=http://127.0.0.1:7480 rate=5 duration=2

import {
  type ChainBuilder, type Session, StringBody, arrayFeeder, atOnceUsers, constantUsersPerSec,
  details, during, exec, feed, getParameter, global, group, jmesPath, jsonPath, pause, repeat,
  scenario, simulation,
} from "@gatling.io/core";
import { header } from "@gatling.io/http";
import { authorized, login } from "./lib/oauth.ts";
import { del, duration, get, ms, post, protocol, put, rate } from "./lib/settings.js";

interface Item {
  name: string;
  size: number;
  tags: [string, string];
}

const ROUNDS = Number(getParameter("rounds", "2"));

const shapes: Omit<Item, "name">[] = [
  { size: 1, tags: ["small", "round"] },
  { size: 20, tags: ["large", "square"] },
  { size: 300, tags: ["huge", "none"] },
];
const items = arrayFeeder(shapes.map((shape) => ({ shape }))).circular();

const name = (session: Session): string =>
  `thing-${session.userId()}-${session.get<number>("round")}`;

// ---- one item's life ----------------------------------------------------------------------------

const create = authorized(
  post("Create", "/crud/items")
    .body(StringBody((session) => {
      const item: Item = { name: name(session), ...session.get<Omit<Item, "name">>("shape") };
      return JSON.stringify(item);
    }))
    .asJson()
    .check(
      header("Location").optional().saveAs("url"),
      jmesPath("id").optional().saveAs("id"),
      jsonPath("$.version").ofInt().optional().saveAs("version"),
    ),
  201,
);

const read = authorized(
  get("Read", "#{url}").check(
    jsonPath("$.name").optional().saveAs("found"),
    jsonPath("$.version").ofInt().optional().saveAs("version"),
  ),
  200,
);

const found = (expected: (session: Session) => string): ChainBuilder =>
  exec((session) => {
    if (session.get<string>("found") === expected(session)) return session.remove("found");
    throw new Error(`found ${session.get("found")}, not ${expected(session)}`);
  });

const renamed = (session: Session): string => `${name(session)} (#${session.get("version")})`;

const rename = authorized(
  put("Rename", "#{url}")
    .body(StringBody((session) =>
      JSON.stringify({ name: session.get("name"), version: session.get("version") })))
    .asJson(),
  200,
);

const list = authorized(
  get("List", "/crud/items").queryParam("prefix", (session: Session) => name(session)).check(
    jsonPath("$.count").ofInt().optional().saveAs("count"),
    jsonPath("$.items[*].id").findAll().optional().saveAs("ids"),
  ),
  200,
);

const remove = authorized(del("Delete", "#{url}"), 204);
const gone = authorized(get("Gone", "#{url}"), 404);

const life: ChainBuilder = group("Life").on(
  feed(items),
  create,
  read,
  found(name),
  exec((session) => session.set("name", renamed(session))),
  rename,
  read,
  found((session) => session.get<string>("name")),
  list,
  exec((session) => {
    const ids = session.get<string[]>("ids");
    const alone = session.get<number>("count") === 1 && ids[0] === session.get<string>("id");
    return alone ? session : session.markAsFailed();
  }),
  pause(ms(5), ms(25)),
  remove,
  gone,
);

// ---- clients ------------------------------------------------------------------------------------

const clients = scenario("Clients").exec(login, repeat(ROUNDS, "round").on(life));

const auditors = scenario("Auditors").exec(
  login,
  exec((session) => session.set("round", 0)),
  during(ms(300), "pass").on(list, pause(ms(60))),
);

export default simulation((setUp) => {
  setUp(
    clients
      .injectOpen(constantUsersPerSec(rate).during(duration))
      .andThen(auditors.injectOpen(atOnceUsers(3))),
  )
    .protocols(protocol)
    .assertions(
      global().failedRequests().count().is(0),
      details("Life", "Refresh").allRequests().count().gte(rate * duration),
      details("Life", "Gone").successfulRequests().percent().is(100),
      details("Life").responseTime().max().lt(60_000),
    );
});
