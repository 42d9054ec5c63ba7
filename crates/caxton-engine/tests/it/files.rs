//! Granted files: what works, what each attack comes to, and what the limits allow.

use std::{
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
};

use caxton_gate::{Grant, Grants, PermissionRule};
use caxton_model::{LimitName, Permission, Timestamp};

use crate::script::*;

#[test]
fn everything_that_a_program_does_with_a_directory_works() {
    let world = World::writable();
    world.put("greeting", "hello, world");
    let mut s = Script::default();
    let mut well = vec![
        s.path("path_create_directory", b"d"),
        s.open(b"d/f", CREATE | EXCLUSIVE, READ | WRITE),
        s.write(4, b"0123456789"),
        s.pwrite(4, b"AB", 2),
    ];
    let seek = s.asks("fd_seek", &[4, -4, 2]);
    let tell = s.asks("fd_tell", &[4]);
    let read = s.read(4, 100);
    let pread = s.pread(4, 5, 1);
    let stat = s.asks("fd_filestat_get", &[4]);
    well.extend([seek, tell, read, pread, stat]);
    well.push(s.call("fd_filestat_set_size", &[4, 4]));
    well.push(s.call("fd_allocate", &[4, 0, 20]));
    well.push(s.call("fd_advise", &[4, 0, 0, 1]));
    well.push(s.call(
        "fd_filestat_set_times",
        &[4, 1_000_000_007, 2_000_000_009, 1 | 4],
    ));
    well.extend([s.call("fd_sync", &[4]), s.call("fd_datasync", &[4])]);
    let times = s.stat(b"d/f", 1);
    let appending = s.open_as(3, 1, b"d/f", TRUNCATE, WRITE, 1);
    well.extend([times, appending]);
    well.extend([
        s.write(5, b"one "),
        s.write(5, b"two"),
        s.call("fd_fdstat_set_flags", &[5, 0]),
    ]);
    let fd_stat = s.asks("fd_fdstat_get", &[5]);
    well.extend([fd_stat, s.close(5)]);
    well.push(s.link(b"d/f", 3, b"d/hard"));
    well.push(s.symlink(b"f", b"d/soft"));
    let target = s.readlink(b"d/soft");
    let through = s.open(b"d/soft", 0, READ);
    let linked = s.read(5, 100);
    let directory = s.open(b"d/", DIRECTORY, 0);
    let listing = s.readdir(6);
    let from_directory = s.open_at(6, b"./hard", 0, READ);
    well.extend([target, through, linked, directory, listing, from_directory]);
    well.push(s.rename(b"d/hard", b"moved"));
    well.push(s.path("path_unlink_file", b"moved"));
    well.push(s.path("path_unlink_file", b"d/soft"));
    well.push(s.rename(b"d", b"e"));
    // A descriptor of a directory that was moved leads on to it.
    let in_moved = s.open_at(6, b"f", 0, READ);
    well.extend([in_moved, s.path("path_unlink_file", b"e/f")]);
    well.push(s.path("path_remove_directory", b"e"));
    well.push(s.call("fd_renumber", &[5, 7]));
    let renumbered = s.pread(7, 3, 0);
    let closed = s.pread(5, 3, 0);
    let preopened = s.asks("fd_prestat_get", &[3]);
    let name = s.fills("fd_prestat_dir_name", &[3], 8);
    let no_more = s.asks("fd_prestat_get", &[4]);
    let other = s.open(b"greeting", 0, READ);
    let greeting = s.read(5, 100);
    well.extend([renumbered, preopened, name, other, greeting]);

    let ran = world.run(&s);
    assert!(ran.fault.is_none(), "{:?}", ran.fault);
    for call in well {
        assert_eq!(ran.errno(call), SUCCESS, "call {call}: {:?}", ran.logs);
    }
    assert_eq!((ran.number(seek, 0), ran.number(tell, 0)), (6, 6));
    assert_eq!(
        (ran.bytes(read), ran.bytes(pread)),
        (&b"6789"[..], &b"1AB45"[..])
    );
    // Type, names, length.
    let numbers = [16, 24, 32].map(|at| ran.number(stat, at));
    assert_eq!(numbers, [4, 1, 10]);
    assert_eq!(
        [32, 40, 48].map(|at| ran.number(times, at)),
        [20, 1_000_000_007, 2_000_000_009]
    );
    assert_eq!(ran.number(fd_stat, 0) & 0xff, 4);
    assert_eq!(ran.number(fd_stat, 8) & (1 << 1 | 1 << 6), 1 << 6);
    assert_eq!(
        (ran.bytes(target), ran.bytes(linked)),
        (&b"f"[..], &b"one two"[..])
    );
    assert_eq!(ran.names(listing), ["f", "hard", "soft"]);
    assert_eq!(
        (ran.bytes(renumbered), ran.errno(closed)),
        (&b"one"[..], BADF)
    );
    assert_eq!(
        (ran.number(preopened, 4) & 0xff, ran.errno(no_more)),
        (8, BADF)
    );
    assert_eq!(&ran.buffer(name)[..8], b"/data/in");
    assert_eq!(ran.bytes(greeting), b"hello, world");
    let left: Vec<_> = std::fs::read_dir(world.inside()).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn without_a_grant_nothing_is_there() {
    let mut world = World::new(&[]);
    world.put("file", "text");
    let mut s = Script::default();
    let calls = [
        s.asks("fd_prestat_get", &[3]),
        s.open(b"file", 0, READ),
        s.stat(b"file", 1),
        s.readlink(b"file"),
        s.rename(b"file", b"other"),
        s.path("path_unlink_file", b"file"),
        s.path("path_create_directory", b"d"),
        s.link(b"file", 3, b"other"),
        s.readdir(3),
    ];
    // Linked without a grant, and with one of which nothing lies in the directory.
    for granted in [vec![], vec![Permission::FsRead, Permission::FsWrite]] {
        world.granted = granted.into_iter().collect();
        let ran = world.run(&s);
        for call in calls {
            assert_eq!(ran.errno(call), BADF, "call {call}");
        }
    }
    assert_eq!(world.text("file").as_deref(), Some("text"));
}

#[test]
fn what_is_granted_to_be_read_is_not_changed() {
    let world = World::new(&["fs:read=/data/in/**"]);
    world.put("d/file", "text");
    let mut s = Script::default();
    let reads = [
        s.open(b"d/file", 0, READ),
        s.read(4, 10),
        s.stat(b"d", 0),
        s.readdir(3),
    ];
    let refused = [
        s.open(b"d/file", 0, READ | WRITE),
        s.open(b"d/file", TRUNCATE, READ),
        s.open(b"new", CREATE, READ),
        s.open(b"new", CREATE, WRITE),
        s.rename(b"d/file", b"d/other"),
        s.rename(b"d", b"e"),
        s.path("path_unlink_file", b"d/file"),
        s.path("path_remove_directory", b"d"),
        s.path("path_create_directory", b"new"),
        s.link(b"d/file", 3, b"hard"),
        s.symlink(b"d/file", b"soft"),
        s.call("fd_filestat_set_times", &[4, 0, 0, 2]),
    ];
    let unwritable = [
        s.write(4, b"x"),
        s.pwrite(4, b"x", 0),
        s.call("fd_filestat_set_size", &[4, 0]),
        s.call("fd_allocate", &[4, 0, 100]),
    ];
    let ran = world.run(&s);
    for call in reads {
        assert_eq!(ran.errno(call), SUCCESS, "call {call}");
    }
    for call in refused {
        assert_eq!(ran.errno(call), ACCES, "call {call}");
    }
    for call in unwritable {
        assert_eq!(ran.errno(call), BADF, "call {call}");
    }
    assert_eq!(world.text("d/file").as_deref(), Some("text"));
    assert_eq!(std::fs::read_dir(world.inside()).unwrap().count(), 1);
    for line in [
        "no: write /data/in/d/file",
        "no: change /data/in/d",
        "no: change /data/in/soft",
    ] {
        assert!(world.has_audited(line), "{line}");
    }
    assert!(
        ran.has_logged("caxton grant guest 'fs:write=/data/in/d/file'"),
        "{:?}",
        ran.logs
    );
}

#[test]
fn what_may_only_be_written_is_not_read() {
    let world = World::new(&["fs:write=/data/in/**"]);
    world.put("file", "text");
    let mut s = Script::default();
    let refused = s.open(b"file", 0, READ);
    let opened = s.open(b"file", 0, WRITE);
    let unreadable = [s.read(4, 10), s.pread(4, 10, 0)];
    // As programs replace a file in one step.
    let (created, renamed) = (s.open(b"new", CREATE, WRITE), s.rename(b"new", b"file"));
    let ran = world.run(&s);
    assert_eq!((ran.errno(refused), ran.errno(opened)), (ACCES, SUCCESS));
    assert_eq!(unreadable.map(|call| ran.errno(call)), [BADF, BADF]);
    assert_eq!((ran.errno(created), ran.errno(renamed)), (SUCCESS, SUCCESS));
}

#[test]
fn a_path_that_names_the_outside_is_refused_and_audited() {
    let world = World::writable();
    world.put("d/file", "text");
    let long = [b'a'; 256];
    let longer = b"abc/".repeat(1_100);
    let secret = world.outside.path().join("secret");
    let attacks: [(&[u8], i32); 18] = [
        (b"..", PERM),
        (b"../secret", PERM),
        (b"d/../../secret", PERM),
        (b"d/..", PERM),
        (b"./../secret", PERM),
        (b"d/./../../secret", PERM),
        (b"d/file/../../../secret", PERM),
        (b"/etc/passwd", PERM),
        (secret.as_os_str().as_bytes(), PERM),
        (b"/proc/self/cwd/secret", PERM),
        (b"//secret", PERM),
        (b"d/file\0", INVAL),
        (b"\0", INVAL),
        (b"..\\secret", INVAL),
        (&long, NAMETOOLONG),
        (&longer, NAMETOOLONG),
        (b"", NOENT),
        (b"... ", NOENT),
    ];
    for (path, errno) in attacks {
        let mut s = Script::default();
        let calls = [
            s.open(path, 0, READ),
            s.stat(path, 1),
            s.readlink(path),
            s.path("path_unlink_file", path),
            s.path("path_remove_directory", path),
            s.rename(path, b"mine"),
            s.link(path, 3, b"mine"),
        ];
        let ran = world.run(&s);
        let shown = String::from_utf8_lossy(path);
        for call in calls {
            assert_eq!(ran.errno(call), errno, "call {call}: {shown}");
        }
    }
    assert!(world.has_audited("no: ../secret"), "{:?}", world.audit.0);
    assert_eq!(world.text("../secret").as_deref(), Some("the secret"));
    assert_eq!(world.text("d/file").as_deref(), Some("text"));
}

#[test]
fn a_trailing_slash_or_dot_makes_no_file_a_directory() {
    let world = World::writable();
    world.put("file", "text");
    world.put("d/x", "");
    symlink("d", world.inside().join("link")).unwrap();
    for path in [&b"file/"[..], b"file/.", b"file//", b"file/./"] {
        let mut s = Script::default();
        let calls = [
            s.open(path, 0, READ),
            s.stat(path, 1),
            s.path("path_unlink_file", path),
            s.rename(path, b"other"),
            s.link(path, 3, b"other"),
        ];
        let ran = world.run(&s);
        for call in calls {
            assert_eq!(ran.errno(call), NOTDIR, "call {call}");
        }
    }
    let mut s = Script::default();
    let (a, b) = (
        s.open(b"new/", CREATE, WRITE),
        s.path("path_remove_directory", b"link/"),
    );
    let (c, d) = (s.open(b"./d/.//", DIRECTORY, 0), s.stat(b"link/", 0));
    let ran = world.run(&s);
    assert_eq!((ran.errno(a), ran.errno(b)), (ISDIR, NOTDIR));
    assert_eq!((ran.errno(c), ran.errno(d)), (SUCCESS, SUCCESS));
    assert_eq!(ran.number(d, 16), 3);
    assert_eq!(world.text("file").as_deref(), Some("text"));
}

#[test]
fn no_link_of_the_host_leads_out() {
    let world = World::writable();
    world.put("d/file", "text");
    let inside = world.inside();
    let secret = world.outside.path().join("secret");
    symlink("../secret", inside.join("up")).unwrap();
    symlink("..", inside.join("parent")).unwrap();
    symlink("d/../../secret", inside.join("through")).unwrap();
    symlink(&secret, inside.join("absolute")).unwrap();
    symlink("/proc/self/root", inside.join("magic")).unwrap();
    symlink("/proc/self/fd/0", inside.join("descriptor")).unwrap();
    symlink("up", inside.join("second")).unwrap();
    for path in [
        &b"up"[..],
        b"parent/secret",
        b"parent/in/up",
        b"through",
        b"absolute",
        b"magic/etc/passwd",
        b"descriptor",
        b"second",
    ] {
        let mut s = Script::default();
        let calls = [
            s.open(path, 0, READ),
            s.open(path, CREATE, WRITE),
            s.open(path, TRUNCATE, WRITE),
            s.stat(path, 1),
        ];
        let ran = world.run(&s);
        let shown = String::from_utf8_lossy(path);
        for call in calls {
            assert_eq!(ran.errno(call), PERM, "call {call}: {shown}");
        }
    }
    // The link itself may be looked at and removed; where an absolute one leads is not told.
    let mut s = Script::default();
    let (own, told) = (s.stat(b"up", 0), s.readlink(b"absolute"));
    let (kept, removed) = (
        s.open_as(3, 0, b"up", 0, READ, 0),
        s.path("path_unlink_file", b"up"),
    );
    let ran = world.run(&s);
    assert_eq!((ran.errno(own), ran.number(own, 16)), (SUCCESS, 7));
    assert_eq!(
        (ran.errno(told), ran.errno(kept), ran.errno(removed)),
        (PERM, LOOP, SUCCESS)
    );
    assert_eq!(world.text("../secret").as_deref(), Some("the secret"));
}

#[test]
fn a_guest_makes_no_link_that_leads_out() {
    let world = World::writable();
    world.put("d/file", "text");
    let mut s = Script::default();
    let calls = [
        s.symlink(b"../secret", b"a"),
        s.symlink(b"d/../../secret", b"b"),
        s.symlink(b"/etc/passwd", b"c"),
        s.symlink(b"../../secret", b"d/e"),
        s.link(b"../secret", 3, b"f"),
    ];
    let inside = s.symlink(b"../d/file", b"d/g");
    let opened = s.open(b"d/g", 0, READ);
    let ran = world.run(&s);
    for call in calls {
        assert_eq!(ran.errno(call), PERM, "call {call}");
    }
    assert_eq!((ran.errno(inside), ran.errno(opened)), (SUCCESS, SUCCESS));
    assert_eq!(std::fs::read_dir(world.inside()).unwrap().count(), 1);
    assert!(ran.has_logged("leads out"), "{:?}", ran.logs);
}

#[test]
fn a_loop_of_links_ends() {
    let world = World::writable();
    let inside = world.inside();
    symlink("b", inside.join("a")).unwrap();
    symlink("a", inside.join("b")).unwrap();
    symlink("self/x", inside.join("self")).unwrap();
    let mut s = Script::default();
    let calls = [
        s.open(b"a", CREATE, READ | WRITE),
        s.open(b"a/x", 0, READ),
        s.stat(b"self", 1),
        s.stat(b"self/self/self", 0),
    ];
    let ran = world.run(&s);
    for call in calls {
        assert_eq!(ran.errno(call), LOOP, "call {call}");
    }
}

#[test]
fn a_link_gives_nothing_that_is_not_granted_where_it_leads() {
    let world = World::new(&[
        "fs:read=/data/in/**",
        "fs:write=/data/in/**",
        "fs:read=!/data/in/private/**",
        "fs:write=!/data/in/private/**",
    ]);
    world.put("private/key", "the key");
    world.put("public/file", "text");
    symlink("private", world.inside().join("door")).unwrap();
    let mut s = Script::default();
    let refused = [
        s.open(b"private/key", 0, READ),
        s.stat(b"private/key", 1),
        s.open(b"door/key", 0, READ),
        s.stat(b"door/key", 1),
        s.open(b"private", DIRECTORY, 0),
        s.link(b"private/key", 3, b"mine"),
        s.link(b"door/key", 3, b"mine"),
        s.rename(b"private/key", b"mine"),
        s.rename(b"door/key", b"mine"),
        s.rename(b"private", b"mine"),
        s.rename(b"public", b"private/public"),
    ];
    let made = s.symlink(b"../private/key", b"public/way");
    let way = s.open(b"public/way", 0, READ);
    let listing = s.readdir(3);
    let ran = world.run(&s);
    for call in refused {
        assert_eq!(ran.errno(call), ACCES, "call {call}");
    }
    assert_eq!((ran.errno(made), ran.errno(way)), (SUCCESS, ACCES));
    assert_eq!(ran.names(listing), ["door", "public"]);
    assert!(
        world.has_audited("no: look at /data/in/private/key"),
        "{:?}",
        world.audit.0
    );
}

#[test]
fn a_directory_does_not_carry_away_what_is_not_granted_in_it() {
    let world = World::new(&[
        "fs:read=/data/in/**",
        "fs:write=/data/in/**",
        "fs:read=!/data/in/d/private/**",
    ]);
    world.put("d/private/key", "the key");
    let mut s = Script::default();
    let (moved, read) = (s.rename(b"d", b"e"), s.open(b"e/private/key", 0, READ));
    let ran = world.run(&s);
    assert_eq!((ran.errno(moved), ran.errno(read)), (ACCES, NOENT));
    assert!(
        ran.has_logged("not all below it is granted"),
        "{:?}",
        ran.logs
    );
}

#[test]
fn a_read_only_directory_gives_no_second_name_to_write_by() {
    let mut world = World::new(&[
        "fs:read=/data/in/**",
        "fs:read=/data/out/**",
        "fs:write=/data/out/**",
    ]);
    world.put("file", "text");
    let out = world.outside.path().join("out");
    std::fs::create_dir(&out).unwrap();
    world.directories.push(("/data/out".to_owned(), out));
    let mut s = Script::default();
    let refused = [
        s.link(b"file", 4, b"mine"),
        s.rename_to(b"file", 4, b"mine"),
        s.open_at(4, b"../in/file", 0, WRITE),
    ];
    let ran = world.run(&s);
    assert_eq!(refused.map(|call| ran.errno(call)), [ACCES, ACCES, PERM]);
    assert_eq!(world.text("file").as_deref(), Some("text"));
}

#[test]
fn neither_fifos_nor_sockets_nor_devices_are_opened() {
    let world = World::writable();
    let inside = world.inside();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, inside.join("fifo"), fifo, mode, 0).unwrap();
    let _listener = UnixListener::bind(inside.join("socket")).unwrap();
    let mut s = Script::default();
    let mut calls = Vec::new();
    for path in [&b"fifo"[..], b"socket"] {
        calls.extend([
            s.open(path, 0, READ),
            s.open(path, 0, WRITE),
            s.open(path, CREATE | TRUNCATE, READ | WRITE),
            s.link(path, 3, b"mine"),
        ]);
    }
    let looked = s.stat(b"fifo", 1);
    let ran = world.run(&s);
    for call in calls {
        assert_eq!(ran.errno(call), PERM, "call {call}");
    }
    assert_eq!(ran.errno(looked), SUCCESS);
    // A directory of devices that somebody mapped by mistake.
    let mut devices = World::new(&["fs:read=/dev/**", "fs:write=/dev/*"]);
    devices.directories = vec![("/dev".to_owned(), "/dev".into())];
    let mut s = Script::default();
    let calls = [
        s.open(b"null", 0, READ),
        s.open(b"zero", 0, WRITE),
        s.open(b"tty", 0, READ),
    ];
    let ran = devices.run(&s);
    assert_eq!(calls.map(|call| ran.errno(call)), [PERM; 3]);
}

