package org.kaval.devices.net;

import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// The other end of a guest's network cable: one or several {@link NetQueue}s.
///
/// Used by one thread at a time, beside the queues, each of which has its own threads.
public interface NetBackend extends AutoCloseable {
    /// The largest frame, without a {@link NetQueue#HEADER}: 64 KiB of IP and what is around it.
    int MAX_FRAME = 65_535 + 14 + 4;

    /// Checksums can be left to whoever has the frame next (`VIRTIO_NET_F_CSUM`).
    int CHECKSUM = 1;

    /// TCP over IPv4 can be in frames larger than the network's.
    int TSO4 = 1 << 1;

    /// The same over IPv6.
    int TSO6 = 1 << 2;

    /// The same with explicit congestion notification.
    int ECN = 1 << 3;

    /// UDP can be in frames larger than the network's.
    int UFO = 1 << 4;

    /// How many queues there are: at least 1.
    int queues();

    /// Queue `index`, from 0.
    NetQueue queue(int index);

    /// Which of {@link #CHECKSUM}, {@link #TSO4} and so on it can do, in both directions. Not 0
    /// only if frames have a header.
    int offloads();

    /// Whether each frame has a {@link NetQueue#HEADER} in front.
    boolean hasHeader();

    /// Says which of {@link #offloads} frames for the guest may have.
    default void allow(int offloads) {}

    /// Uses queues 0 to `count - 1` and no others, for frames to the guest.
    default void use(int count) {}

    /// What of the host's kernel serves queue `index` without this process, if it does; it is the
    /// back end's, and only used where `index` is in {@link #use use}.
    default @Nullable Vhost vhost(int index) {
        return null;
    }

    /// What passes queues of which {@link #vhost} may serve, which nobody here counts; null if
    /// there is no such queue. Any thread.
    default @Nullable NetTraffic traffic() {
        return null;
    }

    /// Says who is told when somebody comes to the other end or goes; and is told at once what is
    /// now. Any thread may call it.
    void onLink(Consumer<Boolean> listener);

    /// No thread uses a queue any more.
    @Override
    void close();
}
