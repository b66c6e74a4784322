//! The routes against a node in memory: what each answers, and each problem it can answer.

mod common;
mod files;
mod jobs;
mod live;
mod wire;
