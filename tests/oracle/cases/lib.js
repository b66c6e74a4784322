// What the cases share.
import { StringBody, atOnceUsers, getParameter, scenario, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";

export const target = getParameter("target", "http://127.0.0.1:1");
export const other = getParameter("other", "http://127.0.0.1:1");
export const closed = getParameter("closed", "http://127.0.0.1:1");

/** The target tells users apart by this header. */
export const protocol = http.baseUrl(target).disableWarmUp().header("x-user", (session) => session.scenario());

export const ms = (amount) => ({ amount, unit: "milliseconds" });

/** Sends a text, in which attributes are resolved: the target's log shows what they were. */
export const say = (text, name = "say") => http(name).post("/say").body(StringBody(text));

/** One user. */
export const one = (name, ...steps) => scenario(name).exec(...steps).injectOpen(atOnceUsers(1));

/** A simulation of populations, with the protocol above. */
export const run = (...populations) =>
  simulation((setUp) => {
    setUp(...populations).protocols(protocol);
  });
