package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.abi.LinuxAbi;

/// The host kernel's thread for a pair of a guest's rings (vhost-net, linux/vhost.h), which moves
/// frames between them and a {@link Tap}'s queue without this process.
///
/// ```
/// open ──► setFeatures, setMemory ──► (setRing, setKick, setCall, setError ──► setBackend ──► stop) …
/// ```
///
/// What it works on is this process's memory: whoever gives it segments keeps them mapped until the
/// ring is stopped. What the guest has written there the kernel checks against {@link #setMemory}.
///
/// Any thread.
public final class VhostNet implements AutoCloseable {
    /// The ring of frames for the guest, and that of the guest's frames.
    public static final int RECEIVE = 0;

    public static final int TRANSMIT = 1;

    private static final String DEVICE = "/dev/vhost-net";

    // linux/vhost.h; not of jextract, which skips macros that are made by a function
    static final int VHOST_GET_FEATURES = 0x8008_af00;
    static final int VHOST_SET_FEATURES = 0x4008_af00;
    static final int VHOST_SET_OWNER = 0xaf01;
    static final int VHOST_SET_MEM_TABLE = 0x4008_af03;
    static final int VHOST_SET_VRING_NUM = 0x4008_af10;
    static final int VHOST_SET_VRING_ADDR = 0x4028_af11;
    static final int VHOST_SET_VRING_BASE = 0x4008_af12;
    static final int VHOST_GET_VRING_BASE = 0xc008_af12;
    static final int VHOST_SET_VRING_KICK = 0x4008_af20;
    static final int VHOST_SET_VRING_CALL = 0x4008_af21;
    static final int VHOST_SET_VRING_ERR = 0x4008_af22;
    static final int VHOST_NET_SET_BACKEND = 0x4008_af30;
    static final int VHOST_FILE_UNBIND = -1;

    // struct vhost_vring_state, struct vhost_vring_file
    static final int STATE = 8;
    static final int STATE_NUM = 4;
    static final int FILE = 8;
    static final int FILE_FD = 4;

    // struct vhost_vring_addr
    static final int ADDR = 40;
    static final int ADDR_DESC = 8;
    static final int ADDR_USED = 16;
    static final int ADDR_AVAIL = 24;

    // struct vhost_memory, struct vhost_memory_region
    static final int MEMORY = 8;
    static final int REGION = 32;
    static final int REGION_SIZE = 8;
    static final int REGION_USER = 16;

    private final Fd fd;

    /// A range of guest-physical addresses, and the memory of this process that it is.
    public record Region(long address, MemorySegment bytes) {}

    private VhostNet(Fd fd) {
        this.fd = fd;
    }

    /// Opens one; the first makes the kernel load the module, if it may.
    ///
    /// @param name what it is for, for messages
    public static VhostNet open(String name) throws ErrnoException {
        Fd fd;
        try (Arena arena = Arena.ofConfined()) {
            long path = arena.allocateFrom(DEVICE).address();
            int flags = LinuxAbi.O_RDWR() | LinuxAbi.O_CLOEXEC();
            long result = Syscall.call(Syscall.OPENAT, 0, path, flags, 0, 0, 0);
            fd = new Fd(name, Syscall.check("openat", DEVICE, result));
        }
        boolean done = false;
        try {
            fd.ioctl("VHOST_SET_OWNER", VHOST_SET_OWNER, 0);
            done = true;
        } finally {
            if (!done) {
                fd.close();
            }
        }
        return new VhostNet(fd);
    }

