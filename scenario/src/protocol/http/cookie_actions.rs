//! `addCookie`, `getCookieValue` and the three flushes: actions on what the protocol keeps for a
//! user. They send nothing.

use std::rc::Rc;
use std::sync::Arc;

use futures::future::LocalBoxFuture;

use super::action::{Kept, UserState};
use super::body::text_of;
use super::config::Config;
use super::cookies::Cookie;
use super::kinds::{AddCookieSpec, Flushed, GetCookieSpec};
use super::url::Url;
use crate::expr::{Compiled, EvalCtx};
use crate::protocol::{Action, Done, Host, User};
use crate::session::Session;
use crate::value::Value;

/// What is done, compiled.
pub(super) enum Change {
    Add {
        name: Compiled,
        value: Compiled,
        domain: Option<String>,
        path: String,
        max_age: Option<i64>,
        secure: bool,
    },
    Get {
        name: Compiled,
        domain: Option<Compiled>,
        path: Option<String>,
        secure: Option<bool>,
        save_as: Option<Arc<str>>,
    },
    Flush(Flushed),
}

impl Change {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(spec: &AddCookieSpec, config: &Config) -> Result<Self, String> {
        needs_domain("addCookie", spec.domain.is_some(), config)?;
        let domain = spec.domain.as_ref();
        Ok(Self::Add {
            name: Compiled::new(&spec.name)?,
            value: Compiled::new(&spec.value)?,
            domain: domain.map(|it| it.trim_start_matches('.').to_ascii_lowercase()),
            path: spec.path.clone().unwrap_or_else(|| "/".to_owned()),
            max_age: spec.max_age,
            secure: spec.secure,
        })
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn get(spec: &GetCookieSpec, config: &Config) -> Result<Self, String> {
        needs_domain("getCookieValue", spec.domain.is_some(), config)?;
        Ok(Self::Get {
            name: Compiled::new(&spec.name)?,
            domain: spec.domain.as_ref().map(Compiled::new).transpose()?,
            path: spec.path.clone(),
            secure: spec.secure,
            save_as: spec.save_as.as_deref().map(Arc::from),
        })
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Add { .. } => "addCookie",
            Self::Get { .. } => "getCookieValue",
            Self::Flush(Flushed::SessionCookies) => "flushSessionCookies",
            Self::Flush(Flushed::CookieJar) => "flushCookieJar",
            Self::Flush(Flushed::HttpCache) => "flushHttpCache",
        }
    }
}

fn needs_domain(action: &str, given: bool, config: &Config) -> Result<(), String> {
    if given || !config.spec.base_urls.is_empty() {
        return Ok(());
    }
    Err(format!("{action}: neither withDomain(...) nor a baseUrl says which domain is meant"))
}

pub(super) struct CookieAction {
    pub slot: usize,
    pub change: Change,
    pub config: Rc<Config>,
}

impl Action for CookieAction {
    fn slot(&self) -> usize {
        self.slot
    }

    fn run(self: Rc<Self>, mut user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move {
            let kept = Kept::of(&mut user);
            let mut outcome = Ok(());
            let now_ms = host.unix_ms();
            host.with_eval(&mut |eval| {
                outcome = self.apply(&mut kept.borrow_mut(), &mut user.session, eval, now_ms);
            });
            if let Err(message) = &outcome {
                let scenario = &user.session.scenario;
                host.note(&format!("{scenario}: {} failed: {message}", self.change.label()));
            }
            user.state = Some(kept);
            Done { user, failed: outcome.is_err(), response_time: 0, slot: self.slot }
        })
    }
}

impl CookieAction {
    fn apply(
        &self,
        state: &mut UserState,
        session: &mut Session,
        eval: &mut EvalCtx<'_>,
        now_ms: i64,
    ) -> Result<(), String> {
        match &self.change {
            Change::Flush(Flushed::SessionCookies) => state.jar.clear_session_cookies(),
            Change::Flush(Flushed::CookieJar) => state.jar.clear(),
            Change::Flush(Flushed::HttpCache) => state.cache.clear(),
            Change::Add { name, value, domain, path, max_age, secure } => {
                let expires = |age: i64| match age {
                    ..=0 => i64::MIN,
                    age => now_ms.saturating_add(age.saturating_mul(1_000)),
                };
                let cookie = Cookie {
                    name: text_of(name, session, eval)?,
                    value: text_of(value, session, eval)?,
                    domain: domain.clone().map_or_else(|| self.default_domain(session), Ok)?,
                    host_only: domain.is_none(),
                    path: path.clone(),
                    secure: *secure,
                    expires_ms: max_age.map(expires),
                };
                let sendable = |text: &str| !text.contains([';', '\r', '\n', '\0']);
                if cookie.name.is_empty() || !sendable(&cookie.name) {
                    return Err(format!("{:?} is no name of a cookie", cookie.name));
                }
                if !sendable(&cookie.value) {
                    return Err(format!(
                        "the value of cookie {} holds a character that no cookie may hold",
                        cookie.name
                    ));
                }
                state.jar.insert(cookie, now_ms);
            }
            Change::Get { name, domain, path, secure, save_as } => {
                let name = text_of(name, session, eval)?;
                let domain = match domain {
                    Some(domain) => text_of(domain, session, eval)?.to_ascii_lowercase(),
                    None => self.default_domain(session)?,
                };
                let found = state.jar.find(&name, &domain, path.as_deref(), *secure, now_ms);
                let Some(value) = found else {
                    let (path, secure) = (some_of(path.as_deref()), some_of(*secure));
                    return Err(format!(
                        "No cookie matching (name={name}, domain={domain}, path={path}, \
                         secure={secure})"
                    ));
                };
                let bare = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                let value = Value::from(bare.unwrap_or(value));
                session.set(save_as.clone().unwrap_or_else(|| name.into()), value);
            }
        }
        Ok(())
    }

    /// Of the user's base URL.
    fn default_domain(&self, session: &Session) -> Result<String, String> {
        let base = self.config.spec.base_urls.get(self.config.base_of(session.user_id));
        let base = base.ok_or("no baseUrl says which domain is meant")?;
        Ok(Url::parse(base, true)?.host.to_string())
    }
}

/// As Gatling shows an option.
fn some_of<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| format!("Some({value})"))
}
