//! What a guest may try with URLs, hosts, addresses and paths, as tables.

use caxton_gate::{
    EnvRead, FileOpen, GuestPath, HttpConnect, HttpRequest, MessageSend, PathLook, Pattern,
    SecretUse, SocketConnect, Transport,
};
use caxton_model::Permission;

use crate::{NOW, check, gate, granted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// Refused before it is an access.
    Malformed,
}
use Answer::{Malformed, No, Yes};

fn ask(pattern: &str, method: &str, url: &str) -> Answer {
    match HttpRequest::new(method, url) {
        Err(_) => Malformed,
        Ok(request) if check(&[pattern], request.clone()).is_ok() => Yes,
        Ok(_) => No,
    }
}

#[test]
fn no_spelling_of_a_url_reaches_what_its_plain_form_does_not() {
    let repos = "http:read=api.example.com/repos/**";
    for (pattern, url, answer) in [
        // The plain form.
        (repos, "https://api.example.com/repos/a", Yes),
        (repos, "http://api.example.com/repos/a", Yes),
        (repos, "https://api.example.com/repos", Yes),
        (repos, "https://api.example.com/repos/", Yes),
        (repos, "https://api.example.com/reposx", No),
        (repos, "https://api.example.com/", No),
        (repos, "https://api.example.com/repos/a?x=/../orgs", Yes),
        // Case and escapes that mean the same.
        (repos, "HTTPS://API.Example.COM/repos/a", Yes),
        (repos, "https://api.example.com/%72epos/a", Yes),
        (repos, "https://api.example.com/REPOS/a", No),
        (repos, "https://api.example.com:443/repos/a", Yes),
        (repos, "https://api.example.com:/repos/a", Yes),
        (repos, "http://api.example.com:80/repos/a", Yes),
        // Other ports.
        (repos, "https://api.example.com:80/repos/a", No),
        (repos, "https://api.example.com:8443/repos/a", No),
        (repos, "https://api.example.com:0/repos/a", Malformed),
        (repos, "https://api.example.com:99999/repos/a", Malformed),
        // Dots.
        (repos, "https://api.example.com/repos/../orgs/a", No),
        (repos, "https://api.example.com/repos/%2e%2e/orgs/a", No),
        (repos, "https://api.example.com/repos/.%2E/orgs/a", No),
        (
            repos,
            "https://api.example.com/repos/%252e%252e/orgs",
            Malformed,
        ),
        (repos, "https://api.example.com/repos/..;/orgs", Malformed),
        (
            repos,
            "https://api.example.com/repos/%2e%2e%3b/orgs",
            Malformed,
        ),
        (repos, "https://api.example.com/repos/..%2forgs", Malformed),
        (repos, "https://api.example.com/repos/..%5corgs", Malformed),
        (repos, "https://api.example.com/orgs/../repos/a", Yes),
        // Slashes.
        (repos, "https://api.example.com/repos//a", Malformed),
        (repos, "https://api.example.com//repos/a", Malformed),
        (repos, "https://api.example.com\\repos/a", Malformed),
        (repos, "https://api.example.com/repos\\..\\orgs", Malformed),
        (repos, "https:/api.example.com/repos/a", Malformed),
        (repos, "https:api.example.com/repos/a", Malformed),
        (repos, "https:///api.example.com/repos/a", Malformed),
        (repos, "//api.example.com/repos/a", Malformed),
        // Characters that parsers drop or cut at.
        (repos, "https://api.example.com/repos/a%00b", Malformed),
        (repos, "https://api.example.com/repos/a\0b", Malformed),
        (repos, "https://api.example.com/repos/\ta", Malformed),
        (repos, "https://api.exa\nmple.com/repos/a", Malformed),
        (repos, " https://api.example.com/repos/a", Malformed),
        (
            repos,
            "https://api.example.com/repos/%0d%0aHost:x",
            Malformed,
        ),
        (repos, "https://api.example.com/repos/%zz", Malformed),
        (
            repos,
            "https://api.example.com/repos/%c0%ae%c0%ae",
            Malformed,
        ),
        // Whom it is sent to.
        (
            repos,
            "https://user:secret@api.example.com/repos/a",
            Malformed,
        ),
        (repos, "https://@api.example.com/repos/a", Malformed),
        (
            repos,
            "https://api.example.com@evil.example/repos/a",
            Malformed,
        ),
        (repos, "https://evil.example#@api.example.com/repos/a", No),
        (repos, "https://evil.example?@api.example.com/repos/a", No),
        (repos, "https://api.example.com.evil.example/repos/a", No),
        (repos, "https://api.example.com./repos/a", Malformed),
        (repos, "https://evil-api.example.com/repos/a", No),
        (repos, "https://api..example.com/repos/a", Malformed),
        (repos, "https://api%2eexample.com/repos/a", Yes),
        (repos, "https://api%00.example.com/repos/a", Malformed),
        (
            "http:read=bücher.example",
            "https://xn--bcher-kva.example/",
            Yes,
        ),
        (
            "http:read=xn--bcher-kva.example",
            "https://BÜCHER.example/",
            Yes,
        ),
        ("http:read=example.com", "https://ex\u{430}mple.com/", No),
        ("http:read=example.com", "https://ｅｘample.com/", Yes),
        // Other schemes.
        (repos, "ftp://api.example.com/repos/a", Malformed),
        (repos, "file:///repos/a", Malformed),
        (repos, "ws://api.example.com/repos/a", Malformed),
        (repos, "javascript:alert(1)", Malformed),
        // Wildcards for hosts.
        ("http:read=*.example.com", "https://a.example.com/", Yes),
        ("http:read=*.example.com", "https://a.b.example.com/", Yes),
        ("http:read=*.example.com", "https://example.com/", No),
        ("http:read=*.example.com", "https://aexample.com/", No),
        (
            "http:read=*.example.com",
            "https://a.example.com.evil.example/",
            No,
        ),
        // Wildcards for paths.
        ("http:read=a.example/x/*/z", "https://a.example/x/y/z", Yes),
        ("http:read=a.example/x/*/z", "https://a.example/x/y/y/z", No),
        ("http:read=a.example/x/*", "https://a.example/x/", No),
        ("http:read=a.example/x", "https://a.example/x/", No),
        ("http:read=a.example/x%2A", "https://a.example/x*", Yes),
        ("http:read=a.example/x%2A", "https://a.example/xy", No),
    ] {
        assert_eq!(ask(pattern, "GET", url), answer, "{pattern} {url}");
    }
}

