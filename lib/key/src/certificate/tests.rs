use super::*;

use made_keys::Certificate as Made;

/// By `ssh-keygen -s ca -I 'key id' -n alice` of OpenSSH 9.2: without an end.
const ENDLESS: &str = "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIPV1BWb+Gadsbw45TZDMVQSv4qpkABrU4zPXIFiUhsAkAAAAIH4I4yy2efgLA0EF/zaifr1wWgJ9YI5ef/h1g87RFDJXAAAAAAAAAAAAAAABAAAABmtleSBpZAAAAAkAAAAFYWxpY2UAAAAAAAAAAP//////////AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAg45Yx9zrJTO6Kwkh86eH47PU7Ma9ru/fJp7QKJiYYhVEAAABTAAAAC3NzaC1lZDI1NTE5AAAAQD8anF3bSrXdw/eKCJLvplErk/uXJEMG6F9ZKHo6Inu0yEWyWXYaizDw06qdNUXs24CAG5FAU3MOGvHLjjQ41gw=";

/// By `ssh-keygen -s ca -I two -z 7 -n alice,bob -V … -O force-command=/bin/true -O source-address=10.0.0.0/8`.
const BOUNDED: &str = "AAAAKGVjZHNhLXNoYTItbmlzdHAyNTYtY2VydC12MDFAb3BlbnNzaC5jb20AAAAgnPtxa6k5rRQFrsnUzI18sEP8pf1Sg+5q/rtOrSmn8WEAAAAIbmlzdHAyNTYAAABBBH4ZWdL2xG9cRV/YiJs8VxxinrEEFlJeYo7SjP9JjrCLN5vbNwDZvyHsTbrf5qsO/3kkDx0Dmpq2Tu12AM7EUYsAAAAAAAAABwAAAAEAAAADdHdvAAAAEAAAAAVhbGljZQAAAANib2IAAAAAaVW5AAAAAABrNuyAAAAARgAAAA1mb3JjZS1jb21tYW5kAAAADQAAAAkvYmluL3RydWUAAAAOc291cmNlLWFkZHJlc3MAAAAOAAAACjEwLjAuMC4wLzgAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIOOWMfc6yUzuisJIfOnh+Oz1OzGva7v3yae0CiYmGIVRAAAAUwAAAAtzc2gtZWQyNTUxOQAAAEBweO9Fstrs9sUKSuC62Vvh1DzGhkZa2S3LokQXVa7hCAmz+rvbaNYDFdCpsDyG6FclGVbGkvYYjaAaThR2+uIA";

const ED25519: &str = "ssh-ed25519-cert-v01@openssh.com";
const ECDSA: &str = "ecdsa-sha2-nistp256-cert-v01@openssh.com";

const AUTHORITY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOOWMfc6yUzuisJIfOnh+Oz1OzGva7v3yae0CiYmGIVR";

fn made<'a>(key: &'a str, authority: &'a str) -> Made<'a> {
    Made {
        key,
        authority,
        kind: 1,
        serial: 1,
        id: b"id",
        principals: &["alice"],
        period: (1, 2),
        options: &[],
    }
}

fn read(made: &Made<'_>) -> Result<Certificate, CertificateProblem> {
    let (kind, blob) = made.words();
    Certificate::parse_words(&kind, &blob)
}

#[test]
fn what_ssh_keygen_writes_is_read() {
    let endless = Certificate::parse_words(ED25519, ENDLESS).unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4I4yy2efgLA0EF/zaifr1wWgJ9YI5ef/h1g87RFDJX";
    assert_eq!((endless.key().line(), endless.authority().line()), (key.to_string(), AUTHORITY.to_string()));
    assert_eq!((endless.id(), endless.serial(), endless.period()), ("key id", 0, (0, u64::MAX)));
    assert_eq!(endless.principals(), ["alice"]);
    assert!(endless.is_of_user() && !endless.has_unknown_option());

    let bounded = Certificate::parse_words(ECDSA, BOUNDED).unwrap();
    assert_eq!((bounded.serial(), bounded.period()), (7, (1_767_225_600, 1_798_761_600)));
    assert_eq!(
        (bounded.principals(), bounded.key().kind()),
        (&["alice".into(), "bob".into()][..], "ecdsa-sha2-nistp256")
    );
    assert!(!bounded.has_unknown_option(), "force-command and source-address are sshd's to enforce");
    // No type but its own.
    for (kind, blob) in
        [(ECDSA, ENDLESS), (ED25519, BOUNDED), ("sk-ssh-ed25519-cert-v01@openssh.com", ENDLESS)]
    {
        assert_eq!(Certificate::parse_words(kind, blob), Err(CertificateProblem::Malformed));
    }
}

#[test]
fn a_key_of_each_type_is_found_in_its_certificate() {
    let keys = mutate::keys();
    for key in keys.iter().copied().chain([made_keys::numbered_sk(1).as_str()]) {
        let words: Vec<&str> = key.split(' ').take(2).collect();
        let line = words.join(" ");
        let Ok(plain) = PublicKey::parse(line.as_bytes()) else { continue };
        assert_eq!(
            read(&made(&line, &line)).map(|read| (read.key, read.authority)),
            Ok((plain.clone(), plain))
        );
    }
    for weak in made_keys::weak() {
        let (weak, good) = (weak.line, made_keys::numbered(1));
        assert!(matches!(read(&made(&weak, &good)), Err(CertificateProblem::Key(_))), "{weak}");
        assert!(matches!(read(&made(&good, &weak)), Err(CertificateProblem::Authority(_))), "{weak}");
    }
}

