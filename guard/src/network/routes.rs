//! What a route message says of the interfaces that lead to gateways.

use rtnetlink::{
    packet_core::{NLM_F_REPLACE, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        route::{RouteAttribute, RouteMessage, RouteType},
    },
};

/// The indices of the interfaces through which a route leaves towards a gateway.
pub(super) fn towards_gateways(route: &RouteMessage) -> impl Iterator<Item = u32> {
    let attributes = match route.header.kind {
        RouteType::Unicast => route.attributes.as_slice(),
        _ => &[],
    };
    let interface = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(interface) => Some(*interface),
        _ => None,
    });
    let next_hops = attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::MultiPath(next_hops) => Some(next_hops),
        _ => None,
    });
    let among_several = next_hops.flatten().filter(|hop| has_gateway(&hop.attributes)).map(|hop| hop.interface_index);
    interface.filter(|_| has_gateway(attributes)).into_iter().chain(among_several)
}

/// Tells whether a gateway is named, of the route's own family or of the other.
fn has_gateway(attributes: &[RouteAttribute]) -> bool {
    attributes.iter().any(|attribute| matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Via(_)))
}

/// Tells whether a notification may change interfaces, addresses, or which interfaces lead to gateways. Routes
/// without a gateway come and go with every address.
pub(super) fn may_concern_us(message: &NetlinkMessage<RouteNetlinkMessage>) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route)) => {
            // What was replaced may have had a gateway, and is not shown.
            message.header.flags & NLM_F_REPLACE != 0 || towards_gateways(route).next().is_some()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