#[test]
fn a_method_needs_its_permission() {
    for (pattern, method, answer) in [
        ("http:read=a.example", "GET", Yes),
        ("http:read=a.example", "HEAD", Yes),
        ("http:read=a.example", "OPTIONS", No),
        ("http:read=a.example", "POST", No),
        ("http:read=HEAD a.example", "GET", No),
        ("http:write=a.example", "POST", Yes),
        ("http:write=a.example", "BREW", Yes),
        ("http:write=a.example", "GET", No),
        ("http:write=PUT a.example", "PUT", Yes),
        ("http:write=PUT a.example", "POST", No),
        ("http:write=a.example", "post", Malformed),
        ("http:write=a.example", "PO ST", Malformed),
        ("http:write=a.example", "", Malformed),
    ] {
        assert_eq!(
            ask(pattern, method, "https://a.example/"),
            answer,
            "{pattern} {method}"
        );
    }
}

#[test]
fn no_wildcard_reaches_an_address_that_is_not_public() {
    for (pattern, url, answer) in [
        ("http:read=*", "https://8.8.8.8/", Yes),
        ("http:read=*:*", "http://127.0.0.1:8080/", No),
        ("http:read=127.0.0.1", "http://127.0.0.1/", No),
        ("http:read=127.0.0.1:80", "http://127.0.0.1/", Yes),
        ("http:read=127.0.0.1:8080", "http://127.0.0.1:8080/", Yes),
        ("http:read=127.0.0.1:8080", "http://127.0.0.1:9090/", No),
        ("http:read=127.0.0.1:*", "http://127.0.0.1:8080/", No),
        ("http:read=[127.0.0.0/8]", "http://127.1.2.3/", Yes),
        ("http:read=[127.0.0.0/8]:8080", "http://127.1.2.3/", No),
        ("http:read=[10.0.0.0/8]", "http://11.0.0.1/", No),
        // Spellings of 127.0.0.1: all are read as the address, and none as a name.
        ("http:read=*", "http://2130706433/", No),
        ("http:read=*", "http://0x7f000001/", No),
        ("http:read=*", "http://0x7f.1/", No),
        ("http:read=*", "http://0177.0.0.1/", No),
        ("http:read=*", "http://127.1/", No),
        ("http:read=*", "http://１２７.0.0.1/", No),
        ("http:read=*", "http://127。0。0。1/", No),
        ("http:read=*", "http://%31%32%37.0.0.1/", No),
        ("http:read=*", "http://127.0.0.256/", Malformed),
        ("http:read=*", "http://127.0.0.1./", No),
        ("http:read=127.0.0.1:80", "http://2130706433/", Yes),
        // Names of the own machine.
        ("http:read=*", "http://localhost/", No),
        ("http:read=*", "http://LOCALHOST/", No),
        ("http:read=*.localhost", "http://a.localhost/", No),
        ("http:read=localhost:8080", "http://localhost:8080/", Yes),
        ("http:read=localhost", "http://localhost/", No),
        // The other ranges.
        ("http:read=*", "http://0/", No),
        ("http:read=*", "http://10.0.0.1/", No),
        ("http:read=*", "http://100.64.0.1/", No),
        (
            "http:read=*",
            "http://169.254.169.254/latest/meta-data/",
            No,
        ),
        ("http:read=*", "http://192.168.0.1/", No),
        ("http:read=*", "http://224.0.0.1/", No),
        ("http:read=*", "http://[::]/", No),
        ("http:read=*", "http://[::1]/", No),
        ("http:read=[::1]:80", "http://[0:0:0:0:0:0:0:1]/", Yes),
        ("http:read=*", "http://[::ffff:127.0.0.1]/", No),
        ("http:read=*", "http://[::ffff:7f00:1]/", No),
        ("http:read=*", "http://[64:ff9b::7f00:1]/", No),
        ("http:read=*", "http://[2002:7f00:1::]/", No),
        ("http:read=*", "http://[fd00::1]/", No),
        ("http:read=*", "http://[fe80::1]/", No),
        ("http:read=*", "http://[fe80::1%25eth0]/", Malformed),
        ("http:read=*", "http://[2606:4700::1111]/", Yes),
        ("http:read=[fd00::/8]", "http://[fd00::1]/", Yes),
    ] {
        assert_eq!(ask(pattern, "GET", url), answer, "{pattern} {url}");
    }
}