#[test]
fn whatever_is_not_exactly_a_certificate_is_none() {
    let key = made_keys::numbered(1);
    let good = made(&key, AUTHORITY);
    let problem = |made: &Made<'_>| read(made).err();
    assert_eq!(problem(&good), None);
    assert_eq!(problem(&Made { kind: 0, ..good.clone() }), Some(CertificateProblem::Malformed));
    assert_eq!(problem(&Made { kind: 3, ..good.clone() }), Some(CertificateProblem::Malformed));
    // A name that ends in C where it goes on here.
    assert_eq!(
        problem(&Made { principals: &["alice\0bob"], ..good.clone() }),
        Some(CertificateProblem::Malformed)
    );
    // Twice the same option, and options out of order.
    for options in [[("source-address", "::1"), ("source-address", "::2")], [("z", ""), ("a", "")]] {
        assert_eq!(problem(&Made { options: &options, ..good.clone() }), Some(CertificateProblem::Malformed));
    }
    let many = vec!["a"; 257];
    assert_eq!(problem(&Made { principals: &many, ..good.clone() }), Some(CertificateProblem::Malformed));
    assert_eq!(problem(&Made { principals: &many[..256], ..good.clone() }), None);
    // A certificate that signs is no key.
    let (kind, blob) = good.words();
    let nested = format!("{kind} {blob}");
    assert_eq!(
        problem(&made(&key, &nested)),
        Some(CertificateProblem::Authority(KeyProblem::TypeNotAccepted))
    );

    let bytes = mutate::from_base64(&blob);
    for cut in 0..bytes.len() {
        let blob = mutate::base64(&bytes[..cut]);
        assert_eq!(Certificate::parse_words(&kind, &blob), Err(CertificateProblem::Malformed), "{cut}");
    }
    let longer = mutate::base64(&[bytes.as_slice(), &[0]].concat());
    assert_eq!(Certificate::parse_words(&kind, &longer), Err(CertificateProblem::Malformed));
    for (kind, blob) in [
        (kind.as_str(), "A".repeat(LONGEST_CERTIFICATE + 1).as_str()),
        ("ssh-ed25519", blob.as_str()),
        ("ssh-dss-cert-v01@openssh.com", blob.as_str()),
        ("-cert-v01@openssh.com", blob.as_str()),
        ("", ""),
    ] {
        let expected = if blob.len() > LONGEST_CERTIFICATE {
            CertificateProblem::TooLong
        } else {
            CertificateProblem::Type
        };
        assert_eq!(Certificate::parse_words(kind, blob), Err(expected), "{kind}");
    }
    for blob in ["", " ", "=", "AAAA=", &format!(" {blob}"), &format!("{blob}\n"), &format!("{blob} x")] {
        assert_eq!(Certificate::parse_words(&kind, blob), Err(CertificateProblem::Malformed), "{blob:.9}");
    }
}

#[test]
fn what_a_certificate_says_is_kept_whole_and_no_more_is_made_of_it() {
    let key = made_keys::numbered(1);
    let odd = Made { id: b"a\xff\n\0b", principals: &[], serial: u64::MAX, kind: 2, ..made(&key, AUTHORITY) };
    let certificate = read(&odd).unwrap();
    assert_eq!((certificate.id(), certificate.serial()), ("a\u{fffd}\n\0b", u64::MAX));
    assert!(certificate.principals().is_empty() && !certificate.is_of_user());
    for (options, is_unknown) in [
        (&[("force-command", "id"), ("source-address", "::1"), ("verify-required", "")][..], false),
        (&[("source-adress", "::1")][..], true),
        (&[("", "")][..], true),
        (&[("permit-pty", "")][..], true),
    ] {
        let certificate = read(&Made { options, ..made(&key, AUTHORITY) }).unwrap();
        assert_eq!(certificate.has_unknown_option(), is_unknown, "{options:?}");
    }
}

/// What is read of whatever comes holds.
fn is_sound(kind: &str, blob: &str) {
    let Ok(certificate) = Certificate::parse_words(kind, blob) else { return };
    for key in [certificate.key(), certificate.authority()] {
        assert_eq!(PublicKey::parse(key.line().as_bytes()).as_ref(), Ok(key));
    }
    assert!(certificate.principals().iter().all(|name| !name.contains('\0')));
    assert!(kind.starts_with(certificate.key().kind().trim_end_matches("@openssh.com")));
}

#[test]
fn whatever_comes_is_a_certificate_or_is_refused() {
    let samples = [ENDLESS, BOUNDED].map(mutate::from_base64);
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let words = ["alice", "\0\0\0\u{5}alice", "ssh-ed25519", "\0\0\0\0", "force-command", ED25519, "\u{7f}"];
    mutate::each(&samples, &words, 20_000, |bytes| {
        for kind in [ED25519, ECDSA, "ssh-rsa-cert-v01@openssh.com"] {
            is_sound(kind, &mutate::base64(bytes));
        }
    });
}
