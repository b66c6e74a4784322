// The shop of shop.gatling.js in TypeScript: types, an enum and a helper module's worth of classes.
//
//   onrush run shop.gatling.ts target=http://127.0.0.1:7480 rate=20 duration=30

import {
  type ChainBuilder, ElFileBody, type Session, StringBody, constantUsersPerSec, csv, doIf, exec,
  exitHereIfFailed, feed, getParameter, global, group, jsonPath, pause, percent, randomSwitch,
  scenario, simulation,
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

enum Share {
  Buyers = 40,
  Lost = 20,
}

interface Settings {
  target: string;
  rate: number;
  duration: number;
}

function settings(): Settings {
  return {
    target: getParameter("target", "http://127.0.0.1:7480"),
    rate: Number(getParameter("rate", "10")),
    duration: Number(getParameter("duration", "10")),
  };
}

class Shop {
  constructor(private readonly prefix: string) {}

  browse(): ChainBuilder {
    return group("Browse").on(
      http("Home").get("/").check(status().is(200)),
      pause({ amount: 200, unit: "milliseconds" }),
      http("Products")
        .get(`${this.prefix}/products`)
        .queryParam("country", "#{country}")
        .check(status().is(200), jsonPath("$.items[3].id").ofInt().saveAs("productId")),
    );
  }

  login(): ChainBuilder {
    return exec(
      http("Login")
        .post(`${this.prefix}/login`)
        .body(StringBody('{"username": "#{user}", "password": "#{password}"}'))
        .asJson()
        .check(status().is(200), jsonPath("$.token").saveAs("token")),
      exitHereIfFailed(),
    );
  }

  order(): ChainBuilder {
    return exec(
      http("Order")
        .post(`${this.prefix}/cart`)
        .header("Authorization", "Bearer #{token}")
        .body(ElFileBody("order.json"))
        .asJson()
        .check(status().in(200, 201), jsonPath("$.items[0].product").saveAs("ordered")),
      doIf("#{ordered.exists()}").then(
        http("Cart")
          .get(`${this.prefix}/cart`)
          .header("Authorization", "Bearer #{token}"),
      ),
    );
  }
}

const decide = (session: Session): Session => {
  const country = session.get<string>("country");
  return session.set("quantity", country === "us" ? 3 : 1);
};

const { target, rate, duration } = settings();
const shop = new Shop("");

const customer = scenario("Customer").exec(
  feed(csv("users.csv").circular()),
  shop.browse(),
  pause({ amount: 300, unit: "milliseconds" }),
  randomSwitch().on(
    percent(Share.Buyers).then(group("Buy").on(shop.login(), exec(decide), shop.order())),
    percent(Share.Lost).then(http("Next page").get("/products?page=2").check(status().is(200))),
  ),
);

export default simulation((setUp) => {
  setUp(customer.injectOpen(constantUsersPerSec(rate).during(duration)))
    .protocols(http.baseUrl(target).acceptHeader("application/json"))
    .assertions(global().failedRequests().percent().lt(1));
});
