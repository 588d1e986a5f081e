//! Where a request comes from.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

use crate::extract::app;

/// The client's address: that of the connection, or, where the connection is one of a proxy that the settings trust, the
/// last address in `X-Forwarded-For` that is none of theirs. What anybody else writes there is not looked at.
pub(crate) fn client(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let app = app(request).ok()?;
    let headers = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    Some(behind(peer, &app.proxies, &headers.collect::<Vec<_>>()))
}

fn behind(peer: IpAddr, proxies: &[IpNet], headers: &[&str]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut client = peer;
    let said = headers.iter().flat_map(|header| header.split(',')).rev();
    for text in said {
        if !trusted(&client) {
            break;
        }
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let from = |peer: &str, headers: &[&str]| behind(peer.parse().unwrap(), &proxies, headers).to_string();
        assert_eq!(from("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "a stranger says what they like");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"]), "198.51.100.1", "the client's own words");
        assert_eq!(from("::1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["10.0.0.3"]), "10.0.0.3");
    }
}
