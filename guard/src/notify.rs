//! What the service manager is told (sd_notify(3)); where none asks, nothing.

use sd_notify::NotifyState;
use tracing::warn;

/// Says that everything that is there is enforced; `status` is a line for people.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the configuration is read again; [`ready`] ends that.
pub(crate) fn reloading() {
    let since = NotifyState::monotonic_usec_now().expect("every Linux has a monotonic clock");
    send(&[NotifyState::Reloading, since]);
}

/// Says that this process ends.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        warn!("the service manager is not told: {error}");
    }
}