#[test]
fn a_name_that_resolves_to_a_guarded_address_needs_a_grant_of_the_address() {
    for (patterns, url, address, allowed) in [
        (
            &["http:read=a.example"][..],
            "https://a.example/",
            "8.8.8.8",
            true,
        ),
        (
            &["http:read=a.example"],
            "https://a.example/",
            "127.0.0.1",
            false,
        ),
        (
            &["http:read=a.example:443"],
            "https://a.example/",
            "127.0.0.1",
            false,
        ),
        (&["http:read=*"], "https://a.example/", "10.0.0.5", false),
        (
            &["http:read=a.example", "http:read=*:*"],
            "https://a.example/",
            "10.0.0.5",
            false,
        ),
        (
            &["http:read=a.example", "http:read=10.0.0.5:443"],
            "https://a.example/",
            "10.0.0.5",
            true,
        ),
        (
            &["http:read=a.example", "http:read=10.0.0.5:443"],
            "https://a.example/",
            "10.0.0.6",
            false,
        ),
        (
            &["http:read=a.example", "http:read=10.0.0.5:443/x"],
            "https://a.example/",
            "10.0.0.5",
            false,
        ),
        (
            &["http:read=a.example", "http:read=[10.0.0.0/8]"],
            "https://a.example/",
            "10.0.0.6",
            true,
        ),
        (
            &["http:read=a.example", "http:read=[10.0.0.0/8]"],
            "https://a.example/",
            "::ffff:10.0.0.6",
            false,
        ),
        (
            &["http:read=localhost:80"],
            "http://localhost/",
            "127.0.0.1",
            true,
        ),
        (
            &["http:read=localhost:80"],
            "http://localhost/",
            "::1",
            true,
        ),
        (
            &["http:read=localhost:80"],
            "http://localhost/",
            "10.0.0.1",
            false,
        ),
        (
            &["http:read=a.example", "http:read=![8.0.0.0/8]"],
            "https://a.example/",
            "8.8.8.8",
            true,
        ),
    ] {
        let gate = gate(&granted(patterns));
        let request = HttpRequest::new("GET", url).unwrap();
        let request = gate.check(request, NOW).unwrap();
        let connect = HttpConnect::new(&request, address.parse().unwrap());
        let answer = gate.check(connect, NOW);
        assert_eq!(
            answer.is_ok(),
            allowed,
            "{patterns:?} {url} {address}: {answer:?}"
        );
    }
}

