//! The protocol's configuration, ready to be used by its requests.

use std::net::IpAddr;

use super::dial::Aliases;
use super::infer::Infer;
use super::spec::HttpProtocolSpec;
use super::url::Url;
use crate::java_regex::Regex;
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
    pub warm_up: Option<Url>,
    /// `hostNameAliases`.
    pub aliases: Aliases,
    /// With `inferHtmlResources`.
    pub infer: Option<Infer>,
    sources: Vec<IpAddr>,
}

/// What relative URLs follow.
#[derive(Clone, Copy)]
pub(super) struct Bases<'a> {
    pub urls: &'a [String],
    scheme: &'static str,
}

impl Bases<'_> {
    /// An absolute URL is one that begins so, as in Gatling.
    pub(super) fn spare(&self, url: &str) -> bool {
        url.starts_with(self.scheme)
    }
}

/// Round robin among so many, for the user's life.
pub(super) fn turn_of(user: u64, count: usize) -> usize {
    usize::try_from(user % (count.max(1) as u64)).unwrap_or(0)
}

impl Config {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(mut spec: HttpProtocolSpec) -> Result<Self, String> {
        // As the hosts of URLs are.
        let known = std::mem::take(&mut spec.http2_prior_knowledge).into_iter();
        spec.http2_prior_knowledge =
            known.map(|(key, speaks)| (key.to_ascii_lowercase(), speaks)).collect();
        let silent_uri = spec
            .silent_uri
            .as_ref()
            .map(|pattern| Regex::whole(pattern))
            .transpose()
            .map_err(|error| format!("silentUri: {error}"))?;
        let infer = spec.infer_html_resources.as_ref();
        let infer = infer.map(|it| Infer::new(it, spec.infer_names)).transpose()?;
        let connections = spec.max_connections_per_host.unwrap_or(CONNECTIONS_PER_HOST_MAX);
        Ok(Self {
            silent_uri,
            infer,
            request_timeout: spec.request_timeout_us.unwrap_or(REQUEST_TIMEOUT),
            connect_timeout: spec.connect_timeout_us.unwrap_or(CONNECT_TIMEOUT),
            redirects_max: spec.max_redirects.unwrap_or(REDIRECTS_MAX),
            connections_max: connections.max(1) as usize,
            warm_up: spec.warm_up.as_ref().map(|url| Url::parse(url, true)).transpose()?,
            aliases: aliases(&spec)?,
            sources: sources(&spec)?,
            spec,
        })
    }

    /// Which of the `baseUrls`: chosen per user, round robin, for the user's life.
    pub(super) fn base_of(&self, user: u64) -> usize {
        turn_of(user, self.spec.base_urls.len())
    }

    /// Of requests.
    pub(super) fn bases(&self) -> Bases<'_> {
        Bases { urls: &self.spec.base_urls, scheme: "http" }
    }

    /// Of WebSockets.
    pub(super) fn ws_bases(&self) -> Bases<'_> {
        Bases { urls: &self.spec.ws_base_urls, scheme: "ws" }
    }

    /// What `http2PriorKnowledge` knows of a target comes first.
    pub(super) fn offers_http2(&self, url: &Url) -> bool {
        let HttpProtocolSpec { enable_http2, http2_prior_knowledge: known, .. } = &self.spec;
        let speaks = || known.get(&format!("{}:{}", url.host, url.port)).copied().unwrap_or(true);
        *enable_http2 && url.secure && speaks()
    }

    /// The address that the user's connections come from, where the simulation says so.
    pub(super) fn source_of(&self, user: u64) -> Option<IpAddr> {
        let count = self.sources.len() as u64;
        let at = user.checked_rem(count)?;
        self.sources.get(usize::try_from(at).ok()?).copied()
    }
}

fn aliases(spec: &HttpProtocolSpec) -> Result<Aliases, String> {
    let one = |(name, addresses): (&String, &Vec<IpAddr>)| {
        if addresses.is_empty() {
            return Err(format!("hostNameAliases: {name} has no address"));
        }
        Ok((name.to_ascii_lowercase(), addresses.clone()))
    };
    spec.host_name_aliases.iter().map(one).collect()
}

fn sources(spec: &HttpProtocolSpec) -> Result<Vec<IpAddr>, String> {
    if !spec.use_all_local_addresses {
        return Ok(spec.local_addresses.clone());
    }
    let all = if_addrs::get_if_addrs().map_err(|error| format!("useAllLocalAddresses: {error}"))?;
    let patterns = &spec.local_addresses_matching;
    let patterns = patterns.iter().map(|it| Regex::whole(it)).collect::<Result<Vec<_>, _>>();
    let patterns = patterns.map_err(|error| format!("useAllLocalAddressesMatching: {error}"))?;
    let wanted = |ip: &IpAddr| {
        let text = ip.to_string();
        patterns.is_empty()
            || patterns.iter().any(|pattern| pattern.is_match(&text).unwrap_or(false))
    };
    let found = all.iter().filter(|it| !it.is_loopback() && !it.is_link_local()).map(|it| it.ip());
    let all: Vec<IpAddr> = found.filter(wanted).collect();
    if all.is_empty() {
        let what = if patterns.is_empty() { "none but loopback's" } else { "none that matches" };
        return Err(format!("useAllLocalAddresses: this machine has {what}"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses_go_round_the_users() {
        let local_addresses = vec![[127, 0, 0, 2].into(), [127, 0, 0, 3].into()];
        let spec = HttpProtocolSpec { local_addresses, ..HttpProtocolSpec::default() };
        let config = Config::new(spec).unwrap();
        let last = |user| config.source_of(user).map(|it| it.to_string());
        assert_eq!(last(6).as_deref(), Some("127.0.0.2"));
        assert_eq!(last(7).as_deref(), Some("127.0.0.3"));
        assert_eq!(Config::new(HttpProtocolSpec::default()).unwrap().source_of(1), None);
    }
}
