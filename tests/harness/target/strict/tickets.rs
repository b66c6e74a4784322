//! A ticket shop: seats are held, sometimes only when asked again, then paid for, and the order is
//! polled until it is paid.

use std::collections::HashMap;

use serde_json::json;

use super::super::shop;
use super::{Call, Checked, expect, field, nowhere, number};

const CATEGORIES: [&str; 3] = ["concert", "theatre", "sport"];
const PRICE: u64 = 25;
/// An order is paid when it has been asked for so often.
const POLLS: u64 = 3;

#[derive(Debug, Default)]
pub(super) struct Tickets {
    issued: u64,
    /// Buyer → attempts so far.
    attempts: HashMap<String, u64>,
    /// Hold → seats.
    holds: HashMap<String, u64>,
    /// Order → how often it was asked for.
    orders: HashMap<String, u64>,
}

impl Tickets {
    pub(super) fn answer(&mut self, call: &Call, path: &[&str]) -> Checked {
        match (call.method.as_str(), path) {
            ("GET", ["events"]) => events(call),
            ("GET", ["events", id]) => event(id),
            ("POST", ["events", id, "holds"]) => self.hold(call, id),
            ("DELETE", ["holds", hold]) => self.release(hold),
            ("POST", ["orders"]) => self.order(call),
            ("GET", ["orders", order]) => self.status(order),
            _ => nowhere(call),
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }

    /// The first attempt of every buyer whose name ends in an odd digit finds the seats busy.
    fn hold(&mut self, call: &Call, event: &str) -> Checked {
        call.expect_header("x-revision", &revision(event))?;
        let body = call.json()?;
        let buyer = field(&body, "buyer")?.to_owned();
        let seats = body["seats"].as_array().ok_or("seats is no list")?.len() as u64;
        expect((1..=4).contains(&seats), || format!("{seats} seats"))?;
        let attempts = self.attempts.entry(buyer.clone()).or_default();
        call.expect_header("x-attempt", &attempts.to_string())?;
        *attempts += 1;
        let odd = buyer.ends_with(['1', '3', '5', '7', '9']);
        if odd && *attempts == 1 {
            return Ok(shop::error(409, "busy, try again"));
        }
        let hold = self.next("hold");
        self.holds.insert(hold.clone(), seats);
        Ok(shop::json(201, &json!({"hold": hold, "price": PRICE * seats, "seats": body["seats"]})))
    }

    fn release(&mut self, hold: &str) -> Checked {
        expect(self.holds.remove(hold).is_some(), || format!("{hold} is not held"))?;
        Ok(shop::json(200, &json!({"released": hold})))
    }

    fn order(&mut self, call: &Call) -> Checked {
        let body = call.json()?;
        let hold = field(&body, "hold")?;
        let seats = self.holds.remove(hold).ok_or_else(|| format!("{hold} is not held"))?;
        let payment = &body["payment"];
        let (method, amount) = (field(payment, "method")?, number(payment, "amount")?);
        expect(["card", "invoice", "voucher"].contains(&method), || format!("method {method}"))?;
        expect(amount == PRICE * seats, || format!("{amount} for {seats} seats"))?;
        let order = self.next("order");
        self.orders.insert(order.clone(), 0);
        Ok(shop::json(201, &json!({"order": {"id": order, "state": "open"}})))
    }

    fn status(&mut self, order: &str) -> Checked {
        let polls = self.orders.get_mut(order).ok_or_else(|| format!("{order} is no order"))?;
        *polls += 1;
        expect(*polls <= POLLS, || format!("{order} was paid already"))?;
        let state = if *polls < POLLS { "open" } else { "paid" };
        Ok(shop::json(200, &json!({"order": {"id": order, "state": state, "polls": polls}})))
    }
}

fn revision(event: &str) -> String {
    format!("r{}", event.len() * 7)
}

fn events(call: &Call) -> Checked {
    let category = call.query("category");
    expect(CATEGORIES.contains(&category.as_str()), || format!("{category:?} is no category"))?;
    let events = (1..=4).map(|n| json!({"id": format!("{category}-{n}"), "sold_out": n == 2}));
    Ok(shop::json(200, &json!({"category": category, "events": events.collect::<Vec<_>>()})))
}

fn event(id: &str) -> Checked {
    let known = id.split_once('-').is_some_and(|(category, _)| CATEGORIES.contains(&category));
    expect(known && !id.ends_with("-2"), || format!("{id} is no event with free seats"))?;
    let rows: Vec<_> =
        ["A", "B"].iter().map(|row| json!({"row": row, "free": [1, 2, 3]})).collect();
    Ok(shop::json(200, &json!({"id": id, "revision": revision(id), "rows": rows})))
}