#[test]
fn a_socket_reaches_what_its_pattern_names() {
    for (pattern, host, address, port, allowed) in [
        (
            "net:tcp=db.example:5432",
            Some("db.example"),
            "8.8.8.8",
            5432,
            true,
        ),
        (
            "net:tcp=db.example:5432",
            Some("db.example"),
            "8.8.8.8",
            5433,
            false,
        ),
        ("net:tcp=db.example:5432", None, "8.8.8.8", 5432, false),
        (
            "net:tcp=db.example:*",
            Some("db.example"),
            "8.8.8.8",
            1,
            true,
        ),
        (
            "net:tcp=db.example",
            Some("db.example"),
            "8.8.8.8",
            443,
            false,
        ),
        (
            "net:tcp=db.example:5432",
            Some("db.example"),
            "10.0.0.1",
            5432,
            false,
        ),
        ("net:tcp=10.0.0.1:5432", None, "10.0.0.1", 5432, true),
        ("net:tcp=[10.0.0.0/8]:*", None, "10.0.0.1", 5432, true),
        ("net:tcp=*:*", None, "10.0.0.1", 5432, false),
        ("net:udp=8.8.8.8:53", None, "8.8.8.8", 53, false),
    ] {
        let host = host.map(|host| caxton_gate::Host::parse(host).unwrap());
        let address = address.parse().unwrap();
        let connect = SocketConnect::new(Transport::Tcp, host, address, port).unwrap();
        assert_eq!(
            check(&[pattern], connect).is_ok(),
            allowed,
            "{pattern} {address}:{port}"
        );
    }
}

#[test]
fn no_spelling_of_a_path_leaves_its_directory() {
    let long = format!("/data/in/{}", "a/".repeat(3_000));
    let wide = format!("/data/in/{}", "a".repeat(256));
    let reads = "fs:read=/data/in/**";
    for (pattern, path, answer) in [
        (reads, "/data/in/a.txt", Yes),
        (reads, "/data/in", Yes),
        (reads, "/data/in/a/b/c", Yes),
        (reads, "/data/inx", No),
        (reads, "/data/IN/a", No),
        (reads, "/data", No),
        (reads, "/", No),
        (reads, "/data/in/..", Malformed),
        (reads, "/data/in/../out", Malformed),
        (reads, "/data/in/./a", Malformed),
        (reads, "/data/in//a", Malformed),
        (reads, "/data/in/a/", Malformed),
        (reads, "data/in/a", Malformed),
        (reads, "", Malformed),
        (reads, "/data/in/a\0b", Malformed),
        (reads, "/data/in/a\nb", Malformed),
        (reads, "/data/in\\..\\out", Malformed),
        (reads, &long, Malformed),
        (reads, &wide, Malformed),
        (reads, "/data/in/%2e%2e/out", Yes),
        (reads, "/data/in/*", Malformed),
        // Bytes are compared: neither case nor composition is folded.
        ("fs:read=/data/caf\u{e9}/**", "/data/cafe\u{301}/a", No),
        ("fs:read=/data/\u{130}/**", "/data/i/a", No),
        ("fs:read=/data/*.txt", "/data/a.txt", Yes),
        ("fs:read=/data/*.txt", "/data/a/b.txt", No),
        ("fs:read=/data/a", "/data/a/b", No),
        ("fs:read=/", "/", Yes),
        ("fs:read=/**", "/", Yes),
        ("fs:write=/data/in/**", "/data/in/a", No),
    ] {
        let got = match GuestPath::parse(path) {
            Err(_) => Malformed,
            Ok(path) if check(&[pattern], FileOpen::new(path.clone(), false)).is_ok() => Yes,
            Ok(_) => No,
        };
        assert_eq!(got, answer, "{pattern} {path:.60}");
    }
}

