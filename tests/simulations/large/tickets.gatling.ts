// The day on which tickets go on sale: many come at once, seats are busy and are asked for again,
// some change their mind, the others pay and wait until the order is paid.
//
//   onrush run tickets.gatling.ts target=http://127.0.0.1:7480 rate=5 duration=2

import {
  type ChainBuilder, type PopulationBuilder, type Session, StringBody, asLongAs, atOnceUsers,
  details, doIf, doSwitchOrElse, exec, exitHereIfFailed, feed, foreach, forAll, global, group,
  jmesPath, jsonFile, jsonPath, nothingFor, onCase, pace, pause, rampUsers, scenario, simulation,
  tryMax,
} from "@gatling.io/core";
import { status } from "@gatling.io/http";
import { del, duration, get, ms, post, protocol, rate } from "./lib/settings.js";
import { Basket, Patience, freshBuyer, pay } from "./lib/tickets.ts";

const wishes = jsonFile("wishes.json").circular();

// ---- looking ------------------------------------------------------------------------------------

const look: ChainBuilder = group("Look").on(
  feed(wishes),
  exec(freshBuyer),
  get("Events", "/tickets/events").queryParam("category", "#{category}").check(
    status().is(200),
    jsonPath("$.category").isEL("#{category}"),
    jmesPath("events[?sold_out].id").ofList().saveAs("soldOut"),
    jsonPath("$.events[?(@.sold_out == false)].id").findAll().saveAs("open"),
  ),
  exec((session) => {
    const [open, soldOut] = [session.get<string[]>("open"), session.get<string[]>("soldOut")];
    const both = open.filter((id) => soldOut.includes(id));
    if (open.length !== 3 || both.length > 0) return session.markAsFailed();
    return session.set("event", open[Math.floor(Math.random() * open.length)]);
  }),
  exitHereIfFailed(),
  foreach(["A", "B"], "row", "nthRow").on(
    get("Event", "/tickets/events/#{event}").check(
      jsonPath("$.id").isEL("#{event}"),
      jsonPath("$.revision").saveAs("revision"),
      jsonPath("$.rows[?(@.row == '#{row}')].free[*]").ofInt().findAll().saveAs("free"),
    ),
    pause(ms(5), ms(20)),
  ),
);

// ---- buying -------------------------------------------------------------------------------------

const wanted = (session: Session): string =>
  JSON.stringify({
    buyer: session.get<string>("buyer"),
    seats: Basket.of(session).take(session.get<number>("seats")),
  });

const hold: ChainBuilder = group("Hold").on(
  tryMax(Patience.Attempts, "attempt").on(
    post("Hold", "/tickets/events/#{event}/holds")
      .headers({ "X-Revision": "#{revision}", "X-Attempt": "#{attempt}" })
      .body(StringBody(wanted))
      .asJson()
      .check(
        status().is(201),
        jsonPath("$.hold").saveAs("hold"),
        jsonPath("$.price").ofInt().saveAs("price"),
        jsonPath("$.seats[*]").count().is((session) => session.get<number>("seats")),
      ),
  ),
  exitHereIfFailed(),
);

const checkout: ChainBuilder = doSwitchOrElse("#{method}").on(
  onCase("card").then(pay("card")),
  onCase("invoice").then(pay("invoice", 20)),
).orElse(pay("voucher", 1));

const isOpen = (session: Session): boolean => session.get<string>("state") !== "paid";

const waitUntilPaid: ChainBuilder = group("Wait").on(
  asLongAs(isOpen, "polls").on(
    pace(ms(Patience.PollMillis)),
    get("Order", "/tickets/orders/#{order}").check(
      jmesPath("order.state").saveAs("state"),
      jmesPath("order.id").isEL("#{order}"),
      jmesPath("order.polls").ofInt().is((session) => session.get<number>("polls") + 1),
    ),
    doIf((session) => session.isFailed()).then(
      exec((session) => session.set("state", "paid")),
    ),
  ),
);

const changeMind: ChainBuilder = exec(
  del("Release", "/tickets/holds/#{hold}").check(
    status().is(200),
    jsonPath("$.released").isEL("#{hold}"),
  ),
);

// ---- people -------------------------------------------------------------------------------------

const buy: ChainBuilder = exec(look, hold, checkout, waitUntilPaid);

interface Crowd {
  name: string;
  chain: ChainBuilder;
  inject: (crowd: ReturnType<typeof scenario>) => PopulationBuilder;
}

const crowds: Crowd[] = [
  {
    name: "Fans",
    chain: buy,
    inject: (crowd) => crowd.injectOpen(atOnceUsers(rate), nothingFor(ms(500)), atOnceUsers(rate)),
  },
  {
    name: "Undecided",
    chain: exec(look, hold).uniformRandomSwitch().on(changeMind, exec(checkout, waitUntilPaid)),
    inject: (crowd) => crowd.injectOpen(rampUsers(rate * duration).during(duration)),
  },
];

export default simulation((setUp) => {
  const populations = crowds.map(({ name, chain, inject }) => inject(scenario(name).exec(chain)));
  setUp(...populations)
    .protocols(protocol)
    .maxDuration({ amount: 5, unit: "minutes" })
    .assertions(
      forAll().responseTime().max().lt(10_000),
      global().successfulRequests().percent().gte(60),
      details("Hold").failedRequests().count().is(0),
      details("Wait", "Order").failedRequests().count().is(0),
    );
});
