package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.kaval.linux.abi.LinuxAbi;

/// A tap device of the host's (Documentation/networking/tuntap.rst): one descriptor for each queue,
/// which gives and takes frames with a `struct virtio_net_hdr_mrg_rxbuf` in front. None of them
/// ever blocks.
///
/// One that did not exist is gone when it is closed. Confined to one thread, but for reading and
/// writing the descriptors.
public final class Tap implements AutoCloseable {
    /// How many bytes the name of a network device has at most (`IFNAMSIZ` - 1).
    public static final int MAX_NAME = 15;

    /// The most queues (`MAX_TAP_QUEUES` of drivers/net/tun.c).
    public static final int MAX_QUEUES = 256;

    // linux/if_tun.h: bits of TUNSETOFFLOAD
    public static final int TUN_F_CSUM = 1;
    public static final int TUN_F_TSO4 = 2;
    public static final int TUN_F_TSO6 = 4;
    public static final int TUN_F_TSO_ECN = 8;
    public static final int TUN_F_UFO = 0x10;

    private static final String DEVICE = "/dev/net/tun";

    // linux/if_tun.h; not of jextract, which skips macros that are made by a function
    private static final int TUNSETIFF = 0x4004_54ca;
    private static final int TUNSETOFFLOAD = 0x4004_54d0;
    private static final int TUNSETVNETHDRSZ = 0x4004_54d8;
    private static final int TUNSETQUEUE = 0x4004_54d9;
    private static final int IFF_TAP = 2;
    private static final int IFF_MULTI_QUEUE = 0x100;
    private static final int IFF_ATTACH_QUEUE = 0x200;
    private static final int IFF_DETACH_QUEUE = 0x400;
    private static final int IFF_NO_PI = 0x1000;
    private static final int IFF_VNET_HDR = 0x4000;

    // linux/sockios.h, linux/if.h, asm/fcntl.h, linux/socket.h
    private static final int SIOCGIFFLAGS = 0x8913;
    private static final int SIOCSIFFLAGS = 0x8914;
    private static final int SIOCGIFMTU = 0x8921;
    private static final int SIOCGIFINDEX = 0x8933;
    private static final int SIOCBRADDIF = 0x89a2;
    private static final int IFF_UP = 1;
    private static final int O_NONBLOCK = 0x800;
    private static final int AF_INET = 2;
    private static final int SOCK_DGRAM = 2;
    private static final int SOCK_CLOEXEC = 0x8_0000;

    // struct ifreq of linux/if.h: a name, and a union of which the first number is used
    private static final int IFREQ = 40;
    private static final int VALUE = 16;

    private final String name;
    private final List<Fd> queues;
    private final Fd socket;
    private final boolean[] attached;

    private Tap(String name, List<Fd> queues, Fd socket) {
        this.name = name;
        this.queues = queues;
        this.socket = socket;
        this.attached = new boolean[queues.size()];
        Arrays.fill(attached, true);
    }

    /// Opens the tap device `name`, or makes it, which needs `CAP_NET_ADMIN`.
    ///
    /// @param name 1 to 15 bytes; with `%d` in it, the kernel puts a number there
    /// @param queueCount 1 to {@link #MAX_QUEUES}
    /// @param headerSize how many bytes are in front of a frame
    public static Tap open(String name, int queueCount, int headerSize) throws ErrnoException {
        if (queueCount < 1 || queueCount > MAX_QUEUES) {
            throw new IllegalArgumentException(queueCount + " queues");
        }
        var queues = new ArrayList<Fd>();
        String realName = name;
        boolean done = false;
        try {
            int several = queueCount > 1 ? IFF_MULTI_QUEUE : 0;
            for (int i = 0; i < queueCount; i++) {
                Fd queue = openDevice(realName);
                queues.add(queue);
                realName = setInterface(queue, realName, several);
                setNumber("TUNSETVNETHDRSZ", queue, TUNSETVNETHDRSZ, headerSize);
            }
            long result =
                    Syscall.call(Syscall.SOCKET, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0, 0);
            Fd socket = new Fd(realName, Syscall.check("socket", realName, result));
            done = true;
            return new Tap(realName, List.copyOf(queues), socket);
        } finally {
            if (!done) {
                queues.forEach(Fd::close);
            }
        }
    }

