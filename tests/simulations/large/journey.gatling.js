// Three kinds of people in a shop: those who look, those who buy, and those who come back.
//
//   onrush run journey.gatling.js target=http://127.0.0.1:7480 rate=2 duration=4

import {
  ElFileBody, StringBody, bodyString, constantConcurrentUsers, constantUsersPerSec, css, csv, doIf,
  doIfOrElse, doSwitch, exec, exitBlockOnFail, exitHereIfFailed, feed, foreach, forAll, global,
  group, jmesPath, jsonFile, jsonPath, onCase, pause, percent, rampUsers, randomSwitch, regex,
  repeat, scenario, simulation, tryMax, uniformRandomSwitch,
} from "@gatling.io/core";
import { header, status } from "@gatling.io/http";
import categories from "./data/categories.json";
import { duration, get, ms, post, protocol, rate } from "./lib/settings.js";

const users = csv("users.csv").circular();
const products = jsonFile("products.json").random();

// ---- looking ------------------------------------------------------------------------------------

const home = get("Home", "/").check(
  status().is(200),
  header("Content-Type").is("text/html; charset=utf-8"),
  css("h1").is("Shop"),
  css("a.product", "href").findAll().saveAs("links"),
  regex('name="csrf" value="([^"]+)"').saveAs("csrf"),
);

const favourite = exec((session) => {
  const country = session.get("country");
  const product = categories.favourites[country] ?? categories.default;
  return session.set("product", product).set("seen", 0);
});

const pages = foreach(categories.pages, "page").on(
  get("Page", "/products").queryParam("page", "#{page}").check(
    jmesPath("page").ofInt().is((session) => session.get("page")),
    jsonPath("$.items[*].id").ofInt().findAll().saveAs("ids"),
    jsonPath("$.items[*]").count().is(20),
  ),
  exec((session) => session.set("seen", session.get("seen") + session.get("ids").length)),
  pause(ms(20), ms(60)),
);

const look = group("Look").on(
  home,
  pause(ms(50)),
  favourite,
  pages,
  doIf((session) => session.get("seen") !== 60).then(get("Too few", "/status/500")),
  get("Product", "/products/#{product}").check(
    jsonPath("$.name").isEL("Product #{product}"),
    jsonPath("$.price").ofDouble().saveAs("price"),
  ),
);

// ---- buying -------------------------------------------------------------------------------------

const login = tryMax(2, "attempt").on(
  // The first attempt has a wrong password.
  exec((session) => session.set("secret", session.get("attempt") === 0 ? "wrong" : "right")),
  post("Login", "/login")
    .body(StringBody('{"username": "#{user}", "password": "#{secret}"}')).asJson()
    .check(status().is(200), jsonPath("$.user").isEL("#{user}"), jsonPath("$.token").saveAs("token")),
);

const fill = repeat(2, "item").on(
  feed(products),
  post("Add", "/cart").header("Authorization", "Bearer #{token}").body(ElFileBody("cart.json"))
    .asJson()
    .check(
      status().is(201),
      jsonPath("$.items[0].product").ofInt().is((session) => session.get("product")),
      jsonPath("$.items[0].quantity").ofInt().is((session) => session.get("quantity")),
    ),
);

const pay = doSwitch("#{country}").on(
  onCase("uk").then(get("Pay in pounds", "/delay/5")),
  onCase("us").then(get("Pay in dollars", "/delay/10")),
  onCase("nl").then(get("Pay in euros", "/delay/15")),
);

const buy = group("Buy").on(
  login,
  exitHereIfFailed(),
  fill,
  doIfOrElse("#{token.exists()}").then(pay).orElse(get("No token", "/status/500")),
  get("Cart", "/cart").check(jsonPath("$.user").isEL("#{user}")),
);

// ---- coming back --------------------------------------------------------------------------------

const echo = get("Echo", "/echo").queryParam("user", "#{user}").queryParam("n", "#{turn}").check(
  jsonPath("$.query").isEL("user=#{user}&n=#{turn}"),
  bodyString().saveAs("whole"),
);

const comeBack = repeat(3, "turn").on(
  exitBlockOnFail().on(
    uniformRandomSwitch().on(echo, get("Squeezed", "/gzip").check(jsonPath("$.total").is("1000"))),
    pause(ms(150)),
  ),
);

const lookers = scenario("Lookers").exec(
  feed(users), look, randomSwitch().on(percent(50).then(get("Another", "/products/2"))),
);
const buyers = scenario("Buyers").exec(feed(users), home, pause(ms(100)), buy);
const regulars = scenario("Regulars").exec(feed(users), comeBack);

export default simulation((setUp) => {
  setUp(
    lookers.injectOpen(constantUsersPerSec(rate).during(duration)),
    buyers.injectOpen(rampUsers(rate * duration).during(duration)),
    regulars.injectClosed(constantConcurrentUsers(3).during(duration)),
  )
    .protocols(protocol)
    .assertions(
      global().responseTime().percentile(99).lt(5000),
      forAll().responseTime().max().lt(10000),
      global().successfulRequests().percent().gt(90),
    );
});
