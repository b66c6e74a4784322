//! A bank: login by form, then transfers in two steps, each confirmed by the number that the first
//! gave.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::super::shop;
use super::{
    Answer, Call, Checked, expect, field, html, is_password, nowhere, number, with_header,
};

const BALANCE: u64 = 100_000;
const PAGES: u64 = 3;

#[derive(Debug, Default)]
pub(super) struct Bank {
    issued: u64,
    /// Given with a login page and not used yet.
    csrf: HashSet<String>,
    sessions: HashMap<String, Account>,
    idempotency_keys: HashSet<String>,
}

#[derive(Debug)]
struct Account {
    user: String,
    balance: u64,
    /// Transfer, its confirmation number, its amount.
    pending: Option<(String, String, u64)>,
    page: u64,
}

impl Bank {
    pub(super) fn answer(&mut self, call: &Call, path: &[&str]) -> Checked {
        match (call.method.as_str(), path) {
            ("GET", ["login"]) => Ok(self.login_page()),
            ("POST", ["login"]) => self.login(call),
            ("GET", ["overview"]) => self.overview(call),
            ("GET", ["api", "accounts"]) => self.accounts(call),
            ("POST", ["api", "transfers"]) => self.transfer(call),
            ("PUT", ["api", "transfers", id, "confirmation"]) => self.confirm(call, id),
            ("GET", ["api", "statement"]) => self.statement(call),
            ("POST", ["logout"]) => self.logout(call),
            _ => nowhere(call),
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }

    fn login_page(&mut self) -> Answer {
        let csrf = self.next("csrf");
        self.csrf.insert(csrf.clone());
        html(
            200,
            format!(
                "<html><body><form id=\"search\" action=\"/bank/search\"><input name=\"q\"></form>\
                 <form id=\"login\" action=\"/bank/login\" method=\"post\">\
                 <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
                 <input type=\"hidden\" name=\"flow\" value=\"web &amp; app\">\
                 <input type=\"text\" name=\"username\" value=\"\"></form></body></html>"
            ),
        )
    }

    fn login(&mut self, call: &Call) -> Checked {
        let csrf = call.form("csrf")?;
        expect(self.csrf.remove(&csrf), || format!("{csrf:?} was not given, or is used"))?;
        let flow = call.form("flow")?;
        expect(flow == "web & app", || format!("the form's field flow is {flow:?}"))?;
        expect(call.referer() == "/bank/login", || format!("it comes from {:?}", call.referer()))?;
        expect(call.header("origin").starts_with("http://"), || "there is no origin".to_owned())?;
        let (user, password) = (call.form("username")?, call.form("password")?);
        if password == "typo" {
            return Ok(shop::error(401, "the password is wrong"));
        }
        expect(is_password(&user, &password), || format!("{user:?} has another password"))?;
        let session = self.next("session");
        let account = Account { user, balance: BALANCE, pending: None, page: 0 };
        self.sessions.insert(session.clone(), account);
        let answer = with_header(html(303, String::new()), "location", "/bank/overview");
        Ok(with_header(answer, "set-cookie", &format!("bank={session}; Path=/bank; HttpOnly")))
    }

    fn account(&mut self, call: &Call) -> Result<&mut Account, String> {
        let session = call.cookie("bank");
        self.sessions.get_mut(&session).ok_or_else(|| format!("{session:?} is no session"))
    }

    fn overview(&mut self, call: &Call) -> Checked {
        let Account { user, balance, .. } = self.account(call)?;
        Ok(html(
            200,
            format!(
                "<h1>Hello, {user}</h1><table><tr class=\"account\" data-id=\"{user}-giro\"><td>Giro\
                 </td><td class=\"balance\">{balance}</td></tr><tr class=\"account\" \
                 data-id=\"{user}-save\"><td>Savings</td><td class=\"balance\">0</td></tr></table>"
            ),
        ))
    }

    fn accounts(&mut self, call: &Call) -> Checked {
        call.expect_header("x-requested-with", "XMLHttpRequest")?;
        let Account { user, balance, .. } = self.account(call)?;
        let giro = json!({"id": format!("{user}-giro"), "kind": "giro", "balance": balance});
        let save = json!({"id": format!("{user}-save"), "kind": "savings", "balance": 0});
        Ok(shop::json(200, &json!({"accounts": [giro, save]})))
    }

    fn transfer(&mut self, call: &Call) -> Checked {
        let key = call.header("idempotency-key").to_owned();
        expect(!key.is_empty(), || "there is no Idempotency-Key".to_owned())?;
        let new = self.idempotency_keys.insert(key.clone());
        expect(new, || format!("the Idempotency-Key {key} is used"))?;
        let (id, tan) = (self.next("transfer"), self.next("tan"));
        let account = self.account(call)?;
        let body = call.json()?;
        let (from, amount) = (field(&body, "from")?, number(&body, "amount")?);
        let own = format!("{}-giro", account.user);
        expect(from == own, || format!("{from} is not the account of {}", account.user))?;
        expect((1..=account.balance).contains(&amount), || format!("the amount is {amount}"))?;
        expect(!field(&body, "reference")?.contains("#{"), || "an expression".to_owned())?;
        expect(account.pending.is_none(), || "another transfer is not confirmed".to_owned())?;
        account.pending = Some((id.clone(), tan.clone(), amount));
        Ok(shop::json(202, &json!({"id": id, "tan": tan, "status": "pending"})))
    }

    fn confirm(&mut self, call: &Call, id: &str) -> Checked {
        let account = self.account(call)?;
        let Some((pending, tan, amount)) = account.pending.take() else {
            return Err(format!("{id} is not pending"));
        };
        let given = call.json()?;
        expect(pending == id, || format!("{id} is confirmed, {pending} is pending"))?;
        expect(field(&given, "tan")? == tan, || format!("{given} is not {tan}"))?;
        account.balance -= amount;
        Ok(shop::json(200, &json!({"id": id, "status": "booked", "balance": account.balance})))
    }

    /// Pages must be asked for in their order.
    fn statement(&mut self, call: &Call) -> Checked {
        let account = self.account(call)?;
        let page: u64 = call.query("page").parse().map_err(|_| "page is no number".to_owned())?;
        expect(page == account.page + 1, || format!("page {page} after {}", account.page))?;
        account.page = page;
        let next = (page < PAGES).then_some(page + 1);
        let entries: Vec<_> = (0..5).map(|n| json!({"n": page * 5 + n, "amount": 10})).collect();
        Ok(shop::json(200, &json!({"entries": entries, "next": next, "pages": PAGES})))
    }

    fn logout(&mut self, call: &Call) -> Checked {
        let account = self.account(call)?;
        expect(account.pending.is_none(), || "a transfer is not confirmed".to_owned())?;
        self.sessions.remove(&call.cookie("bank"));
        let expired = "bank=; Path=/bank; Max-Age=0";
        Ok(with_header(html(204, String::new()), "set-cookie", expired))
    }
}
