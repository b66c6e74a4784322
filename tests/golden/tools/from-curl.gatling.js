import { StringBody, atOnceUsers, scenario, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";

const httpProtocol = http
  .baseUrl("http://127.0.0.1:7480")
  .acceptHeader("application/json")
  .acceptEncodingHeader("gzip, deflate, br");

const scn = scenario("Converted from curl").exec(
  http("GET /products").get("/products?page=2")
    .header("X-Request-Name", "list")
    .disableFollowRedirect(),
  http("POST /login").post("/login")
    .header("Content-Type", "application/json")
    .body(StringBody(`{"username": "ada", "password": "x"}`)),
  http("GET /redirect/2").get("/redirect/2"),
  http("POST /echo").post("/echo")
    .header("Content-Type", "application/x-www-form-urlencoded")
    .basicAuth("ada", "lovelace")
    .body(StringBody("name=it's \\#{here}")),
);

export default simulation((setUp) => {
  setUp(scn.injectOpen(atOnceUsers(1))).protocols(httpProtocol);
});
