// The vocabulary of the ticket shop: what people want, and how they pay.

import { type ChainBuilder, type Session, StringBody, exec, jsonPath, pause } from "@gatling.io/core";
import { status } from "@gatling.io/http";
import { ms, post } from "./settings.js";

export type Method = "card" | "invoice" | "voucher";

export interface Payment {
  method: Method;
  amount: number;
}

export enum Patience {
  Attempts = 3,
  PollMillis = 25,
}

export class Basket {
  private constructor(private readonly free: readonly number[]) {}

  static of(session: Session): Basket {
    return new Basket([...session.get<number[]>("free")]);
  }

  /** As many seats as are wanted, of those that are free. */
  take(count: number): number[] {
    return this.free.slice(0, count);
  }
}

export const freshBuyer = (session: Session): Session => {
  const random = Math.random().toString(36).slice(2);
  return session.set("buyer", `buyer-${random}-${session.userId() % 10}`);
};

const body = (method: Method) =>
  StringBody((session) => {
    const payment: Payment = { method, amount: session.get<number>("price") };
    return JSON.stringify({ hold: session.get("hold"), payment });
  });

export const pay = (method: Method, thinkMillis = 10): ChainBuilder =>
  exec(
    pause(ms(thinkMillis)),
    post(`Pay by ${method}`, "/tickets/orders").body(body(method)).asJson().check(
      status().is(201),
      jsonPath("$.order.state").is("open"),
      jsonPath("$.order.id").saveAs("order"),
    ),
  );
