//! What of a policy holds in a lockdown.

use ipnet::IpNet;

use super::{ConnectionPolicy, DefaultVerdict, Entries, Mode, Origin, Policy, Service};

impl Policy {
    /// Returns the policy under which only failsafe ports, these prefixes and answers to own flows pass, whatever else is
    /// configured or granted. Who is blocked stays so, and limits hold.
    pub(crate) fn locked_down(&self, except: &[IpNet], origin: &Origin) -> Self {
        let mut allow = Entries::default();
        except.iter().for_each(|prefix| allow.push(*prefix, origin, None));
        let services = self.services.iter().map(|service| Service {
            mode: Mode::Enforce,
            allow: Entries::default(),
            connections: ConnectionPolicy {
                // A ban outlives the lockdown.
                ban: service.connections.ban.filter(|_| service.mode == Mode::Enforce),
                ..service.connections
            },
            ..service.clone()
        });
        Self {
            mode: Mode::Enforce,
            default: DefaultVerdict::Drop,
            allow,
            services: services.collect(),
            grants_hold: false,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, path::Path};

    use super::*;
    use crate::{
        policy::Protocol,
        samples::{self, prefixes},
    };

    #[test]
    fn only_what_is_excepted_is_let_in_and_the_rest_stays() {
        let port = samples::port(Protocol::Tcp, 3000);
        let service = samples::service("web", &[port], Mode::Monitor, &prefixes(&["192.0.2.0/24"]));
        let mut policy = samples::policy(&prefixes(&["10.0.0.0/8"]), &prefixes(&["10.6.6.6/32"]), vec![service]);
        policy.default = DefaultVerdict::Pass;
        policy.mode = Mode::Monitor;
        let origin = Origin::File { path: Path::new("entries.json").into() };
        let locked = policy.locked_down(&prefixes(&["198.51.100.1/32"]), &origin);
        assert_eq!(locked.allow.prefixes().collect::<Vec<_>>(), prefixes(&["198.51.100.1/32"]));
        assert_eq!((locked.mode, locked.default, locked.grants_hold), (Mode::Enforce, DefaultVerdict::Drop, false));
        assert_eq!((locked.services[0].mode, locked.services[0].allow.len()), (Mode::Enforce, 0));
        assert_eq!((&locked.deny, &locked.failsafe_ports), (&policy.deny, &policy.failsafe_ports));
        assert_eq!(locked.services[0].ports, [port]);
    }

    #[test]
    fn a_service_that_was_monitored_bans_nobody() {
        let ban = samples::ban();
        let connections = ConnectionPolicy { max: NonZeroU32::new(9), ban: Some(ban), ..ConnectionPolicy::default() };
        let service = |mode| Service { connections, ..samples::service("web", &[], mode, &[]) };
        let policy = samples::policy(&[], &[], vec![service(Mode::Enforce), service(Mode::Monitor)]);
        let locked = policy.locked_down(&[], &Origin::File { path: Path::new("entries.json").into() });
        let [enforced, monitored] = [0, 1].map(|at| locked.services[at].connections);
        assert_eq!((enforced.ban, monitored.ban), (Some(ban), None));
        assert_eq!((enforced.max, monitored.max), (connections.max, connections.max));
    }
}
