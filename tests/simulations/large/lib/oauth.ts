// Tokens: fetched once, and fetched anew when a call finds that they have expired.

import {
  type ChainBuilder, type Session, exec, exitHereIfFailed, jsonPath,
} from "@gatling.io/core";
import { type HttpRequestActionBuilder, status } from "@gatling.io/http";
import { post } from "./settings.js";

const UNAUTHORIZED = 401;

const token = (name: string, grant: Record<string, string>): HttpRequestActionBuilder =>
  post(name, "/crud/oauth/token")
    .basicAuth("client", "s3cret")
    .formParamMap(grant)
    .check(
      status().is(200),
      jsonPath("$.token_type").is("Bearer"),
      jsonPath("$.access_token").saveAs("access"),
      jsonPath("$.refresh_token").saveAs("refresh"),
    );

export const login: ChainBuilder = exec(
  token("Token", { grant_type: "client_credentials" }),
  exitHereIfFailed(),
);

const refresh = token("Refresh", { grant_type: "refresh_token", refresh_token: "#{refresh}" });

const expired = (session: Session): boolean => session.get<number>("code") === UNAUTHORIZED;

/** Sends the request, whose checks must hold for an expired token too: then it is sent again. */
export const authorized = (request: HttpRequestActionBuilder, expected: number): ChainBuilder => {
  const signed = request
    .header("Authorization", "Bearer #{access}")
    .check(status().in(expected, UNAUTHORIZED).saveAs("code"));
  return exec(signed).doIf(expired).then(refresh, signed);
};
