//! An API with tokens that expire after a few calls and are renewed once each; items with versions.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::shop;
use super::{Answer, Call, Checked, expect, field, html, nowhere, number, with_header};

/// Calls that a token is good for.
const USES: u64 = 4;
/// `client:s3cret` in base64.
const CLIENT: &str = "Basic Y2xpZW50OnMzY3JldA==";

#[derive(Debug, Default)]
pub(super) struct Crud {
    issued: u64,
    /// Access token → its owner, and the calls that are left.
    access: HashMap<String, (String, u64)>,
    /// Refresh token → owner; each is good for once.
    refresh: HashMap<String, String>,
    items: HashMap<String, Item>,
}

#[derive(Debug)]
struct Item {
    owner: String,
    version: u64,
    name: String,
}

impl Crud {
    pub(super) fn answer(&mut self, call: &Call, path: &[&str]) -> Checked {
        if let ("POST", ["oauth", "token"]) = (call.method.as_str(), path) {
            return self.token(call);
        }
        let Some((owner, left)) = self.access.get_mut(call.bearer()) else {
            return Err(format!("{:?} is no token", call.bearer()));
        };
        if *left == 0 {
            let expired = shop::error(401, "the token has expired");
            return Ok(with_header(expired, "www-authenticate", "Bearer error=\"invalid_token\""));
        }
        *left -= 1;
        let owner = owner.clone();
        match (call.method.as_str(), path) {
            ("POST", ["items"]) => self.create(call, owner),
            ("GET", ["items"]) => Ok(self.list(call, &owner)),
            (_, ["items", id]) => self.item(call, &owner, id),
            _ => nowhere(call),
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }

    fn token(&mut self, call: &Call) -> Checked {
        call.expect_header("authorization", CLIENT)?;
        let owner = match call.form("grant_type")?.as_str() {
            "client_credentials" => self.next("owner"),
            "refresh_token" => {
                let token = call.form("refresh_token")?;
                let owner = self.refresh.remove(&token);
                owner.ok_or_else(|| format!("{token:?} was not given, or is used"))?
            }
            other => return Err(format!("grant_type is {other:?}")),
        };
        let (access, refresh) = (self.next("access"), self.next("refresh"));
        self.access.insert(access.clone(), (owner.clone(), USES));
        self.refresh.insert(refresh.clone(), owner);
        Ok(shop::json(
            200,
            &json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer"}),
        ))
    }

    fn create(&mut self, call: &Call, owner: String) -> Checked {
        let body = call.json()?;
        let name = field(&body, "name")?.to_owned();
        let tags = body["tags"].as_array().ok_or("tags is no list")?;
        expect(tags.len() == 2 && tags.iter().all(Value::is_string), || format!("tags {tags:?}"))?;
        expect(number(&body, "size")? > 0, || "size is 0".to_owned())?;
        let id = self.next("item");
        self.items.insert(id.clone(), Item { owner, version: 1, name });
        let answer = shop::json(201, &json!({"id": id, "version": 1}));
        Ok(with_header(answer, "location", &format!("/crud/items/{id}")))
    }

    fn list(&self, call: &Call, owner: &str) -> Answer {
        let prefix = call.query("prefix");
        let own = self.items.iter().filter(|(_, item)| item.owner == owner);
        let found = own.filter(|(_, item)| item.name.starts_with(&prefix));
        let mut items: Vec<Value> =
            found.map(|(id, item)| json!({"id": id, "name": item.name})).collect();
        items.sort_by_key(|item| item["id"].to_string());
        shop::json(200, &json!({"count": items.len(), "items": items}))
    }

    fn item(&mut self, call: &Call, owner: &str, id: &str) -> Checked {
        let Some(item) = self.items.get_mut(id) else {
            return Ok(shop::error(404, "there is no such item"));
        };
        expect(item.owner == owner, || format!("{id} is of {}, not of {owner}", item.owner))?;
        match call.method.as_str() {
            "GET" => {}
            "PUT" => {
                let body = call.json()?;
                let version = number(&body, "version")?;
                expect(version == item.version, || format!("{version} is not {}", item.version))?;
                item.version += 1;
                field(&body, "name")?.clone_into(&mut item.name);
            }
            "DELETE" => {
                self.items.remove(id);
                return Ok(html(204, String::new()));
            }
            other => return Err(format!("{other} is no method of an item")),
        }
        let Item { version, name, .. } = item;
        Ok(shop::json(200, &json!({"id": id, "version": version, "name": name})))
    }
}
