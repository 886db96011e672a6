"""Folders -> permanently denies this process all other files, new connections and programs.

Invariants: restrictions apply to this thread and all later ones and cannot be undone, so this runs before the
engine is loaded. Open files stay open, so the port and the settings come first. Needs no privilege, and binds
root too. Restrictions that the kernel does not support are missing from the result; the others hold. Source:
landlock(7), seccomp(2), and the kernel's include/uapi/linux/{landlock,seccomp,filter,audit}.h.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

FILES, NETWORK, PROGRAMS = "files", "network", "programs"
ALL = (FILES, NETWORK, PROGRAMS)

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1

# LANDLOCK_ACCESS_FS_*: EXECUTE is bit 0, which no rule allows.
_WRITE_FILE, _READ_FILE, _READ_DIR, _REFER, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 13, 1 << 14
# The number of bits that the kernel knows, by version of the interface.
_FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_FILE_BITS_NEWEST = 16
_OF_A_FILE = _WRITE_FILE | _READ_FILE | _TRUNCATE
# BIND_TCP and CONNECT_TCP; abstract sockets and signals to processes outside.
_NETWORK_SINCE, _NETWORK_BITS, _SCOPE_SINCE, _SCOPE_BITS = 4, 0b11, 6, 0b11

# Operations of the filter: load a word of `seccomp_data`, jump, return.
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # with EPERM
# Numbers from here on belong to the x32 interface, which has other numbers for the same calls.
_X32 = 0x40000000
# AUDIT_ARCH_*; execve, execveat; socket, connect, bind; ptrace, process_vm_readv, process_vm_writev.
_CALLS = {
    "x86_64": (0xC000003E, (59, 322), (41, 42, 49), (101, 310, 311)),
    "aarch64": (0xC00000B7, (221, 281), (198, 203, 200), (117, 270, 271)),
}
# On every architecture: io_uring_setup, which bypasses this filter; pidfd_getfd.
_CALLS_OF_ALL = (425, 438)


def enter(readable: Iterable[Path], writable: Iterable[Path]) -> tuple[str, ...]:
    """Deny all but reading `readable` and changing `writable`; return the parts of `ALL` in force."""
    if sys.platform != "linux":
        return ()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return ()
    holds = [FILES] if _confine_files(libc, readable, writable) else []
    if _refuse_calls(libc):
        holds += [NETWORK, PROGRAMS]
    return tuple(holds)


def _confine_files(libc: ctypes.CDLL, readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if version < 1:
        return False
    handled = (1 << _FILE_BITS.get(version, _FILE_BITS_NEWEST)) - 1
    words = [handled]
    if version >= _NETWORK_SINCE:
        words.append(_NETWORK_BITS)
    if version >= _SCOPE_SINCE:
        words.append(_SCOPE_BITS)
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for paths, access in ((readable, _READ_FILE | _READ_DIR), (writable, handled & ~1)):
            for path in paths:
                _allow(libc, ruleset, path, access & handled)
        return not libc.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    try:
        # Never closed: the rule refers to the inode, which /proc would drop.
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not path.is_dir():
        access &= _OF_A_FILE
    rule = struct.pack("=Qi", access, beneath)
    if libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0):
        raise OSError(ctypes.get_errno(), f"landlock_add_rule: {path}")


def _refuse_calls(libc: ctypes.CDLL) -> bool:
    """Deny starting programs, opening sockets and accessing processes; open sockets keep working."""
    calls = _CALLS.get(platform.machine())
    if calls is None:
        return False
    architecture, *numbers = calls
    refused = [number for group in numbers for number in group] + list(_CALLS_OF_ALL)
    ends_after = len(refused) + 1  # operations from the first comparison to REFUSE
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_AT_LEAST, ends_after, 0, _X32),
        *((_JUMP_EQUAL, ends_after - 1 - index, 0, number) for index, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *operation) for operation in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    return not libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)