#[test]
fn writes_leave_the_data_directory_only_where_a_grant_names_the_other_one() {
    for (pattern, path, allowed) in [
        ("fs:write=/data/**", "/data/a", true),
        ("fs:write=/**", "/data/a", true),
        ("fs:write=/**", "/data", false),
        ("fs:write=/**", "/etc/a", false),
        ("fs:write=/*/a", "/etc/a", false),
        ("fs:write=/etc/*/a/**", "/etc/x/a/b", false),
        ("fs:write=/out/**", "/out/a", true),
        ("fs:write=/out/a", "/out/a", true),
        ("fs:write=/**", "/datax/a", false),
    ] {
        let open = FileOpen::new(GuestPath::parse(path).unwrap(), true);
        assert_eq!(check(&[pattern], open).is_ok(), allowed, "{pattern} {path}");
    }
}

#[test]
fn a_relative_path_stays_below_its_directory() {
    let directory = GuestPath::parse("/data/in").unwrap();
    for (relative, joined) in [
        ("a", Some("/data/in/a")),
        ("./a//b/", Some("/data/in/a/b")),
        (".", Some("/data/in")),
        ("", Some("/data/in")),
        ("..", None),
        ("a/../../x", None),
        ("/etc", None),
        ("a\0", None),
    ] {
        let got = directory.join(relative);
        assert_eq!(
            got.as_ref().ok().map(GuestPath::as_str),
            joined,
            "{relative}"
        );
    }
    let root = GuestPath::parse("/").unwrap();
    assert_eq!(root.join("a").unwrap().as_str(), "/a");
    assert_eq!(root.join(".").unwrap().as_str(), "/");
}

#[test]
fn forbids_win_over_every_grant_and_every_spelling() {
    let github = [
        "http:read=api.github.com",
        "http:read=!api.github.com/orgs/**",
    ];
    for (url, allowed) in [
        ("https://api.github.com/repos/a", true),
        ("https://api.github.com/orgs", false),
        ("https://api.github.com/orgs/a", false),
        ("https://api.github.com/%6frgs/a", false),
        ("https://api.github.com/repos/../orgs/a", false),
        ("https://API.github.com/orgs/a", false),
        ("http://api.github.com/orgs/a", false),
    ] {
        let request = HttpRequest::new("GET", url).unwrap();
        assert_eq!(check(&github, request).is_ok(), allowed, "{url}");
    }
    // A forbid without a port is for all of them.
    let ports = ["http:read=*:*", "http:read=!evil.example"];
    let request = HttpRequest::new("GET", "https://evil.example:8443/").unwrap();
    assert!(check(&ports, request).is_err());
    let files = ["fs:read=/data/in/**", "fs:read=!/data/in/private/**"];
    for (path, allowed) in [
        ("/data/in/a", true),
        ("/data/in/private", false),
        ("/data/in/private/a", false),
    ] {
        let path = GuestPath::parse(path).unwrap();
        assert_eq!(
            check(&files, FileOpen::new(path.clone(), false)).is_ok(),
            allowed
        );
        assert_eq!(check(&files, PathLook::new(path)).is_ok(), allowed);
    }
    let names = ["env:read=*", "env:read=!HOME"];
    assert!(check(&names, EnvRead::new("TZ").unwrap()).is_ok());
    assert!(check(&names, EnvRead::new("HOME").unwrap()).is_err());
}

#[test]
fn messages_go_where_the_names_say() {
    for (pattern, to, own, allowed) in [
        ("message:send=own:*", "peer", true, true),
        ("message:send=own:*", "acme/peer", false, false),
        ("message:send=acme/*", "acme/peer", false, true),
        ("message:send=worker-*", "worker-1", false, true),
        ("message:send=worker-*", "acme/worker-1", false, false),
        (
            "message:send=capability:translate",
            "capability:translate",
            false,
            true,
        ),
        ("message:send=df", "df", true, true),
        ("message:send=df", "ams", true, false),
    ] {
        let send = MessageSend::new(to, own).unwrap();
        assert_eq!(check(&[pattern], send).is_ok(), allowed, "{pattern} {to}");
    }
    for bad in ["", "a\nb", "*"] {
        assert!(MessageSend::new(bad, false).is_err(), "{bad:?}");
    }
}

