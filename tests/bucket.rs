//! `oncall-collector` publishes to an S3 bucket: the server is moto, behind a check of each signature (harness/s3.py).

use harness::fleet::Fleet;
use harness::suite::{HOUR, now};
use serde_json::Value;

/// Where the server is, and its certificate's name.
const MAKE: &str = "cd /etc/authkeys && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
    -keyout /run/s3-key.pem -out s3-ca.pem 2>/dev/null && \
    echo 'AKIDEXAMPLE:a/secret+key' >s3-credentials && chgrp oncall-collector s3-credentials && chmod 640 s3-credentials";

const STORE: &str = "[store.s3]\nendpoint = 'https://localhost:8443'\nregion = 'eu-central-1'\n\
    bucket = 'example-authkeys'\nprefix = 'fleet'\ncredentials_file = 's3-credentials'\nca_file = 's3-ca.pem'\n";

#[test]
fn a_collector_publishes_to_a_bucket_and_a_second_one_takes_its_turn() {
    let fleet = Fleet::start(0);
    let host = &fleet.collector.host;
    host.must(MAKE);
    host.daemon(
        &[
            "/opt/authkeys-tests/s3/bin/python3",
            "/run/suite/source/tests/harness/s3.py",
            "8443",
            "/etc/authkeys/s3-ca.pem",
            "/run/s3-key.pem",
            "example-authkeys",
            "AKIDEXAMPLE",
            "a/secret+key",
        ],
        "/run/s3.log",
    );
    host.wait_for_port(8443);
    let config = host.read("/etc/authkeys/collector.toml");
    let before = config.split("[store]").next().expect("a store");
    host.write("/etc/authkeys/collector.toml", format!("{before}{STORE}"), 0o644);

    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let status = || -> Value { serde_json::from_str(&fleet.at_collector("status --json")).expect("JSON") };
    let first = status();
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    assert_ne!(first, status());
    // Each request was signed as Amazon's library signs it, and the scratch name is gone.
    let log = host.read("/run/s3.log");
    assert!(!log.contains("refused:"), "{log}");
    assert!(
        log.contains("PUT /example-authkeys/fleet/head?") && log.contains("PUT /example-authkeys/fleet/o/")
    );
    assert!(log.contains("DELETE /example-authkeys/fleet/probe/"), "{log}");

    // Another collector on the same bucket sees that the first one is at work.
    let other = fleet.new_key("other-key");
    let signers = host.read("/etc/authkeys/fleet-signers");
    host.write("/etc/authkeys/fleet-signers", format!("{signers}{other}"), 0o644);
    host.must("sed -i 's/\"fleet-key\"/\"other-key\"/' /etc/authkeys/collector.toml");
    assert!(fleet.publish().contains("standing by: fleet-key"));
    assert!(!fleet.at_collector("publish --now").contains("standing by"));

    // The credentials are taken away.
    host.must("echo 'AKIDEXAMPLE:another' >/etc/authkeys/s3-credentials");
    let refused = fleet.collector.run_as("oncall-collector", "oncall-collector publish");
    assert_eq!(refused.status.code(), Some(2));
    let said = harness::text(&refused);
    assert!(said.contains("/fleet/head: answered 403; check credentials_file"), "{said}");
    assert!(!said.contains("X-Amz") && !said.contains("another"), "{said}");
}
