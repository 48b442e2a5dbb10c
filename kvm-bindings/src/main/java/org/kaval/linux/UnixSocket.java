package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Makes stream sockets whose names are in the file system (unix(7)). None of them ever blocks:
/// {@link Fd#readv} and {@link Fd#writev} say what they would have to wait for, and {@link Epoll}
/// waits.
///
/// Any thread.
public final class UnixSocket {
    /// How many bytes the path of a socket has at most.
    public static final int MAX_PATH = 107;

    // sys/socket.h and sys/un.h
    static final int AF_UNIX = 1;
    static final int SOCK_STREAM = 1;
    static final int SOCK_NONBLOCK = 0x800;
    static final int SOCK_CLOEXEC = 0x8_0000;
    static final int SHUT_RD = 0;
    static final int SHUT_WR = 1;
    static final int SIOCINQ = 0x541b; // linux/sockios.h, as FIONREAD of asm-generic/ioctls.h
    static final int SOMAXCONN = 4096;

    /// `struct sockaddr_un { sa_family_t sun_family; char sun_path[108]; }`
    static final int SIZE = 110;

    static final int PATH = 2;

    private static final int OWNER_ONLY = 0600;

    private UnixSocket() {}

    /// Listens at `path`, where there is nothing yet. Only this process's user can connect.
    ///
    /// @throws ErrnoException with {@link Errno#EADDRINUSE} if there is something
    public static Fd listen(Path path) throws ErrnoException {
        Fd socket = open(path);
        boolean done = false;
        try {
            // a socket is made with the mode that its descriptor has: nobody gets in before
            long changed = Syscall.call(Syscall.FCHMOD, socket.number(), OWNER_ONLY, 0, 0, 0, 0);
            Syscall.check("fchmod", socket.name(), changed);
            Syscall.check("bind", socket.name(), name(Syscall.BIND, socket, path));
            long listening = Syscall.call(Syscall.LISTEN, socket.number(), SOMAXCONN, 0, 0, 0, 0);
            Syscall.check("listen", socket.name(), listening);
            done = true;
            return socket;
        } finally {
            if (!done) {
                socket.close();
            }
        }
    }

    /// Connects to who listens at `path`.
    ///
    /// @throws ErrnoException with {@link Errno#EAGAIN} if too many are waiting there, with {@link
    ///   Errno#ECONNREFUSED} if nobody listens
    public static Fd connect(Path path) throws ErrnoException {
        Fd socket = open(path);
        boolean done = false;
        try {
            Syscall.check("connect", socket.name(), name(Syscall.CONNECT, socket, path));
            done = true;
            return socket;
        } finally {
            if (!done) {
                socket.close();
            }
        }
    }

    /// Takes the next connection to `listener`; null if there is none.
    public static @Nullable Fd accept(Fd listener) throws ErrnoException {
        int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
        long result;
        do {
            result = Syscall.call(Syscall.ACCEPT4, listener.number(), 0, 0, flags, 0, 0);
        } while (result == -Errno.EINTR);
        if (result == -Errno.EAGAIN) {
            return null;
        }
        return new Fd(listener.name(), Syscall.check("accept4", listener.name(), result));
    }

    /// Ends what the other side can read, behind all that has been written (shutdown(2)). Nothing
    /// happens if it has gone.
    public static void endWriting(Fd connection) {
        Syscall.call(Syscall.SHUTDOWN, connection.number(), SHUT_WR, 0, 0, 0, 0);
    }

    /// Makes writes of the other side fail (shutdown(2)). Nothing happens if it has gone.
    public static void endReading(Fd connection) {
        Syscall.call(Syscall.SHUTDOWN, connection.number(), SHUT_RD, 0, 0, 0, 0);
    }

    /// How many bytes there are to read (unix(7), SIOCINQ).
    public static int unread(Fd connection) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(JAVA_INT);
            connection.ioctl("SIOCINQ", SIOCINQ, count);
            return count.get(JAVA_INT, 0);
        }
    }

    private static Fd open(Path path) throws ErrnoException {
        int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
        long result = Syscall.call(Syscall.SOCKET, AF_UNIX, type, 0, 0, 0, 0);
        return new Fd(path.toString(), Syscall.check("socket", path.toString(), result));
    }

    /// Makes a call that is given a socket and a path.
    private static long name(int call, Fd socket, Path path) {
        byte[] bytes = path.toString().getBytes(StandardCharsets.UTF_8);
        if (bytes.length > MAX_PATH) {
            return -Errno.ENAMETOOLONG;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(SIZE, JAVA_SHORT.byteAlignment());
            address.set(JAVA_SHORT, 0, (short) AF_UNIX);
            MemorySegment.copy(bytes, 0, address, JAVA_BYTE, PATH, bytes.length);
            return Syscall.call(call, socket.number(), address.address(), SIZE, 0, 0, 0);
        }
    }
}