#[test]
fn a_secret_goes_to_its_host_in_its_header_over_an_encrypted_connection() {
    let token = "secret:use=token@api.example.com Authorization: Bearer {}";
    for (pattern, url, name, header, allowed) in [
        (
            token,
            "https://api.example.com/x",
            "token",
            "authorization: Bearer {}",
            true,
        ),
        (
            token,
            "https://api.example.com/x",
            "token",
            "X-Token: {}",
            false,
        ),
        (
            token,
            "https://api.example.com/x",
            "token",
            "Authorization: {}",
            false,
        ),
        (
            token,
            "https://api.example.com/x",
            "other",
            "Authorization: Bearer {}",
            false,
        ),
        (
            token,
            "https://evil.example/x",
            "token",
            "Authorization: Bearer {}",
            false,
        ),
        (
            token,
            "http://api.example.com/x",
            "token",
            "Authorization: Bearer {}",
            false,
        ),
        (
            token,
            "https://api.example.com:8443/",
            "token",
            "Authorization: Bearer {}",
            false,
        ),
        (
            "secret:use=t*@*.example.com",
            "https://api.example.com/",
            "token",
            "X: {}",
            true,
        ),
    ] {
        let gate = gate(&granted(&["http:read=*:*", pattern]));
        let request = gate
            .check(HttpRequest::new("GET", url).unwrap(), NOW)
            .unwrap();
        let used = SecretUse::new(name, &request, header).unwrap();
        assert_eq!(
            gate.check(used, NOW).is_ok(),
            allowed,
            "{pattern} {url} {name} {header}"
        );
    }
}

#[test]
fn a_pattern_that_could_be_misread_is_refused_with_the_reason() {
    for (permission, text, said) in [
        (
            Permission::HttpRead,
            "https://a.example",
            "without a scheme",
        ),
        (Permission::HttpRead, "user@a.example", "no user"),
        (Permission::HttpRead, "a.example:http", "no port"),
        (Permission::HttpRead, "a.example:0", "no port"),
        (Permission::HttpRead, "a.example:080", "no port"),
        (Permission::HttpRead, "a.example/x?y", "holds `?`"),
        (Permission::HttpRead, "a.example//x", "empty segment"),
        (Permission::HttpRead, "a.example/../x", "`..` segment"),
        (Permission::HttpRead, "a.example/%2e%2e/x", "`..` segment"),
        (Permission::HttpRead, "a.example/%2f", "%2F"),
        (Permission::HttpRead, "a.example/x**", "stands alone"),
        (
            Permission::HttpRead,
            "a*.example",
            "stands alone or as `*.`",
        ),
        (
            Permission::HttpRead,
            "a.*.example",
            "stands alone or as `*.`",
        ),
        (Permission::HttpRead, "*.127.0.0.1", "no names under it"),
        (
            Permission::HttpRead,
            "2130706433",
            "write the address as `127.0.0.1`",
        ),
        (
            Permission::HttpRead,
            "10.0.0.0/8",
            "write a range as `[10.0.0.0/8]`",
        ),
        (Permission::HttpRead, "[10.0.0.1/8]", "begins at `10.0.0.0`"),
        (Permission::HttpRead, "[0.0.0.0/0]", "8 to 32 bits"),
        (Permission::HttpRead, "[::/0]", "7 to 128 bits"),
        (
            Permission::HttpRead,
            "POST a.example",
            "needs the permission `http:write`",
        ),
        (
            Permission::HttpWrite,
            "GET a.example",
            "needs the permission `http:read`",
        ),
        (Permission::HttpWrite, "post a.example", "upper case"),
        (Permission::HttpRead, "", ""),
        (Permission::FsRead, "data", "begins with `/`"),
        (Permission::FsRead, "/data/", "at its end"),
        (Permission::FsRead, "/data/../x", "`..`"),
        (Permission::EnvRead, "", "empty"),
        (Permission::EnvRead, "A\u{1b}[2J", "U+001B"),
        (Permission::RandomSecure, "x", "no patterns"),
        (Permission::SecretUse, "token", "NAME@host"),
        (Permission::SecretUse, "t@a.example/x", "not for a path"),
        (
            Permission::SecretUse,
            "t@a.example Authorization",
            "Authorization: Bearer {}",
        ),
        (Permission::SecretUse, "t@a.example X: y", "holds `{}` once"),
    ] {
        let error = Pattern::parse(permission, text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}
