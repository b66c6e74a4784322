//! `GET /`: the state of the cluster on one page without scripts, for a look in a browser; and the
//! OpenAPI document.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cluster;
use super::dto::rfc3339;
use super::jobs::dto::Job;
use crate::state::ApiState;

/// Jobs on the page.
const JOBS_SHOWN: usize = 20;
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;\
    padding:0 1rem;color-scheme:light dark}table{border-collapse:collapse;width:100%}\
    th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884}\
    code{font-size:.9em}.healthy{color:#0a7d33}.degraded,.electing,.forming{color:#b35900}\
    .no-quorum{color:#c22}@media(prefers-color-scheme:dark){.healthy{color:#4cc36e}\
    .degraded,.electing,.forming{color:#f0a04b}.no-quorum{color:#ff7b7b}}";

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| super::openapi().to_pretty_json().unwrap_or_else(|_| "{}".to_owned()));

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(home)).routes(routes!(document))
}

/// The OpenAPI document, as it is committed.
pub(super) fn document_text() -> &'static str {
    &DOCUMENT
}

/// This document
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "node",
    responses((status = 200, content_type = "application/json", body = serde_json::Value))
)]
async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document_text())
}

/// The cluster on one page
#[utoipa::path(
    get, path = "/", tag = "node",
    responses((status = 200, content_type = "text/html", body = String))
)]
async fn home(State(state): State<ApiState>) -> impl IntoResponse {
    let headers = [(CONTENT_SECURITY_POLICY, CSP), (CACHE_CONTROL, "no-store")];
    (headers, Html(page(&state)))
}

fn page(state: &ApiState) -> String {
    let view = cluster::view(state);
    let mut out = String::with_capacity(8 * 1024);
    let name = escape(if view.name.is_empty() { "Onrush" } else { &view.name });
    let leader = view.leader.as_deref().map_or_else(|| "none known".to_owned(), escape);
    let _ = write!(
        out,
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>{name}</title>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=refresh content=5><style>{STYLE}</style></head><body><main>\
         <h1>{name}</h1><p>Health <strong class=\"{health}\">{health}</strong>: {detail}</p>\
         <p>Leader <strong>{leader}</strong>, term {term}. This page is the view of \
         <strong>{node}</strong>.</p>",
        health = escape(&view.health),
        detail = escape(&view.health_detail),
        term = view.term,
        node = escape(&view.node),
    );
    members(state, &mut out);
    jobs(state, &mut out);
    out.push_str(
        "<p><a href=\"/api/v1/openapi.json\">OpenAPI</a> · <a href=\"/api/v1/cluster\">cluster</a> \
         · <a href=\"/api/v1/cluster/members\">members</a> · \
         <a href=\"/api/v1/raft/status\">raft</a> · <a href=\"/api/v1/jobs\">jobs</a></p>\
         </main></body></html>\n",
    );
    out
}

fn members(state: &ApiState, out: &mut String) {
    out.push_str(
        "<h2>Nodes</h2><table><thead><tr><th scope=col>Node<th scope=col>Role<th scope=col>Health\
         <th scope=col>Address<th scope=col>API<th scope=col>Shards<th scope=col>Version\
         </thead><tbody>",
    );
    for member in state.backend.members() {
        let api = member.api.as_deref().unwrap_or_default();
        let link = if api.starts_with("http://") || api.starts_with("https://") {
            format!("<a href=\"{0}\">{0}</a>", escape(api))
        } else {
            escape(api)
        };
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{link}<td>{}<td>{}",
            escape(&member.name),
            escape(&member.role),
            escape(&member.health),
            escape(member.addresses.first().map_or("", String::as_str)),
            member.running_shards,
            escape(&member.version),
        );
    }
    out.push_str("</tbody></table>");
}

fn jobs(state: &ApiState, out: &mut String) {
    let ledger = state.ledger();
    out.push_str("<h2>Jobs</h2>");
    if ledger.jobs().next().is_none() {
        out.push_str("<p>None yet: <code>onrush job submit shop.js --follow</code></p>");
        return;
    }
    out.push_str(
        "<table><thead><tr><th scope=col>Job<th scope=col>Simulation<th scope=col>Status\
         <th scope=col>Verdict<th scope=col>Submitted<th scope=col>Results</thead><tbody>",
    );
    for row in ledger.jobs().take(JOBS_SHOWN) {
        let job = Job::of(row);
        let _ = write!(
            out,
            "<tr><td><a href=\"{}\"><code>{}</code></a><td>{}<td>{}<td title=\"{}\">{}<td>{}\
             <td><a href=\"{}\">report</a> · <a href=\"{}\">logs</a>",
            job.links.itself,
            job.id,
            escape(&job.simulation),
            job.status.name(),
            escape(&job.verdict.reason),
            job.verdict.value.name(),
            rfc3339(row.submitted_at),
            job.links.report,
            job.links.logs,
        );
    }
    out.push_str("</tbody></table>");
}

/// Text as HTML text or attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
