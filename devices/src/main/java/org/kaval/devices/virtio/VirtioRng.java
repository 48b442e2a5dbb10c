package org.kaval.devices.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.RateLimit;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;

/// An entropy source (§5.4): the kernel's random numbers go straight into the guest's buffers.
///
/// A request may be of any size. What is given at once is limited, as §5.4.6 allows it: a guest
/// that asks for gigabytes gets {@link #MAX_BYTES} and asks again.
public final class VirtioRng extends LinkedDevice {
    /// How many bytes a request gets at most.
    static final int MAX_BYTES = 1 << 16;

    /// How many descriptors its queue has.
    static final int QUEUE_SIZE = 64;

    private static final int TYPE = 4;
    private static final Path SOURCE = Path.of("/dev/urandom");
    private static final Logger LOG = System.getLogger(VirtioRng.class.getName());

    private final Fd source;
    private final RateLimit limit;
    private final ConfigSpace config = new ConfigSpace(0);
    private @Nullable QueueThreads threads; // who activates and resets
    private volatile boolean failed; // is said once

    /// Takes over `source`.
    VirtioRng(String name, Fd source, RateLimit.Rate bytes) {
        super(name);
        this.source = source;
        this.limit = new RateLimit(RateLimit.Rate.UNLIMITED, bytes, System::nanoTime);
    }

    /// Opens the host's `/dev/urandom`.
    ///
    /// @param name for threads and messages
    /// @param bytes how much the guest gets
    public static VirtioRng open(String name, RateLimit.Rate bytes) throws ErrnoException {
        return new VirtioRng(name, Fd.open(SOURCE, Fd.Access.READ), bytes);
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public long features() {
        return 0;
    }

    @Override
    public List<Integer> queueSizes() {
        return List.of(QUEUE_SIZE);
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        limit.resume();
        threads = QueueThreads.start(name(), attached, 0, 1, Requests::new);
    }

    @Override
    public void reset() {
        limit.cancel();
        if (threads != null) {
            threads.close();
            threads = null;
        }
    }

    @Override
    public void close() {
        source.close();
    }

    /// What its thread does with requests.
    final class Requests implements QueueThreads.Handler {
        private final IoVector vector = new IoVector(QUEUE_SIZE + 1);

        @Override
        public long handle(DescriptorChain request) {
            GuestBuffers out = request.writable();
            if (out.size() == 0 || request.readable().size() > 0) {
                throw new GuestFault( // §5.4.6.1
                        "a request of %d bytes to read and %d to write"
                                .formatted(request.readable().size(), out.size()));
            }
            long length = Math.min(out.size(), MAX_BYTES);
            if (!limit.admit(length)) {
                return 0; // the device is being reset: nobody will look
            }
            vector.clear();
            out.addTo(vector, 0, length);
            try {
                return source.preadv(vector, 0, length, 0);
            } catch (ErrnoException e) {
                if (!failed) {
                    failed = true;
                    LOG.log(Level.ERROR, "{0}: {1}", name(), e.getMessage());
                }
                return 0;
            }
        }
    }
}