    private static Fd openDevice(String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            long path = arena.allocateFrom(DEVICE).address();
            int flags = LinuxAbi.O_RDWR() | LinuxAbi.O_CLOEXEC() | O_NONBLOCK;
            long result = Syscall.call(Syscall.OPENAT, 0, path, flags, 0, 0, 0);
            return new Fd("tap " + name, Syscall.check("openat", DEVICE, result));
        }
    }

    private static String setInterface(Fd queue, String name, int several) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = request(arena, name);
            int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | several;
            request.set(JAVA_SHORT, VALUE, (short) flags);
            queue.ioctl("TUNSETIFF", TUNSETIFF, request);
            return request.getString(0);
        }
    }

    private static MemorySegment request(Arena arena, String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        if (bytes.length < 1 || bytes.length > MAX_NAME) {
            throw new IllegalArgumentException("no name of a network device: " + name);
        }
        MemorySegment request = arena.allocate(IFREQ, Long.BYTES);
        MemorySegment.copy(bytes, 0, request, JAVA_BYTE, 0, bytes.length);
        return request;
    }

    private static void setNumber(String operation, Fd queue, int request, int value)
            throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment number = arena.allocate(JAVA_INT);
            number.set(JAVA_INT, 0, value);
            queue.ioctl(operation, request, number);
        }
    }

    /// What it is called.
    public String name() {
        return name;
    }

    /// One descriptor a queue.
    public List<Fd> queues() {
        return queues;
    }

    /// Says what frames for this end may have: bits `TUN_F_…`.
    ///
    /// @return whether the kernel can do that
    public boolean setOffload(int bits) {
        return queues.getFirst().tryIoctl(TUNSETOFFLOAD, bits) == 0;
    }

    /// Whether frames for this end go to queue `index`; the first always gets some.
    public void attach(int index, boolean on) throws ErrnoException {
        if (attached[index] == on) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = request(arena, name);
            int flag = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
            request.set(JAVA_SHORT, VALUE, (short) flag);
            queues.get(index).ioctl("TUNSETQUEUE", TUNSETQUEUE, request);
        }
        attached[index] = on;
    }

    /// How large a packet can be, in bytes, without what is around it.
    public int mtu() throws ErrnoException {
        return interfaceNumber("SIOCGIFMTU", SIOCGIFMTU);
    }

    /// Switches the host's end on, which needs `CAP_NET_ADMIN` unless it is on.
    public void bringUp() throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = request(arena, name);
            socket.ioctl("SIOCGIFFLAGS", SIOCGIFFLAGS, request);
            short flags = request.get(JAVA_SHORT, VALUE);
            if ((flags & IFF_UP) == 0) {
                request.set(JAVA_SHORT, VALUE, (short) (flags | IFF_UP));
                socket.ioctl("SIOCSIFFLAGS", SIOCSIFFLAGS, request);
            }
        }
    }

    /// Makes it a port of a bridge, which needs `CAP_NET_ADMIN`.
    public void joinBridge(String bridge) throws ErrnoException {
        int index = interfaceNumber("SIOCGIFINDEX", SIOCGIFINDEX);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = request(arena, bridge);
            request.set(JAVA_INT, VALUE, index);
            long result;
            try {
                result = socket.tryIoctl(SIOCBRADDIF, request.address());
            } finally {
                Reference.reachabilityFence(request);
            }
            Syscall.check("SIOCBRADDIF", bridge, result);
        }
    }

    private int interfaceNumber(String operation, int request) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argument = request(arena, name);
            socket.ioctl(operation, request, argument);
            return argument.get(JAVA_INT, VALUE);
        }
    }

    /// No thread may read or write.
    @Override
    public void close() {
        queues.forEach(Fd::close);
        socket.close();
    }
}
