//! The REST client of the tests: small, blocking, and not the product's own.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// No stream of a test lasts longer.
const STREAM_MAX: Duration = Duration::from_secs(120);

/// One node's API.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    agent: ureq::Agent,
    /// Empty where the API asks for none.
    authorization: String,
}

impl Rest {
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self::at(&format!("http://127.0.0.1:{port}"), None)
    }

    /// `base` is `http://host:port`.
    #[must_use]
    pub fn at(base: &str, token: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build();
        let authorization = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
        Self { base: base.to_owned(), agent: config.into(), authorization }
    }

    fn read(&self, path: &str) -> anyhow::Result<http::Response<ureq::Body>> {
        let mut call = self.agent.get(format!("{}{path}", self.base));
        if !self.authorization.is_empty() {
            call = call.header("authorization", &self.authorization);
        }
        Ok(call.call()?)
    }

    /// # Errors
    /// Unreachable, not 2xx, or not JSON.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut response = self.read(path)?;
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
        if !response.status().is_success() {
            bail!("GET {path}: {} {text}", response.status());
        }
        serde_json::from_str(&text).with_context(|| format!("GET {path} gave no JSON: {text}"))
    }

    /// # Errors
    /// Unreachable, or not 2xx.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        let mut response = self.read(path)?;
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
        if !response.status().is_success() {
            bail!("GET {path}: {} {text}", response.status());
        }
        Ok(text)
    }

    /// Status and body of a POST, whatever the status.
    ///
    /// # Errors
    /// Unreachable.
    pub fn post(&self, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let mut response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("authorization", &self.authorization)
            .send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Status and body of a PATCH, whatever the status.
    ///
    /// # Errors
    /// Unreachable.
    pub fn patch(&self, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let mut response = self
            .agent
            .patch(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("authorization", &self.authorization)
            .send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Status and body of a PUT, whatever the status.
    ///
    /// # Errors
    /// Unreachable.
    pub fn put(&self, path: &str, body: &[u8]) -> anyhow::Result<(u16, String)> {
        let mut response = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
            .send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Status and body of a DELETE, whatever the status.
    ///
    /// # Errors
    /// Unreachable.
    pub fn delete(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut response = self
            .agent
            .delete(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
            .call()?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Status and body of a PUT that does not say how long it is.
    ///
    /// # Errors
    /// Unreachable.
    pub fn put_unsized(&self, path: &str, body: &[u8]) -> anyhow::Result<(u16, String)> {
        let body = ureq::SendBody::from_owned_reader(std::io::Cursor::new(body.to_vec()));
        let mut response = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
            .send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Lines of an answer that does not end for a while, as they come.
    ///
    /// # Errors
    /// Unreachable, or not 2xx.
    pub fn lines(&self, path: &str) -> anyhow::Result<impl Iterator<Item = String> + use<>> {
        let patient = ureq::Agent::config_builder()
            .timeout_global(Some(STREAM_MAX))
            .http_status_as_error(false)
            .build();
        let patient = Self { agent: patient.into(), ..self.clone() };
        let response = patient.read(path)?;
        if !response.status().is_success() {
            bail!("GET {path}: {}", response.status());
        }
        let reader = std::io::BufReader::new(response.into_body().into_reader());
        Ok(std::io::BufRead::lines(reader).map_while(Result::ok))
    }

    /// Status of a HEAD.
    ///
    /// # Errors
    /// Unreachable.
    pub fn head(&self, path: &str) -> anyhow::Result<u16> {
        let call = self.agent.head(format!("{}{path}", self.base));
        Ok(call.header("authorization", &self.authorization).call()?.status().as_u16())
    }

    /// Status and body of a GET, whatever they are.
    ///
    /// # Errors
    /// Unreachable, or the body breaks off.
    pub fn bytes(&self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
            .call()?;
        let body = response.body_mut().with_config().limit(256 << 20).read_to_vec()?;
        Ok((response.status().as_u16(), body))
    }
}
