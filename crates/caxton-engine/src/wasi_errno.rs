//! The error numbers of WASI preview 1.

use rustix::io::Errno;

pub(crate) const SUCCESS: i32 = 0;
pub(crate) const ACCES: i32 = 2;
pub(crate) const BADF: i32 = 8;
pub(crate) const BUSY: i32 = 10;
pub(crate) const DQUOT: i32 = 19;
pub(crate) const EXIST: i32 = 20;
pub(crate) const FBIG: i32 = 22;
pub(crate) const ILSEQ: i32 = 25;
pub(crate) const INVAL: i32 = 28;
pub(crate) const IO: i32 = 29;
pub(crate) const ISDIR: i32 = 31;
pub(crate) const LOOP: i32 = 32;
pub(crate) const MFILE: i32 = 33;
pub(crate) const NAMETOOLONG: i32 = 37;
pub(crate) const NOENT: i32 = 44;
pub(crate) const NOSYS: i32 = 52;
pub(crate) const NOTDIR: i32 = 54;
pub(crate) const NOTSOCK: i32 = 57;
pub(crate) const NOTSUP: i32 = 58;
pub(crate) const PERM: i32 = 63;
pub(crate) const SPIPE: i32 = 70;

/// The number for an error of the system.
pub(crate) fn errno_of(error: Errno) -> i32 {
    match error {
        Errno::ACCESS => ACCES,
        Errno::BADF => BADF,
        Errno::BUSY => BUSY,
        Errno::DQUOT => DQUOT,
        Errno::EXIST => EXIST,
        Errno::FBIG => FBIG,
        Errno::ILSEQ => ILSEQ,
        Errno::INTR => 27,
        Errno::INVAL => INVAL,
        Errno::ISDIR => ISDIR,
        Errno::LOOP => LOOP,
        Errno::MFILE | Errno::NFILE => MFILE,
        Errno::MLINK => 34,
        Errno::NAMETOOLONG => NAMETOOLONG,
        Errno::NOENT => NOENT,
        Errno::NOSPC => 51,
        Errno::NOSYS => NOSYS,
        Errno::NOTDIR => NOTDIR,
        Errno::NOTEMPTY => 55,
        Errno::OPNOTSUPP => NOTSUP,
        Errno::OVERFLOW => 61,
        Errno::PERM => PERM,
        Errno::ROFS => 69,
        Errno::SPIPE => SPIPE,
        Errno::TXTBSY => 74,
        // A path that leaves its directory, or a rename between two file systems.
        Errno::XDEV => 75,
        _ => IO,
    }
}
