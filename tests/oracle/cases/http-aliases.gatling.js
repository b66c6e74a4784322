// hostNameAliases: names that need no resolver.
import { simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol, target } from "./lib.js";

const port = target.split(":").at(-1);
export default simulation((setUp) => {
  setUp(one("alias", http("a").get(`http://my-alias.test:${port}/x`))).protocols(protocol.hostNameAliases({ "my-alias.test": ["127.0.0.1"] }));
});
