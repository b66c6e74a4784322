//! The answers: a shop, and what a protocol test needs besides (echo, status, delay, redirects,
//! cookies, gzip).

use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, SET_COOKIE,
};
use hyper::{Request, Response};
use serde::Serialize;
use serde_json::{Value, json};

const PRODUCTS: u64 = 1_000;
const PAGE: u64 = 20;
const BODY_BYTES_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 16 << 20;
const DELAY_MS_MAX: u64 = 60_000;

type Answer = Response<Full<Bytes>>;

static HOME: LazyLock<Bytes> = LazyLock::new(|| {
    let links: String = (1..=5)
        .map(|id| format!("<li><a class=\"product\" href=\"/products/{id}\">Product {id}</a></li>"))
        .collect();
    let page = format!(
        "<!doctype html><html><head><title>Onrush shop</title></head><body><h1>Shop</h1>\
         <form action=\"/login\" method=\"post\"><input type=\"hidden\" name=\"csrf\" \
         value=\"c5rf-70k3n\"></form><ul>{links}</ul></body></html>"
    );
    Bytes::from(page)
});

/// The first page of products: by far the most asked for.
static PRODUCTS_PAGE: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(products(1).to_string()));

static PRODUCT_LIST: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(products(1)["items"].to_string()));

pub(super) fn json(status: u16, body: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(body).unwrap_or_default();
    with_type(status, "application/json", Bytes::from(text))
}

pub(super) fn with_type(status: u16, media: &'static str, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

pub(super) fn error(status: u16, what: &str) -> Answer {
    json(status, &json!({"error": what}))
}

/// The value of a query parameter, as it is written.
pub(super) fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// One answer; the error closes the connection without one.
pub(super) async fn answer(request: Request<Incoming>) -> anyhow::Result<Answer> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_matches('/').split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let number = second.and_then(|text| text.parse::<u64>().ok());
    Ok(match (request.method().as_str(), first, number) {
        ("GET", "", _) => with_type(200, "text/html; charset=utf-8", HOME.clone()),
        ("GET", "products", None) if second.is_none() => products_page(&request),
        ("GET", "products", id) => product(id),
        (_, "api", _) => api(request, second, parts.next()).await,
        ("GET", "help", _) if second.is_none() => to_location("/help/contact"),
        ("GET", "help", _) => with_type(200, "text/plain", Bytes::from_static(b"help@shop.test\n")),
        ("POST", "login", _) => login(request).await,
        ("POST", "cart", _) => add_to_cart(request).await,
        ("GET", "cart", _) => cart(&request),
        (_, "echo", _) => echo(request).await,
        (_, "status", Some(code @ 200..=599)) => {
            json(u16::try_from(code).unwrap_or(500), &json!({"status": code}))
        }
        (_, "delay", Some(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms.min(DELAY_MS_MAX))).await;
            json(200, &json!({"delayed_ms": ms.min(DELAY_MS_MAX)}))
        }
        ("GET", "redirect", Some(left)) => redirect(left),
        ("GET", "cookies", None) => cookies(&request, second),
        ("GET", "gzip", _) => gzip(),
        ("GET", "bytes", Some(count)) => bytes(count),
        (_, "drop", _) => bail!("asked to close the connection"),
        _ => error(404, &format!("there is nothing at {path}")),
    })
}

/// The API of the example simulations: products, login by token, orders.
async fn api(request: Request<Incoming>, noun: Option<&str>, id: Option<&str>) -> Answer {
    let known = bearer(&request).is_some();
    match (request.method().as_str(), noun.unwrap_or_default(), id) {
        ("GET", "products", None) => with_type(200, "application/json", PRODUCT_LIST.clone()),
        ("GET", "products", Some(id)) => product(id.parse().ok()),
        ("POST", "login", None) => api_login(request).await,
        (_, "orders", _) if !known => error(401, "log in first"),
        ("POST", "orders", None) => order(request).await,
        ("GET", "orders", Some(id)) => json(200, &json!({"id": id, "status": "accepted"})),
        _ => error(404, &format!("there is nothing at {}", request.uri().path())),
    }
}

fn bearer(request: &Request<Incoming>) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer token-")
}

async fn api_login(request: Request<Incoming>) -> Answer {
    let Some(body) = body_of(request.into_body()).await else {
        return error(413, "the body is too large");
    };
    match (field(&body, "user"), field(&body, "password").as_deref()) {
        (_, Some("wrong")) => error(401, "the password is wrong"),
        (Some(user), Some(_)) => json(200, &json!({"token": format!("token-{user}")})),
        _ => error(400, "user and password are needed"),
    }
}

/// Orders are not kept: an id says all there is to say of one.
async fn order(request: Request<Incoming>) -> Answer {
    let Some(body) = body_of(request.into_body()).await else {
        return error(413, "the body is too large");
    };
    let product = field(&body, "product").and_then(|text| text.parse::<u64>().ok());
    match product {
        Some(product @ 1..=PRODUCTS) => {
            json(201, &json!({"id": format!("order-{product}"), "product": product}))
        }
        _ => error(422, "product must be the id of a product"),
    }
}

