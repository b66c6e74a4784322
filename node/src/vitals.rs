//! The tasks that a node cannot live without. One that panics takes the node down with its reason, so
//! that no process looks alive whose work has ended: whoever started it starts it again.
//!
//! Not for work on behalf of one request or one job: that fails alone.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why the node must end, once it must. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    why: watch::Sender<Option<String>>,
}

impl Vitals {
    /// The node must end; the first reason stays.
    pub fn fail(&self, why: String) {
        self.why.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(why);
            first
        });
    }

    /// Resolves with the reason when this node can no longer keep its promises.
    pub async fn fatal(&self) -> String {
        let mut why = self.why.subscribe();
        match why.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// `work`, whose panic is the node's end.
    pub fn guard<F: Future<Output = ()>>(
        &self,
        name: &'static str,
        work: F,
    ) -> impl Future<Output = ()> + use<F> {
        let vitals = self.clone();
        async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                vitals.fail(format!("{name} panicked: {}", words(panic.as_ref())));
            }
        }
    }

    /// The same for a task that was started elsewhere.
    pub async fn watch(self, name: &'static str, task: JoinHandle<()>) {
        if let Err(error) = task.await
            && let Ok(panic) = error.try_into_panic()
        {
            self.fail(format!("{name} panicked: {}", words(panic.as_ref())));
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "what is tested")]

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_the_end_and_one_that_ends_is_not() {
        let vitals = Vitals::default();
        vitals.guard("one", async {}).await;
        vitals.clone().watch("two", tokio::spawn(async {})).await;
        assert_eq!(*vitals.why.borrow(), None);
        let three = tokio::spawn(vitals.guard("three", async { panic!("no {}", "more") }));
        assert_eq!(vitals.fatal().await, "three panicked: no more");
        three.await.unwrap();
        vitals.clone().watch("four", tokio::spawn(async { panic!("late") })).await;
        assert_eq!(vitals.fatal().await, "three panicked: no more");
        let other = Vitals::default();
        other.clone().watch("five", tokio::spawn(async { panic!("alone") })).await;
        assert_eq!(other.fatal().await, "five panicked: alone");
    }
}
