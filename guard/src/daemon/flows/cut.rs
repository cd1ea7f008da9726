//! Whom a policy's lists, grants and bans let in no more.

use std::net::IpAddr;

use crate::policy::{Effect, Policy, Ranges, Timed};

/// Whom a policy lets in, and whom it keeps out.
pub(super) struct Admitted {
    /// To every port.
    allow: Ranges,
    /// To every port, or to those of some service.
    any: Ranges,
    deny: Ranges,
}

impl Admitted {
    pub(super) fn by(policy: &Policy, timed: &[Timed]) -> Self {
        let granted = |is_meant: fn(&[String]) -> bool| {
            let grants = timed.iter().filter(|_| policy.grants_hold);
            Ranges::of(grants.filter_map(move |timed| match &timed.effect {
                Effect::Grant { services } if is_meant(services) => Some(timed.prefix),
                Effect::Grant { .. } | Effect::Ban => None,
            }))
        };
        let bans = timed.iter().filter(|timed| timed.effect == Effect::Ban).map(|timed| timed.prefix);
        let services = policy.services.iter().flat_map(|service| service.allow.prefixes());
        let allow = Ranges::of(policy.allow.prefixes()).join(&granted(|services| services.is_empty()));
        let any = allow.join(&Ranges::of(services)).join(&granted(|services| !services.is_empty()));
        let deny = Ranges::of(policy.deny.prefixes()).join(&Ranges::of(bans));
        Self { allow, any, deny }
    }

    /// Tells whether an address is cut where these lists take the place of others: it was let in to what it is not any more, or
    /// is kept out and was not before.
    pub(super) fn cuts(&self, before: &Self, address: IpAddr) -> bool {
        let leaves = |before: &Ranges, now: &Ranges| before.contains(address) && !now.contains(address);
        leaves(&before.allow, &self.allow) || leaves(&before.any, &self.any) || leaves(&self.deny, &before.deny)
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::{
        policy::{Mode, Protocol},
        samples,
    };

    fn admitted(allow: &str, deny: &str, service: &str) -> Admitted {
        let prefixes =
            |text: &str| text.split_whitespace().map(|prefix| prefix.parse().unwrap()).collect::<Vec<IpNet>>();
        let port = samples::port(Protocol::Tcp, 3000);
        let service = samples::service("service", &[port], Mode::Enforce, &prefixes(service));
        Admitted::by(&samples::policy(&prefixes(allow), &prefixes(deny), vec![service]), &[])
    }

    #[test]
    fn who_loses_a_way_in_is_cut() {
        let (client, other) = ("192.0.2.7", "192.0.2.8");
        for (case, before, now, cut) in [
            ("nothing changes", ["192.0.2.0/24", "", ""], ["192.0.2.0/24", "", ""], false),
            ("removed from allow", ["192.0.2.0/24", "", ""], ["192.0.2.8/32", "", ""], true),
            ("another is removed", ["192.0.2.7/32 10.0.0.0/8", "", ""], ["192.0.2.7/32", "", ""], false),
            ("removed from a service", ["", "", "192.0.2.7/32"], ["", "", "10.0.0.0/8"], true),
            ("added", ["", "", ""], ["192.0.2.7/32", "", ""], false),
            ("one prefix of two that hold it", ["192.0.2.0/24 192.0.2.7/32", "", ""], ["192.0.2.7/32", "", ""], false),
            ("from allow to a service alone", ["192.0.2.7/32", "", ""], ["", "", "192.0.2.7/32"], true),
            ("from a service to allow", ["", "", "192.0.2.7/32"], ["192.0.2.7/32", "", ""], false),
            ("denied", ["192.0.2.7/32", "", ""], ["192.0.2.7/32", "192.0.2.7/32", ""], true),
            ("denied though nobody let it in", ["", "", ""], ["", "192.0.2.0/24", ""], true),
            ("denied before as well", ["", "192.0.2.7/32", ""], ["", "192.0.2.0/24", ""], false),
            ("denied no more", ["", "192.0.2.7/32", ""], ["", "", ""], false),
            ("IPv6", ["2001:db8::/32", "", ""], ["", "", ""], false),
        ] {
            let [before, now] = [before, now].map(|[allow, deny, service]| admitted(allow, deny, service));
            assert_eq!(now.cuts(&before, client.parse().unwrap()), cut, "{case}");
            assert!(!now.cuts(&before, "198.51.100.1".parse().unwrap()), "{case}: a stranger");
        }
        let [before, now] = ["2001:db8::/32 192.0.2.8/32", "192.0.2.8/32"].map(|allow| admitted(allow, "", ""));
        assert!(now.cuts(&before, "2001:db8::1".parse().unwrap()) && !now.cuts(&before, other.parse().unwrap()));
    }
}
