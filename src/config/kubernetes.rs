//! Variables that Kubernetes derives from services.
//!
//! Every pod gets the addresses of the services beside it, under the name of each
//! (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>). The variables of a
//! service called `larder-s3` begin as Larder's settings do.

/// Returns whether a variable is one of those that Kubernetes derives from a service.
pub(super) fn is_derived(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.ends_with("_SERVICE_HOST") {
        return true;
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_number(value);
    }
    if name.ends_with("_PORT") && is_url(value) {
        return true;
    }
    let parts: Vec<_> = name.split('_').collect();
    parts.iter().enumerate().any(|(at, part)| {
        *part == "PORT"
            && match &parts[at + 1..] {
                [port, protocol, rest @ ..] => {
                    is_number(port)
                        && PROTOCOLS.contains(&protocol.to_ascii_lowercase().as_str())
                        && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
                }
                _ => false,
            }
    })
}

/// Protocols of services.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Returns whether a value is the address of a port as Kubernetes writes it: `tcp://10.0.0.1:80`.
fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(protocol, _)| PROTOCOLS.contains(&protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_a_service_is_known_whatever_the_service_is_called() {
        for service in ["LARDER", "LARDER_LEADER", "LARDER_S3", "LARDER_PORT"] {
            for (rest, value) in [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_HOST", "fd00::1"),
                ("SERVICE_PORT", "8011"),
                ("SERVICE_PORT_HTTP_API", "8011"),
                ("PORT", "tcp://10.0.0.1:8011"),
                ("PORT", "udp://[fd00::1]:53"),
                ("PORT_8011_TCP", "tcp://10.0.0.1:8011"),
                ("PORT_8011_TCP_PROTO", "tcp"),
                ("PORT_8011_TCP_PORT", "8011"),
                ("PORT_8011_TCP_ADDR", "10.0.0.1"),
                ("PORT_53_UDP_ADDR", "10.0.0.1"),
            ] {
                assert!(is_derived(&format!("{service}_{rest}"), value), "{service}_{rest}={value}");
            }
        }
    }

    #[test]
    fn no_other_variable_is_taken_for_one() {
        for (name, value) in [
            ("LARDER_PORT", "9000"),
            ("LARDER_PORT", "http://127.0.0.1:9000"),
            ("LARDER_HTTP_PORT", "9000"),
            ("LARDER_SERVICE_PORT", "http"),
            ("LARDER_SERVICE_NAME", "larder"),
            ("LARDER_PORT_NUMBER", "9000"),
            ("LARDER_PORT_8011_HTTP", "1"),
            ("LARDER_PORT_8011_TCP_NAME", "1"),
            ("LARDER_TOKEN", "tcp://10.0.0.1:80"),
        ] {
            assert!(!is_derived(name, value), "{name}={value}");
        }
    }
}
