"""Attack programs by kind: each is the body of a function that goes on to the right answer only where it got through.

What it may use besides: ``VICTIM``, a process of the same user; ``OUTSIDE``, a folder that it must not touch, with a
file ``kept`` in it; ``PORT``, where a server listens; ``call(number, ...)``, a system call that raises where it fails,
and ``asked``, which raises only where it is not permitted. One that ends in ``return 0`` counts by its effect alone;
one that sleeps for ``WAIT`` seconds has got through when it is left to sleep.
Numbers of system calls are those of x86_64.
"""

from __future__ import annotations

FCNTL = {
    "kill by F_SETOWN, F_SETSIG and O_ASYNC": """
import fcntl
r, w = os.pipe()
for command, value in ((8, VICTIM), (10, 9), (4, os.O_NONBLOCK | 0x2000)):
    fcntl.fcntl(r, command, value)
os.write(w, b'x')
return 0""",
    "kill by F_SETOWN_EX": """
import fcntl, struct
r, w = os.pipe()
fcntl.fcntl(r, 15, struct.pack('ii', 1, VICTIM))
fcntl.fcntl(r, 10, 9)
fcntl.fcntl(r, 4, 0x2000)
os.write(w, b'x')
return 0""",
    "F_SETOWN": "import fcntl; fcntl.fcntl(os.pipe()[0], 8, VICTIM)",
    "F_SETSIG": "import fcntl; fcntl.fcntl(os.pipe()[0], 10, 9)",
    "F_SETFL with O_ASYNC": "import fcntl; fcntl.fcntl(os.pipe()[0], 4, 0x2000)",
    "F_SETFL with O_ASYNC and high bits": "call(72, os.pipe()[0], 4, ctypes.c_long(0x2000 | 1 << 40))",
    "a command with high bits": "call(72, os.pipe()[0], ctypes.c_long(8 | 1 << 40), VICTIM)",
    "F_SETLEASE": "import fcntl; fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), 1024, 0)",
    "F_SETLEASE on its own file": "import fcntl; fcntl.fcntl(os.open('a', os.O_CREAT), 1024, 0)",
    "F_NOTIFY": "import fcntl; fcntl.fcntl(os.open('.', os.O_RDONLY), 1026, 2)",
    "F_SETLK": "import fcntl; fcntl.lockf(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_SH)",
    "F_OFD_SETLK": "import fcntl; fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), 37, bytes(32))",
    "F_SETPIPE_SZ": "import fcntl; fcntl.fcntl(os.pipe()[0], 1031, 1 << 20)",
    "F_SET_RW_HINT": "import fcntl; fcntl.fcntl(os.open('a', os.O_CREAT | os.O_RDWR), 1036, bytes(8))",
    "flock": "import fcntl; fcntl.flock(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_SH)",
}
ARGUMENTS = {
    "futex: a lock that lends priority": "word = ctypes.c_int(VICTIM); asked(202, ctypes.byref(word), 8, 0, 0, 0, 0)",
    "futex: wake by operation": "word = ctypes.c_int(0); call(202, ctypes.byref(word), 5, 1, 1, ctypes.byref(word), 0)",
    "madvise: poison memory": "import mmap; m = mmap.mmap(-1, 4096); m.madvise(100)",
    "madvise: take memory off line": "import mmap; m = mmap.mmap(-1, 4096); m[0] = 1; m.madvise(101)",
    "madvise: merge pages": "import mmap; m = mmap.mmap(-1, 4096); m.madvise(12)",
    "madvise: page out the library": "call(28, ctypes.pythonapi.Py_Initialize and id(int) & ~4095, 4096, 21)",
    "clock of another process": "import time; time.clock_gettime((~VICTIM << 3) | 2)",
    "membarrier on every core": "call(324, 1, 0, 0)",
    "mincore": "page = ctypes.create_string_buffer(8); call(27, ctypes.c_void_p(id(int) & ~4095), 4096, page)",
    "renameat2: a device": "open('a', 'w').close(); asked(316, -100, b'a', -100, b'b', 4)",
    "ioctl FIOSETOWN": "call(16, os.pipe()[0], 0x8901, ctypes.byref(ctypes.c_int(VICTIM)))",
    "ioctl FIOASYNC": "call(16, os.pipe()[0], 0x5452, ctypes.byref(ctypes.c_int(1)))",
    "ioctl TIOCSTI": "call(16, 0, 0x5412, b'x')",
    "ioctl FIONREAD": "call(16, os.pipe()[0], 0x541B, ctypes.byref(ctypes.c_int(0)))",
    "ioctl with high bits": "call(16, os.pipe()[0], ctypes.c_long(0x8901 | 1 << 40), ctypes.byref(ctypes.c_int(1)))",
    "prctl: a signal at the parent's end": "call(157, 1, 0)",
    "prctl: dumpable": "call(157, 4, 0)",
    "prctl: a subreaper": "call(157, 36, 1)",
    "arch_prctl": "call(158, 0x1003, ctypes.byref(ctypes.c_long(0)))",
    "pipe2: notifications": "asked(293, ctypes.create_string_buffer(8), 0x80)",
    "open: an unnamed file": "os.open('.', os.O_RDWR | os.O_TMPFILE)",
    "open: truncating by a file opened to read": "os.open(f'{OUTSIDE}/kept', os.O_RDONLY | os.O_TRUNC); return 0",
    "set_robust_list": "call(273, ctypes.create_string_buffer(24), 24)",
    "get_robust_list": "call(274, VICTIM, ctypes.create_string_buffer(8), ctypes.create_string_buffer(8))",
    "the x32 numbers": "call(39 | 0x40000000)",
}
PROCESSES = {
    "os.fork": "if os.fork() == 0: os._exit(0)",
    "os.vfork below Python": "call(58)",
    "clone": "if call(56, 17, 0, 0, 0, 0) == 0: os._exit(0)",
    "clone with CLONE_PARENT": "if call(56, 17 | 0x8000, 0, 0, 0, 0) == 0: os._exit(0)",
    "clone3": "a = (ctypes.c_ulong * 8)(0, 0, 0, 0, 17)\nif call(435, a, 64) == 0: os._exit(0)",
    "execve": "os.execv('/usr/bin/touch', ['touch', f'{OUTSIDE}/new'])",
    "fexecve": "os.execve(os.open('/usr/bin/touch', os.O_PATH), ['touch', f'{OUTSIDE}/new'], {})",
    "execveat": "call(322, -100, b'/bin/touch', (ctypes.c_char_p * 3)(b'touch', OUTSIDE.encode() + b'/x'), None, 0)",
    "subprocess": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "fork_exec": """
import importlib
m = importlib.import_module('_posixsubprocess')
r, w = os.pipe()
m.fork_exec([b'/bin/true'], [b'/bin/true'], True, (w,), None, None, -1, -1, -1, -1, -1, -1, r, w, True, False, -1,
            None, None, None, -1, None, False)""",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "os.system": "if os.system('true'): raise OSError",
    "os.popen": "if os.popen('echo a').read() != 'a\\n': raise OSError",
    "pty.fork": "import pty\nif pty.fork()[0] == 0: os._exit(0)",
    "os.spawnv": "if os.spawnv(os.P_WAIT, '/bin/true', ['true']): raise OSError",
    "multiprocessing": "import multiprocessing; multiprocessing.get_context('fork').Process(target=print).start()",
    "a pool of processes": "import concurrent.futures as c; c.ProcessPoolExecutor(1).submit(print).result(1)",
    "a thread": "import threading; threading.Thread(target=print).start()",
    "a thread below threading": "import _thread; _thread.start_new_thread(print, ())",
    "a pool of threads": "import concurrent.futures as c; c.ThreadPoolExecutor(1).submit(print).result(1)",
    "pthread_create": """
lib = ctypes.CDLL(None)
if lib.pthread_create(ctypes.byref(ctypes.c_ulong()), None, lib.getpid, None): raise OSError""",
    "unshare": "call(272, 0x10000000)",
    "io_uring": "call(425, 8, ctypes.create_string_buffer(120))",
    "io_setup": "call(206, 8, ctypes.byref(ctypes.c_ulong(0)))",
    "io_uring_register": "call(427, -1, 0, None, 0)",
}
SURVIVORS = {
    "setsid before exec": """
import subprocess
subprocess.Popen(['/bin/sleep', MARK], preexec_fn=os.setsid)""",
    "a new session": "import subprocess; subprocess.Popen(['/bin/sleep', MARK], start_new_session=True)",
    "a grandchild": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execv('/bin/sleep', ['sleep', MARK])
    os._exit(0)
os.wait()""",
    "a shell's background job": "os.system(f'setsid /bin/sleep {MARK} &'); return 0",
    "atexit": "import atexit, subprocess; atexit.register(lambda: subprocess.Popen(['/bin/sleep', MARK])); sys.exit()",
}
SIGNALS = {
    "kill": "os.kill(VICTIM, 9)",
    "kill with nothing": "os.kill(VICTIM, 0)",
    "kill the parent": "os.kill(os.getppid(), 9)",
    "kill the group": "os.kill(0, 9)",
    "kill everyone": "os.kill(-1, 9)",
    "killpg": "os.killpg(os.getpgid(VICTIM), 9)",
    "tkill": "call(200, VICTIM, 9)",
    "tgkill": "call(234, VICTIM, VICTIM, 9)",
    "rt_sigqueueinfo": "call(129, VICTIM, 9, (ctypes.c_int * 32)(9, 0, -1))",
    "pidfd": "import signal; signal.pidfd_send_signal(os.pidfd_open(VICTIM), 9)",
    "pidfd below Python": "call(424, call(434, VICTIM, 0), 9, None, 0)",
    "process_madvise": "call(440, call(434, VICTIM, 0), None, 0, 4, 0)",
    "pidfd_getfd": "call(438, call(434, VICTIM, 0), 0, 0)",
    "timer_create": "call(222, 0, None, ctypes.byref(ctypes.c_int()))",
    "mq_open": "call(240, b'polya', 0o102, 0o600, None)",
    "ptrace": "call(101, 0x4206, VICTIM, 0, 0)",
    "process_vm_readv": "b = ctypes.create_string_buffer(16); call(310, VICTIM, b, 1, b, 1, 0)",
    "process_vm_writev": "b = ctypes.create_string_buffer(16); call(311, VICTIM, b, 1, b, 1, 0)",
    "kcmp": "call(312, VICTIM, VICTIM, 0, 0, 0)",
    "move_pages": "call(279, VICTIM, 0, None, None, None, 0)",
    "priority of another": "os.setpriority(os.PRIO_PROCESS, VICTIM, 10); return 0",
    "affinity of another": "os.sched_setaffinity(VICTIM, {0}); return 0",
    "policy of another": "os.sched_setscheduler(VICTIM, os.SCHED_BATCH, os.sched_param(0)); return 0",
    "limits of another": "import resource; resource.prlimit(VICTIM, resource.RLIMIT_CPU, (1, 1)); return 0",
    "io priority of another": "call(251, 1, VICTIM, 3 << 13)",
}
NETWORK = {
    "connect": "import socket; socket.create_connection(('127.0.0.1', PORT), 1)",
    "connect below Python": "call(41, 2, 1, 0)",
    "a datagram": "import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', PORT))",
    "version 6": "import socket; socket.socket(socket.AF_INET6)",
    "a listener": "import socket; socket.create_server(('127.0.0.1', 0))",
    "a local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "a pair": "import socket; socket.socketpair()",
    "netlink": "import socket; socket.socket(16, 3, 0)",
    "packets": "import socket; socket.socket(17, 3, 0)",
    "vsock": "import socket; socket.socket(40, 1)",
    "a socket of another file": "import socket; socket.socket(fileno=3).connect(('127.0.0.1', PORT))",
    "descriptors by message": "call(46, 3, ctypes.create_string_buffer(56), 0)",
    "asyncio": "import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', PORT))",
    "http": "import urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{PORT}', timeout=1)",
    "names": "import socket; socket.getaddrinfo('localhost', 80); return 0",
}
FILES = {
    "write": "open(f'{OUTSIDE}/new', 'w').write('x')",
    "append": "open(f'{OUTSIDE}/kept', 'a').write('x')",
    "write by way of the parent": "open('../polya-escape', 'w').write('x')",
    "write to /dev/shm": "open('/dev/shm/polya-escape', 'w').write('x')",
    "write to the library": "open(os.path.dirname(os.__file__) + '/polya_escape.py', 'w').write('x')",
    "write to standard places": "open(os.sep + 'tmp/polya-escape', 'w').write('x')",
    "write to a device": "open('/dev/urandom', 'wb').write(b'x')",
    "write through /proc": "open('/proc/self/comm', 'w').write('x')",
    "write to oom_score_adj": "open('/proc/self/oom_score_adj', 'w').write('-1000')",
    "reopen through /proc": "open(f'/proc/self/fd/{os.open(f\"{OUTSIDE}/kept\", os.O_PATH)}', 'w').write('x')",
    "O_PATH and openat": "os.open('new', os.O_CREAT | os.O_RDWR, dir_fd=os.open(OUTSIDE, os.O_PATH))",
    "openat2": "call(437, -100, f'{OUTSIDE}/new'.encode(), (ctypes.c_ulong * 3)(0o102, 0o600, 0), 24)",
    "open_by_handle_at": "call(304, -100, ctypes.create_string_buffer(32), 2)",
    "name_to_handle_at": "b = ctypes.create_string_buffer(200); call(303, -100, OUTSIDE.encode(), b, b, 0)",
    "truncate": "os.truncate(f'{OUTSIDE}/kept', 0)",
    "remove": "os.remove(f'{OUTSIDE}/kept')",
    "rmdir": "os.rmdir(OUTSIDE)",
    "remove the scratch folder": "os.rmdir(os.getcwd())",
    "rename over": "open('a', 'w').close(); os.replace('a', f'{OUTSIDE}/kept')",
    "rename from": "os.rename(f'{OUTSIDE}/kept', 'a')",
    "exchange": "open('a', 'w').close(); call(316, -100, b'a', -100, f'{OUTSIDE}/kept'.encode(), 2)",
    "hard link": "os.link(f'{OUTSIDE}/kept', 'a'); open('a', 'w')",
    "hard link of an open file": "os.link(f'/proc/self/fd/{os.open(os.__file__, os.O_RDONLY)}', 'a')",
    "symbolic link": "os.symlink(f'{OUTSIDE}/kept', 'a')",
    "folder": "os.mkdir('a')",
    "folder outside": "os.mkdir(f'{OUTSIDE}/a')",
    "fifo": "os.mkfifo('a')",
    "device": "os.mknod('a', 0o20666, os.makedev(1, 3))",
    "socket file": "os.mknod('a', 0o140666)",
    "plain node": "os.mknod(f'{OUTSIDE}/new')",
    "chmod": "os.chmod(f'{OUTSIDE}/kept', 0)",
    "fchmod": "os.fchmod(os.open('a', os.O_CREAT | os.O_RDWR), 0o4777)",
    "chown": "os.chown(f'{OUTSIDE}/kept', os.getuid(), os.getgid())",
    "utime": "os.utime(f'{OUTSIDE}/kept', (0, 0))",
    "xattr": "os.setxattr(f'{OUTSIDE}/kept', 'user.a', b'x')",
    "chdir": "os.chdir('/')",
    "fchdir": "os.fchdir(os.open('/', os.O_PATH))",
    "chroot": "os.chroot('.')",
    "mount": "call(165, b'none', b'.', b'tmpfs', 0, None)",
    "fsopen": "call(430, b'tmpfs', 0)",
    "move_mount": "call(429, -100, b'.', -100, b'/', 0)",
    "memfd": "os.memfd_create('a')",
    "memory out of sight": "call(447, 0)",  # memfd_secret
    "shmget": "call(29, 0, 4096, 0o1600)",
    "shared memory": "from multiprocessing import shared_memory as s; s.SharedMemory('polya', True, 10)",
    "copy_file_range": "call(326, 3, None, 3, None, 1, 0)",
    "sendfile": "os.sendfile(3, os.open(os.__file__, os.O_RDONLY), 0, 1)",
    "splice": "r, w = os.pipe(); os.splice(os.open(os.__file__, os.O_RDONLY), w, 1)",
    "fallocate": "os.posix_fallocate(os.open('a', os.O_CREAT | os.O_RDWR), 0, 1 << 20)",
    "inotify": "call(294, 0)",
    "fanotify": "call(300, 0, 0)",
    "sync": "call(162)",
    "umask": "os.umask(0)",
    "sqlite": "import sqlite3; sqlite3.connect(f'{OUTSIDE}/new').execute('create table a(b)')",
    "logging": "import logging; logging.FileHandler(f'{OUTSIDE}/new')",
    "shutil": "import shutil; shutil.copy(os.__file__, OUTSIDE)",
    "a bytecode cache": "import py_compile; py_compile.compile(os.__file__, f'{OUTSIDE}/new')",
}
SECRETS = {
    "passwords": "open('/etc/passwd').read()",
    "a file outside": "open(f'{OUTSIDE}/kept').read()",
    "the top folder": "os.listdir('/')",
    "the folder above": "os.listdir('..')",
    "processes": "os.listdir('/proc')",
    "its environment": "open('/proc/self/environ').read()",
    "its memory": "open('/proc/self/mem', 'rb').read(1)",
    "the parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "another's command": "open(f'/proc/{VICTIM}/cmdline').read()",
    "another's files": "os.readlink(f'/proc/{VICTIM}/fd/0')",
    "another's folder": "os.listdir(f'/proc/{VICTIM}/cwd/')",
    "the home": "os.listdir(os.path.expanduser('~root'))",
    "the kernel's log": "call(103, 3, ctypes.create_string_buffer(10), 10)",
    "extended attributes": "os.listxattr(f'{OUTSIDE}/kept')",
    "keys": "call(250, 0, -3, 0)",
    "limits of another": "import resource; resource.prlimit(VICTIM, resource.RLIMIT_CPU)",
}
PRIVILEGES = {
    "setuid": "os.setuid(os.getuid())",
    "setgid": "os.setgid(os.getgid())",
    "setgroups": "os.setgroups([])",
    "capset": "call(126, ctypes.create_string_buffer(16), ctypes.create_string_buffer(24))",
    "setrlimit": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (9, 9))",
    "nice": "os.nice(1)",
    "own affinity": "os.sched_setaffinity(0, {0})",
    "setsid": "os.setsid()",
    "setpgid": "call(109, 0, 0)",
    "personality": "call(135, 0xFFFFFFFF)",
    "setns": "call(308, 3, 0)",
    "bpf": "call(321, 0, ctypes.create_string_buffer(72), 72)",
    "perf": "call(298, ctypes.create_string_buffer(112), 0, -1, -1, 0)",
    "userfaultfd": "call(323, 1)",
    "seccomp": "call(317, 2, 0, ctypes.create_string_buffer(4))",
    "landlock": "call(444, None, 0, 1)",
    "host name": "import socket; socket.sethostname(socket.gethostname())",
    "clock": "import time; time.clock_settime(0, time.time())",
    "adjtimex": "call(159, ctypes.create_string_buffer(208))",
    "reboot": "call(169, 0, 0, 0, 0)",
    "swap": "call(168, b'none')",
    "module": "call(313, -1, b'', 0)",
    "kexec": "call(246, 0, 0, None, 0)",
    "acct": "call(163, b'/nonexistent')",
    "quotactl": "call(179, 0, None, 0, None)",
    "ports": "call(172, 0)",
    "pkeys": "call(330, 0, 0)",
    "mlock": "call(151, 1)",
    "numa": "call(238, 0, None, 0)",
    "pivot_root": "call(155, b'.', b'.')",
    "vhangup": "call(153)",
}
QUOTA = {
    "unlinked files kept open": """
import time
kept = []
for i in range(23):
    kept.append(open('a', 'wb')); os.remove('a')
    kept[-1].write(b'x' * (16 << 20)); kept[-1].flush()
time.sleep(WAIT)""",
    "unlinked files kept mapped": """
import mmap, time
kept = []
for i in range(23):
    fd = os.open('a', os.O_CREAT | os.O_RDWR); os.write(fd, b'x' * (16 << 20)); os.remove('a')
    kept.append(mmap.mmap(fd, 4096, access=mmap.ACCESS_READ)); os.close(fd)
    for twin in range(3, 32):
        try:
            if twin != 3: os.close(twin)
        except OSError: pass
time.sleep(WAIT)""",
    "files replaced while open": """
import time
kept = []
for i in range(23):
    kept.append(open('b', 'wb')); kept[-1].write(b'x' * (16 << 20)); kept[-1].flush()
    os.rename('b', 'a')
time.sleep(WAIT)""",
    "a big file": "open('a', 'wb').write(bytes(17 << 20))",
    "a big sparse file": "os.ftruncate(os.open('a', os.O_CREAT | os.O_RDWR), 1 << 30)",
    "several files": """
import time
for i in range(8): open(str(i), 'wb').write(b'x' * (4 << 20))
time.sleep(WAIT)""",
    "many files": """
import time
for i in range(2000): open(str(i), 'w').close()
time.sleep(WAIT)""",
    "many descriptors": "kept = [open(os.devnull) for i in range(100)]",
    "much memory": "kept = bytearray(1 << 30)",
    "much shared memory": "import mmap; kept = mmap.mmap(-1, 1 << 30)",
    "a big answer": "return 'a' * 10**7",
}
SYSTEM = {  # kind: attacks on what is around the program
    "fcntl": FCNTL,
    "arguments": ARGUMENTS,
    "processes": PROCESSES,
    "survivors": SURVIVORS,
    "signals": SIGNALS,
    "network": NETWORK,
    "files": FILES,
    "secrets": SECRETS,
    "privileges": PRIVILEGES,
    "quota": QUOTA,
}
