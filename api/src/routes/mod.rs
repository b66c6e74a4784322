//! The routes: one file per resource with its DTOs, handlers, OpenAPI words and tests. This file
//! joins them, and puts the layers around them.

#![expect(unused_qualifications, reason = "in what utoipa's macros make")]

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::backend::Backend;
use crate::error::{self, Problem};
use crate::state::{ApiConfig, ApiState};
use crate::{auth, freshness, observe};

pub mod cluster;
mod dto;
pub mod files;
mod home;
pub mod jobs;
pub mod projects;
pub mod raft;
pub mod version;

pub use dto::{digest_text, rfc3339};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Onrush",
        description = "Distributed load tests: any node answers any call; writes go through the \
                       leader, whoever that is.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("token" = [])),
    components(schemas(error::ProblemBody))
)]
struct Doc;

/// Every route, with its documentation.
fn table() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Doc::openapi())
        .merge(home::routes())
        .merge(version::routes())
        .merge(cluster::routes())
        .merge(raft::routes())
        .merge(projects::routes())
        .merge(files::routes())
        .merge(jobs::routes())
}

/// The OpenAPI 3.1 document, as served at `/api/v1/openapi.json`.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = table().split_for_parts();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("token", scheme);
    // OpenAPI has no catch-all parameters: `{*path}` is written `{path}`.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths =
        paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    document
}

/// The API of a node.
pub fn router(backend: Arc<dyn Backend>, config: ApiConfig) -> Router {
    let state = ApiState { backend, config: Arc::new(config) };
    let (router, _) = table().split_for_parts();
    let inner = router
        .fallback(nothing_here)
        .layer(from_fn_with_state(state.clone(), freshness::layer))
        .layer(from_fn_with_state(state.clone(), auth::guard))
        .layer(CatchPanicLayer::custom(caught))
        .layer(from_fn_with_state(state.clone(), observe::headers))
        .with_state(state);
    // Outside of the routes, where axum has put `Allow` on its answers.
    Router::new().fallback_service(inner).layer(from_fn(error::finish))
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::new(error::Kind::NotFound, format!("there is nothing at {}", uri.path()))
}

fn caught(panic: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    let why = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    axum::response::IntoResponse::into_response(error::internal(why))
}