    /// The features of virtio that it knows, by their bits.
    public long features() throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bits = arena.allocate(JAVA_LONG);
            fd.ioctl("VHOST_GET_FEATURES", Integer.toUnsignedLong(VHOST_GET_FEATURES), bits);
            return bits.get(JAVA_LONG, 0);
        }
    }

    /// Says which of {@link #features} the driver uses.
    public void setFeatures(long features) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            fd.ioctl(
                    "VHOST_SET_FEATURES",
                    VHOST_SET_FEATURES,
                    arena.allocateFrom(JAVA_LONG, features));
        }
    }

    /// Says what the guest's memory is: the only memory that it touches beside the rings.
    public void setMemory(List<Region> regions) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table =
                    arena.allocate(MEMORY + (long) REGION * regions.size(), Long.BYTES);
            table.set(JAVA_INT, 0, regions.size());
            long at = MEMORY;
            for (Region region : regions) {
                table.set(JAVA_LONG, at, region.address);
                table.set(JAVA_LONG, at + REGION_SIZE, region.bytes.byteSize());
                table.set(JAVA_LONG, at + REGION_USER, region.bytes.address());
                at += REGION;
            }
            fd.ioctl("VHOST_SET_MEM_TABLE", VHOST_SET_MEM_TABLE, table);
        }
    }

    /// Says where a ring that is stopped is.
    ///
    /// @param ring {@link #RECEIVE} or {@link #TRANSMIT}
    /// @param size how many descriptors: a power of two
    /// @param next which request of the driver's is the next, 0 to 65535
    public void setRing(
            int ring,
            int size,
            int next,
            MemorySegment descriptors,
            MemorySegment available,
            MemorySegment used)
            throws ErrnoException {
        state("VHOST_SET_VRING_NUM", VHOST_SET_VRING_NUM, ring, size);
        state("VHOST_SET_VRING_BASE", VHOST_SET_VRING_BASE, ring, next);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment addresses = arena.allocate(ADDR, Long.BYTES);
            addresses.set(JAVA_INT, 0, ring);
            addresses.set(JAVA_LONG, ADDR_DESC, descriptors.address());
            addresses.set(JAVA_LONG, ADDR_USED, used.address());
            addresses.set(JAVA_LONG, ADDR_AVAIL, available.address());
            fd.ioctl("VHOST_SET_VRING_ADDR", VHOST_SET_VRING_ADDR, addresses);
        }
    }

    /// Says what the driver rings with; null for nothing.
    public void setKick(int ring, @Nullable EventFd event) throws ErrnoException {
        file("VHOST_SET_VRING_KICK", VHOST_SET_VRING_KICK, ring, number(event));
    }

    /// Says what is signalled when the driver wants to hear of used buffers; null for nothing. The
    /// last one is not signalled any more once this has returned.
    public void setCall(int ring, @Nullable EventFd event) throws ErrnoException {
        file("VHOST_SET_VRING_CALL", VHOST_SET_VRING_CALL, ring, number(event));
    }

    /// Says what is signalled when the driver has broken the rules; null for nothing.
    public void setError(int ring, @Nullable EventFd event) throws ErrnoException {
        file("VHOST_SET_VRING_ERR", VHOST_SET_VRING_ERR, ring, number(event));
    }

    /// Lets the frames of a ring go to and come from a tap device's queue.
    public void setBackend(int ring, Fd queue) throws ErrnoException {
        file("VHOST_NET_SET_BACKEND", VHOST_NET_SET_BACKEND, ring, queue.number());
    }

    /// Stops a ring, which may be stopped already: when this returns, nothing of it is touched.
    ///
    /// @return which request of the driver's would be the next, 0 to 65535
    public int stop(int ring) throws ErrnoException {
        file("VHOST_NET_SET_BACKEND", VHOST_NET_SET_BACKEND, ring, VHOST_FILE_UNBIND);
        return state("VHOST_GET_VRING_BASE", VHOST_GET_VRING_BASE, ring, 0) & 0xffff;
    }

    private static int number(@Nullable EventFd event) {
        return event == null ? VHOST_FILE_UNBIND : event.fd().number();
    }

    private int state(String operation, int request, int ring, int value) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(STATE, Integer.BYTES);
            state.set(JAVA_INT, 0, ring);
            state.set(JAVA_INT, STATE_NUM, value);
            fd.ioctl(operation, Integer.toUnsignedLong(request), state);
            return state.get(JAVA_INT, STATE_NUM);
        }
    }

    private void file(String operation, int request, int ring, int number) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment file = arena.allocate(FILE, Integer.BYTES);
            file.set(JAVA_INT, 0, ring);
            file.set(JAVA_INT, FILE_FD, number);
            fd.ioctl(operation, request, file);
        }
    }

    /// Ends it, rings and all.
    @Override
    public void close() {
        fd.close();
    }
}
