//! The protocol's configuration, ready to be used by its requests.

use regex::Regex;

use super::spec::HttpProtocolSpec;
use crate::time::{MICROS_PER_SECOND, Micros};

const REQUEST_TIMEOUT: Micros = 60 * MICROS_PER_SECOND;
const CONNECT_TIMEOUT: Micros = 10 * MICROS_PER_SECOND;
const REDIRECTS_MAX: u32 = 20;
const CONNECTIONS_PER_HOST_MAX: u32 = 6;

pub(super) struct Config {
    pub spec: HttpProtocolSpec,
    pub silent_uri: Option<Regex>,
    pub request_timeout: Micros,
    pub connect_timeout: Micros,
    pub redirects_max: u32,
    pub connections_max: usize,
}

impl Config {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(spec: HttpProtocolSpec) -> Result<Self, String> {
        for base in &spec.base_urls {
            if !base.starts_with("http://") && !base.starts_with("https://") {
                return Err(format!("baseUrl {base} must begin with http:// or https://"));
            }
        }
        let silent_uri = spec
            .silent_uri
            .as_ref()
            .map(|pattern| Regex::new(&format!("^(?:{pattern})$")))
            .transpose()
            .map_err(|error| format!("silentUri: {error}"))?;
        let connections = spec.max_connections_per_host.unwrap_or(CONNECTIONS_PER_HOST_MAX);
        Ok(Self {
            silent_uri,
            request_timeout: spec.request_timeout_us.unwrap_or(REQUEST_TIMEOUT),
            connect_timeout: spec.connect_timeout_us.unwrap_or(CONNECT_TIMEOUT),
            redirects_max: spec.max_redirects.unwrap_or(REDIRECTS_MAX),
            connections_max: connections.max(1) as usize,
            spec,
        })
    }

    /// Chosen per user, round robin, for the user's life.
    pub(super) fn base_of(&self, user: u64) -> Option<&str> {
        let count = self.spec.base_urls.len();
        let at = usize::try_from(user % (count.max(1) as u64)).unwrap_or(0);
        self.spec.base_urls.get(at).map(String::as_str)
    }
}
