//! What follows a redirect: method, what is kept of the request, and whether there is a next hop.
//! Rules as Gatling 3.16.0 has them; Authorization is dropped on another origin (parity table).

/// What to do after a response with this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'a> {
    pub method: &'a str,
    /// Body, `Content-Type` and `Content-Length` are sent again.
    pub keep_body: bool,
}

/// 300, 304, 305, 306 are answers, not redirects to follow.
#[must_use]
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// 301 and 308 are remembered per user while caching is on.
#[must_use]
pub fn is_permanent(status: u16) -> bool {
    matches!(status, 301 | 308)
}

/// The next request's method, and whether its body goes along.
#[must_use]
pub fn next_hop(status: u16, method: &str, strict_302: bool) -> Hop<'_> {
    let keeps_all = matches!(status, 307 | 308) || (status == 302 && strict_302);
    if keeps_all {
        return Hop { method, keep_body: true };
    }
    let method = if matches!(method, "GET" | "HEAD" | "OPTIONS") { method } else { "GET" };
    Hop { method, keep_body: false }
}

/// Request headers that a next hop never takes over: they are made anew, or belong to the body.
#[must_use]
pub fn drops_header(name: &str, keep_body: bool, same_origin: bool) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    is("host")
        || is("content-length")
        || is("cookie")
        || is("origin")
        || (!keep_body && is("content-type"))
        || (!same_origin && is("authorization"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_bodies_by_status() {
        let table = [
            (301, "POST", false, "GET", false),
            (302, "POST", false, "GET", false),
            (302, "POST", true, "POST", true),
            (302, "DELETE", false, "GET", false),
            (303, "PUT", false, "GET", false),
            (303, "HEAD", false, "HEAD", false),
            (301, "OPTIONS", false, "OPTIONS", false),
            (307, "POST", false, "POST", true),
            (308, "PUT", false, "PUT", true),
        ];
        for (status, method, strict, next, keep_body) in table {
            assert_eq!(
                next_hop(status, method, strict),
                Hop { method: next, keep_body },
                "{status} {method} strict {strict}"
            );
        }
        assert!([300, 304, 305, 306, 201, 200].into_iter().all(|status| !is_redirect(status)));
    }

    #[test]
    fn headers_that_do_not_travel() {
        assert!(drops_header("Host", true, true));
        assert!(drops_header("Cookie", true, true));
        assert!(drops_header("Content-Type", false, true));
        assert!(!drops_header("Content-Type", true, true));
        assert!(!drops_header("Authorization", true, true));
        assert!(drops_header("AUTHORIZATION", true, false));
        assert!(!drops_header("X-Own", false, false));
    }
}