#[test]
fn the_mapped_directory_itself_stays() {
    let world = World::writable();
    let mut s = Script::default();
    let calls = [
        (s.path("path_unlink_file", b"."), ISDIR),
        (s.path("path_remove_directory", b"."), BUSY),
        (s.path("path_remove_directory", b"./"), BUSY),
        (s.rename(b".", b"x"), BUSY),
        (s.path("path_create_directory", b"."), EXIST),
        (s.symlink(b"x", b"."), EXIST),
        (s.open(b".", CREATE, WRITE), ISDIR),
        (s.open(b".", DIRECTORY, 0), SUCCESS),
        (s.stat(b".", 1), SUCCESS),
    ];
    let ran = world.run(&s);
    for (call, errno) in calls {
        assert_eq!(ran.errno(call), errno, "call {call}");
    }
    assert!(world.inside().is_dir());
}

/// Somebody puts a link in the place of a directory, and back, while the guest opens a file in it.
#[test]
fn a_race_of_renames_never_opens_the_outside() {
    let world = World::writable();
    world.put("d/secret", "inside");
    let inside = world.inside();
    symlink("..", inside.join("l")).unwrap();
    let (is_over, mut s) = (AtomicBool::new(false), Script::default());
    let mut reads = Vec::new();
    for _ in 0..30 {
        let opened = s.open(b"d/secret", 0, READ);
        let read = s.pread(4, 20, 0);
        s.close(4);
        reads.push((opened, read));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let [d, l] = ["d", "l"].map(|name| inside.join(name));
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, &d, cwd, &l, flags).unwrap();
            }
        });
        for _ in 0..40 {
            let ran = world.run(&s);
            for (opened, read) in &reads {
                match ran.errno(*opened) {
                    SUCCESS => assert_eq!(ran.bytes(*read), b"inside"),
                    errno => assert!([PERM, LOOP, NOTDIR, NOENT].contains(&errno), "{errno}"),
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_file_stays_within_file_bytes_by_whatever_way_it_grows() {
    let world = World::writable().limited(&[(LimitName::FileBytes, 100)]);
    world.put("large", &"x".repeat(200));
    let mut s = Script::default();
    let opened = s.open(b"f", CREATE, READ | WRITE);
    let fits = s.write(4, &[b'x'; 100]);
    let refused = [
        s.write(4, b"x"),
        s.pwrite(4, b"x", 100),
        s.pwrite(4, b"x", 1 << 40),
        s.pwrite(4, b"x", i64::MAX),
        s.call("fd_filestat_set_size", &[4, 101]),
        s.call("fd_filestat_set_size", &[4, i64::MAX]),
        s.call("fd_allocate", &[4, 50, 51]),
        s.call("fd_allocate", &[4, i64::MAX, i64::MAX]),
    ];
    let appending = s.open_as(3, 1, b"f", 0, WRITE, 1);
    let appended = s.write(5, b"x");
    let in_place = s.pwrite(4, b"yy", 98);
    // What is longer already may be written to, but not made longer.
    let (large, over) = (s.open(b"large", 0, READ | WRITE), s.pwrite(6, b"yy", 150));
    let longer = s.pwrite(6, b"yy", 199);
    let ran = world.run(&s);
    for call in [opened, fits, appending, in_place, large, over] {
        assert_eq!(ran.errno(call), SUCCESS, "call {call}");
    }
    for call in refused.into_iter().chain([appended, longer]) {
        assert_eq!(ran.errno(call), FBIG, "call {call}");
    }
    assert!(
        ran.has_logged("limit `file_bytes` is 100 bytes"),
        "{:?}",
        ran.logs
    );
    assert_eq!(world.text("f").unwrap().len(), 100);
}

#[test]
fn all_that_a_guest_wrote_and_did_not_delete_stays_within_fs_bytes() {
    let world = World::writable().limited(&[(LimitName::FsBytes, 100)]);
    let mut s = Script::default();
    let mut well = vec![
        s.open(b"a", CREATE, READ | WRITE),
        s.write(4, &[b'a'; 60]),
        s.open(b"b", CREATE, READ | WRITE),
        s.write(5, &[b'b'; 40]),
    ];
    let mut refused = vec![
        s.write(5, b"b"),
        s.call("fd_filestat_set_size", &[5, 41]),
        s.pwrite(5, b"b", 1_000_000),
        s.call("fd_allocate", &[5, 0, 50]),
    ];
    // Cut short, and written again.
    well.push(s.call("fd_filestat_set_size", &[4, 10]));
    well.push(s.write(5, &[b'b'; 50]));
    refused.push(s.write(5, b"b"));
    // Deleted, but open still: it takes its room until it is closed.
    well.push(s.path("path_unlink_file", b"b"));
    refused.push(s.write(4, b"a"));
    well.push(s.close(5));
    well.push(s.write(4, &[b'a'; 40]));
    // Replaced by a rename: what was there is deleted.
    well.push(s.open(b"c", CREATE, READ | WRITE));
    well.push(s.close(4));
    well.push(s.rename(b"c", b"a"));
    well.push(s.write(5, &[b'c'; 100]));
    refused.push(s.write(5, b"c"));
    // A second name is no second file, and losing it gives nothing back.
    well.push(s.link(b"a", 3, b"d"));
    well.push(s.path("path_unlink_file", b"d"));
    refused.push(s.write(5, b"c"));
    well.push(s.open(b"a", TRUNCATE, WRITE));
    well.push(s.write(4, &[b'd'; 100]));
    let ran = world.run(&s);
    for call in well {
        assert_eq!(ran.errno(call), SUCCESS, "call {call}: {:?}", ran.logs);
    }
    for call in refused {
        assert_eq!(ran.errno(call), DQUOT, "call {call}");
    }
    assert!(
        ran.has_logged("limit `fs_bytes` is 100 bytes"),
        "{:?}",
        ran.logs
    );
    // The next instance of the same guest begins with what this one has left.
    assert_eq!(world.usage.now(), (100, 1));
    let mut s = Script::default();
    let (_, written) = (s.open(b"e", CREATE, WRITE), s.write(4, b"e"));
    assert_eq!(world.run(&s).errno(written), DQUOT);
}

#[test]
fn entries_are_counted_of_every_kind() {
    let world = World::writable().limited(&[(LimitName::FsEntries, 4)]);
    world.put("theirs", "text");
    let mut s = Script::default();
    let well = [
        s.open(b"a", CREATE, WRITE),
        s.path("path_create_directory", b"d"),
        s.symlink(b"a", b"s"),
        s.link(b"a", 3, b"h"),
    ];
    let mut refused = vec![
        s.open(b"b", CREATE, WRITE),
        s.path("path_create_directory", b"e"),
        s.symlink(b"a", b"t"),
        s.link(b"a", 3, b"i"),
    ];
    // A rename makes none, and one over another deletes it.
    let mut more = vec![s.rename(b"s", b"d/s"), s.rename(b"d/s", b"h")];
    more.push(s.open(b"b", CREATE, WRITE));
    refused.push(s.open(b"c", CREATE, WRITE));
    // What others made is not the guest's to give back.
    more.push(s.path("path_unlink_file", b"theirs"));
    refused.push(s.open(b"c", CREATE, WRITE));
    more.push(s.path("path_remove_directory", b"d"));
    more.push(s.open(b"c", CREATE, WRITE));
    let ran = world.run(&s);
    for call in well.into_iter().chain(more) {
        assert_eq!(ran.errno(call), SUCCESS, "call {call}: {:?}", ran.logs);
    }
    for call in refused {
        assert_eq!(ran.errno(call), DQUOT, "call {call}");
    }
    assert!(ran.has_logged("limit `fs_entries` is 4"), "{:?}", ran.logs);
}

/// Each look at the clock moves it.
fn ticking() -> Timestamp {
    static NOW: AtomicI64 = AtomicI64::new(0);
    Timestamp(NOW.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn a_file_that_is_open_when_its_grant_ends_ends_the_call() {
    let rule: PermissionRule = "fs:read=/data/in/**".parse().unwrap();
    let mut grants = Grants::default();
    grants.grant(
        rule.permission,
        Grant {
            rule: rule.rule,
            expires: Some(Timestamp(50)),
            reason: None,
            by: "operator".to_owned(),
            at: Timestamp(0),
        },
    );
    let mut world = World::with(grants, [Permission::FsRead].into());
    world.now = ticking;
    world.put("file", "text");
    let mut s = Script::default();
    s.open(b"file", 0, READ);
    s.open(b"file", 0, READ);
    s.pread(4, 4, 0);
    s.close(5);
    let mut again = Script::default();
    again.open(b"file", 0, READ);
    let mut reads = Vec::new();
    for _ in 0..80 {
        reads.push(again.pread(4, 4, 0));
    }
    let ran = world.run(&again);
    let fault = ran.fault.expect("the grant has ended");
    assert_eq!(fault.code.as_str(), "denied");
    assert!(fault.text.contains("ended at"), "{fault}");
    // What was not opened is as if it had never been granted.
    assert_eq!(world.run(&s).errno(0), BADF);
}

#[test]
fn a_revocation_meets_what_is_open() {
    let world = World::writable();
    world.put("file", "text");
    let gate = world.gate.clone();
    let mut s = Script::default();
    s.open(b"file", 0, READ);
    s.loop_here(None);
    s.pread(4, 4, 0);
    let fault = std::thread::scope(|scope| {
        scope.spawn(move || {
            // Once the guest has the file open.
            while gate.checks(Permission::FsRead).allowed < 2 {
                std::thread::yield_now();
            }
            gate.replace(&caxton_gate::Rights::default());
        });
        world.run(&s).fault.expect("it was revoked")
    });
    assert_eq!(fault.code.as_str(), "denied", "{fault}");
}

#[test]
fn descriptors_are_bounded() {
    let world = World::writable();
    world.put("file", "text");
    let mut s = Script::default();
    s.loop_here(Some(300));
    let opened = s.open(b"file", 0, READ);
    let ran = world.run(&s);
    // The directory is the first of 256, behind the three standard streams.
    assert_eq!((ran.errno(opened), ran.len(opened)), (MFILE, 258));
}

#[test]
fn the_environment_is_what_was_granted_of_it() {
    let mut world = World::new(&["env:read=TZ", "env:read=LANG"]);
    let pairs = [("TZ", "UTC"), ("SECRET", "x"), ("LANG", "C")];
    world.environment = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    let mut s = Script::default();
    let sizes = s.asks("environ_sizes_get", &[s.next_buffer()]);
    let at = s.next_buffer();
    let list = s.call("environ_get", &[at, at + 64]);
    let ran = world.run(&s);
    assert_eq!((ran.errno(sizes), ran.errno(list)), (SUCCESS, SUCCESS));
    assert_eq!((ran.buffer(sizes)[0], ran.len(sizes)), (2, 14));
    assert_eq!(&ran.buffer(list)[64..78], b"TZ=UTC\0LANG=C\0");
    assert!(world.has_audited("no: environment variable SECRET"));
    // Without a grant there is none at all.
    world.granted.clear();
    let ran = world.run(&s);
    assert_eq!((ran.buffer(sizes)[0], ran.len(sizes)), (0, 0));
}

#[test]
fn randomness_is_the_machines_where_that_was_granted() {
    let mut world = World::new(&["random:secure"]);
    let mut s = Script::default();
    let random = s.fills("random_get", &[], 32);
    let (one, other) = (world.run(&s), world.run(&s));
    assert_ne!(one.buffer(random)[..32], other.buffer(random)[..32]);
    assert!(world.has_audited("yes: real randomness"));
    // Without it the host's generator answers, which is seeded.
    world.granted.clear();
    let (one, other) = (world.run(&s), world.run(&s));
    assert_eq!(one.buffer(random)[..32], other.buffer(random)[..32]);
}
