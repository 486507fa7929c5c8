"""Ends a process at the moment it is about to make its n-th system call of some kind.

The process is traced with ptrace. A filter that it installs in its own kernel context (seccomp) stops it at the calls
that are asked for and at no others, in all of its threads, so the rest runs at full speed.

A call at whose entry a process is killed is not made. What other processes can see changes only by calls that change
something, so a kill at the entry of any other call leaves what a kill at the next changing call leaves. CHANGING is
therefore all it takes to see every state that a kill can leave: of a thousand calls of a fetch it keeps about a
hundred. (A file that is mapped and shared changes without any call; nothing here maps one to write to it.)
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import signal

# Calls that can change a file system, or something else that outlives the process. Those that the machine does not know
# under this name are left out.
CHANGING = (
    *("creat", "open", "openat", "openat2", "mkdir", "mkdirat", "mknod", "mknodat"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "truncate", "ftruncate", "fallocate"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "splice", "copy_file_range", "ioctl"),
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr"),
    *("sendto", "sendmsg", "sendmmsg", "kill", "tgkill", "io_uring_enter"),
)

_PTRACE_CONT, _PTRACE_SEIZE, _PTRACE_LISTEN = 7, 0x4206, 0x4208
_OPTION_CLONE, _OPTION_FORK, _OPTION_SECCOMP, _OPTION_EXIT_KILL = 1 << 3, 1 << 1, 1 << 7, 1 << 20
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_WAIT_ALL = 0x40000000
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_STOPPING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long
_seccomp = ctypes.CDLL(ctypes.util.find_library("seccomp"))
_seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
_seccomp.seccomp_init.restype = ctypes.c_void_p
_seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
_seccomp.seccomp_rule_add_array.argtypes = [
    *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
]


def stop_at(calls: tuple[str, ...] | None) -> None:
    """Make this process stop for its tracer at the entry of the calls of these names, or of all when there are none.

    Raises OSError.
    """
    context = _seccomp.seccomp_init(_ALLOW if calls else _TRACE)
    for name in calls or ():
        number = _seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            _check(_seccomp.seccomp_rule_add_array(context, _TRACE, number, 0, None))
    _check(_seccomp.seccomp_load(context))


class Traced:
    """A child that waits for its tracer before it does anything; see `trace`."""

    def __init__(self, pid: int, go: int) -> None:
        """Trace a child that reads from the other end of the pipe `go` before it calls `stop_at`."""
        self._pid = pid
        options = _OPTION_CLONE | _OPTION_FORK | _OPTION_SECCOMP | _OPTION_EXIT_KILL
        _ptrace(_PTRACE_SEIZE, pid, options)
        os.write(go, b"!")

    def kill_at(self, number: int) -> tuple[int, int]:
        """Kill the child at its `number`-th call, if it makes so many.

        Returns its exit code, or the negative number of the signal that ended it, and the calls that it made.
        """
        made = 0
        while True:
            thread, status = os.waitpid(-1, _WAIT_ALL)
            if not os.WIFSTOPPED(status):
                if thread == self._pid:
                    return os.waitstatus_to_exitcode(status), made
                continue
            event = status >> 16
            made += event == _EVENT_SECCOMP
            if event == _EVENT_SECCOMP and made == number:
                os.kill(self._pid, signal.SIGKILL)
            else:
                self._resume(thread, event, os.WSTOPSIG(status))

    def _resume(self, thread: int, event: int, number: int) -> None:
        try:
            if event == _EVENT_STOP and number in _STOPPING:
                _ptrace(_PTRACE_LISTEN, thread, 0)
            else:
                _ptrace(_PTRACE_CONT, thread, 0 if event else number)
        except ProcessLookupError:
            # It was killed meanwhile.
            return


def _ptrace(request: int, pid: int, data: int) -> None:
    if _libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