fn product_value(id: u64) -> Value {
    json!({
        "id": id,
        "name": format!("Product {id}"),
        "price": f64::from(u32::try_from(id * 37 % 9_900 + 100).unwrap_or(100)) / 100.0,
        "stock": id * 7 % 50,
        "tags": [format!("tag-{}", id % 10), "shop"],
    })
}

fn products(page: u64) -> Value {
    let from = page.saturating_sub(1).saturating_mul(PAGE) + 1;
    let items: Vec<Value> =
        (from..from.saturating_add(PAGE)).filter(|id| *id <= PRODUCTS).map(product_value).collect();
    json!({"page": page, "total": PRODUCTS, "items": items})
}

fn products_page(request: &Request<Incoming>) -> Answer {
    let page = query_value(request.uri().query(), "page").and_then(|text| text.parse().ok());
    match page {
        None | Some(1) => with_type(200, "application/json", PRODUCTS_PAGE.clone()),
        Some(page) => json(200, &products(page)),
    }
}

fn product(id: Option<u64>) -> Answer {
    match id {
        Some(id @ 1..=PRODUCTS) => json(200, &product_value(id)),
        Some(id) => error(404, &format!("there is no product {id}")),
        None => error(400, "a product's id is a number"),
    }
}

pub(super) async fn body_of(body: Incoming) -> Option<Bytes> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    body.ok().map(http_body_util::Collected::to_bytes)
}

/// A field of a JSON object or of a form.
fn field(body: &[u8], name: &str) -> Option<String> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return Some(match value.get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
    }
    let text = std::str::from_utf8(body).ok()?;
    query_value(Some(text), name).map(str::to_owned)
}

/// Any user, and any password but `wrong`.
async fn login(request: Request<Incoming>) -> Answer {
    let Some(body) = body_of(request.into_body()).await else {
        return error(413, "the body is too large");
    };
    let Some(user) = field(&body, "username").filter(|user| !user.is_empty()) else {
        return error(400, "username is missing");
    };
    if field(&body, "password").as_deref() == Some("wrong") {
        return error(401, "the password is wrong");
    }
    let safe: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut response = json(200, &json!({"user": user, "token": format!("token-{safe}")}));
    if let Ok(cookie) = HeaderValue::from_str(&format!("session={safe}; Path=/; HttpOnly")) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn cookie_pairs(request: &Request<Incoming>) -> Vec<(String, String)> {
    let headers = request.headers().get_all(COOKIE);
    let texts = headers.iter().filter_map(|value| value.to_str().ok());
    let pairs =
        texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn session(request: &Request<Incoming>) -> Option<String> {
    cookie_pairs(request).into_iter().find(|(name, _)| name == "session").map(|(_, value)| value)
}

async fn add_to_cart(request: Request<Incoming>) -> Answer {
    let Some(user) = session(&request) else { return error(401, "log in first") };
    let Some(body) = body_of(request.into_body()).await else {
        return error(413, "the body is too large");
    };
    let product = field(&body, "product").and_then(|text| text.parse::<u64>().ok());
    let Some(product @ 1..=PRODUCTS) = product else {
        return error(422, "product must be the id of a product");
    };
    let quantity = field(&body, "quantity").and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    json(201, &json!({"user": user, "items": [{"product": product, "quantity": quantity}]}))
}

fn cart(request: &Request<Incoming>) -> Answer {
    match session(request) {
        Some(user) => json(200, &json!({"user": user, "items": []})),
        None => error(401, "log in first"),
    }
}

async fn echo(request: Request<Incoming>) -> Answer {
    let (method, uri) = (request.method().to_string(), request.uri().clone());
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let Some(body) = body_of(request.into_body()).await else {
        return error(413, "the body is too large");
    };
    json(
        200,
        &json!({
            "method": method,
            "path": uri.path(),
            "query": uri.query(),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        }),
    )
}

fn redirect(left: u64) -> Answer {
    let to = if left <= 1 { "/".to_owned() } else { format!("/redirect/{}", left - 1) };
    to_location(&to)
}

fn to_location(to: &str) -> Answer {
    let mut response = with_type(302, "text/plain", Bytes::new());
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

/// `/cookies` tells what came; `/cookies/set?a=1&b=2` sets them and goes there.
fn cookies(request: &Request<Incoming>, action: Option<&str>) -> Answer {
    if action != Some("set") {
        let pairs: serde_json::Map<String, Value> =
            cookie_pairs(request).into_iter().map(|(name, value)| (name, value.into())).collect();
        return json(200, &json!({"cookies": pairs}));
    }
    let mut response = to_location("/cookies");
    for pair in request.uri().query().unwrap_or_default().split('&').filter(|p| p.contains('=')) {
        if let Ok(value) = HeaderValue::from_str(&format!("{pair}; Path=/")) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

fn gzip() -> Answer {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed =
        encoder.write_all(&PRODUCTS_PAGE).and_then(|()| encoder.finish()).unwrap_or_default();
    let mut response = with_type(200, "application/json", Bytes::from(packed));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn bytes(count: u64) -> Answer {
    match usize::try_from(count).ok().filter(|count| *count <= BYTES_MAX) {
        Some(count) => with_type(200, "application/octet-stream", Bytes::from(vec![b'x'; count])),
        None => error(400, "at most 16 MiB"),
    }
}
