// What the cases share.
import { StringBody, atOnceUsers, getParameter, group, scenario, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";

export const target = getParameter("target", "http://127.0.0.1:1");
export const other = getParameter("other", "http://127.0.0.1:1");
export const closed = getParameter("closed", "http://127.0.0.1:1");

/** The same addresses for WebSockets. */
export const [sockets, closedSockets] = [target, closed].map((url) => url.replace("http", "ws"));

/** The target tells users apart by this header. */
export const protocol = http.baseUrl(target).disableWarmUp().header("x-user", (session) => session.scenario());

export const streams = protocol.wsBaseUrl(sockets);

export const ms = (amount) => ({ amount, unit: "milliseconds" });

/** Sends a text, in which attributes are resolved: the target's log shows what they were. */
export const say = (text, name = "say") => http(name).post("/say").body(StringBody(text));

/** One user. */
export const one = (name, ...steps) => scenario(name).exec(...steps).injectOpen(atOnceUsers(1));

/** One user whose requests are counted apart from those of others. */
export const own = (name, ...steps) => one(name, group(name).on(...steps));

/** A simulation of populations, with the protocol above. */
export const run = (...populations) => runWith(protocol, ...populations);

export const runWith = (protocol, ...populations) =>
  simulation((setUp) => {
    setUp(...populations).protocols(protocol);
  });
