// A bank's customers: they log in by the form of the page, some mistype their password first, then
// they transfer money in two steps or read their statement, and log out.
//
//   onrush run bank.gatling.js target=http://127.0.0.1:7480 rate=5 duration=2

import {
  ElFileBody, StringBody, asLongAs, constantUsersPerSec, css, details, doIfEqualsOrElse, exec,
  exitHereIfFailed, feed, foreach, form, global, group, jmesPath, jsonPath, pause, percent,
  rampUsers, randomSwitchOrElse, scenario, simulation, tryMax,
} from "@gatling.io/core";
import { currentLocationRegex, status } from "@gatling.io/http";
import { customers, isForgetful, transfersOf } from "./lib/customers.js";
import { duration, get, ms, post, protocol, put, rate } from "./lib/settings.js";

const ajax = { "X-Requested-With": "XMLHttpRequest" };

// ---- coming and going ---------------------------------------------------------------------------

const signIn = group("Sign in").on(
  tryMax(2, "attempt").on(
    exec((session) => {
      const typed = isForgetful(session) && session.get("attempt") === 0;
      return session.set("secret", typed ? "typo" : session.get("password"));
    }),
    get("Login page", "/bank/login").check(
      status().is(200),
      css("form#login input[name=csrf]", "value").saveAs("csrf"),
      form("form#login").saveAs("login"),
    ),
    exec((session) => {
      if (session.get("login").csrf !== session.get("csrf")) throw new Error("another csrf");
      return session;
    }),
    pause(ms(10), ms(40)),
    post("Login", "/bank/login")
      .form((session) => {
        const { csrf, flow } = session.get("login");
        return { csrf, flow };
      })
      .formParam("username", "#{user}")
      .formParam("password", "#{secret}")
      .check(
        status().is(200),
        currentLocationRegex("/bank/(\\w+)$").is("overview"),
        css("h1").isEL("Hello, #{user}"),
        css("tr.account", "data-id").findAll().transform((ids) => ids.length).is(2),
        css("td.balance").find(0).transform((text) => Number(text)).saveAs("balance"),
      ),
  ),
  exitHereIfFailed(),
);

const signOut = post("Logout", "/bank/logout").headers(ajax).check(status().is(204));

// ---- money --------------------------------------------------------------------------------------

const accounts = get("Accounts", "/bank/api/accounts").headers(ajax).check(
  jmesPath("accounts[?kind == 'giro'].id | [0]").saveAs("giro"),
  jsonPath("$.accounts[?(@.kind == 'giro')].balance").ofInt()
    .is((session) => session.get("balance")),
  jsonPath("$.accounts[*].id").count().is(2),
);

const order = post("Transfer", "/bank/api/transfers")
  .header("Idempotency-Key", "#{randomUuid()}")
  .body(ElFileBody("transfer.json"))
  .asJson()
  .check(
    status().is(202),
    jsonPath("$.status").is("pending"),
    jsonPath("$.id").saveAs("transferId"),
    jsonPath("$.tan").saveAs("tan"),
  );

const confirm = put("Confirm", (s) => `/bank/api/transfers/${s.get("transferId")}/confirmation`)
  .body(StringBody((session) => JSON.stringify({ tan: session.get("tan") })))
  .asJson()
  .check(
    jsonPath("$.status").is("booked"),
    jsonPath("$.balance").ofInt().is((session) => session.get("left")),
  );

const transfers = group("Transfers").on(
  accounts,
  foreach(transfersOf, "transfer", "nth").on(
    exec((session) => {
      const { amount, reference } = session.get("transfer");
      // What stands inside a JSON text must be escaped as one.
      const escaped = JSON.stringify(reference).slice(1, -1);
      return session.setAll({ reference: escaped, left: session.get("balance") - amount });
    }),
    order,
    pause(ms(20)),
    confirm,
    exec((session) => session.set("balance", session.get("left")).remove("left")),
  ),
  accounts,
);

// ---- paper --------------------------------------------------------------------------------------

const hasMore = (session) => session.get("page") < (session.get("pages") ?? 1);

const statement = group("Statement").on(
  exec((session) => session.set("page", 0)),
  asLongAs(hasMore).on(
    exec((session) => session.set("page", session.get("page") + 1)),
    get("Statement", "/bank/api/statement").queryParam("page", "#{page}").check(
      jsonPath("$.entries[*]").count().is(5),
      jsonPath("$.entries[0].n").ofInt().is((session) => session.get("page") * 5),
      jsonPath("$.pages").ofInt().saveAs("pages"),
    ),
    pause(ms(5)),
  ),
  doIfEqualsOrElse("#{page}", 3)
    .then(exec((session) => session.removeAll("page", "pages")))
    .orElse(exec((session) => session.markAsFailed())),
);

// ---- people -------------------------------------------------------------------------------------

const visit = (...business) =>
  exec(feed(customers), signIn, ...business, signOut, exitHereIfFailed());

const payers = scenario("Payers").exec(visit(transfers));
const readers = scenario("Readers").exec(
  visit(
    randomSwitchOrElse().on(percent(70).then(statement)).orElse(statement, pause(ms(30)), accounts),
  ),
);

export default simulation((setUp) => {
  setUp(
    payers.injectOpen(constantUsersPerSec(rate).during(duration)),
    readers.injectOpen(rampUsers(rate * duration).during(duration)),
  )
    .protocols(protocol)
    .assertions(
      global().responseTime().max().lt(10_000),
      global().successfulRequests().percent().gt(70),
      details("Transfers", "Confirm").failedRequests().count().is(0),
      details("Statement", "Statement").failedRequests().count().is(0),
      details("Sign in", "Login page").successfulRequests().percent().is(100),
    );
});
