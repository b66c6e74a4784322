// Who banks here, and what for.

import { csv } from "@gatling.io/core";
import plans from "../data/transfers.json";

export const customers = csv("users.csv").circular();

/** Mistypes the password at first. */
export const isForgetful = (session) => ["alan", "tim"].includes(session.get("user"));

export const transfersOf = (session) =>
  plans.byCountry[session.get("country")] ?? plans.otherwise;
