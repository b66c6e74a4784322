//! HTTP against a small server in this process.
