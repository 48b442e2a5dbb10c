package org.kaval.devices.virtio;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// A device that writes back what it reads, for each request a permit; and what it has been told.
final class EchoDevice implements VirtioDevice {
    static final int TYPE = 42;
    static final long FEATURES = 0x5;
    static final int SIZE = 8;
    static final int THREADS = 3;

    final List<String> events = new ArrayList<>();
    final Semaphore permits = new Semaphore(Integer.MAX_VALUE / 2);
    final AtomicInteger begun = new AtomicInteger();
    final ConfigSpace config = new ConfigSpace(10).set(0, 8, 0x1122_3344_5566_7788L);
    private final List<QueueThreads> threads = new ArrayList<>();
    private @Nullable VirtioLink link;

    VirtioLink link() {
        if (link == null) {
            throw new AssertionError("not attached");
        }
        return link;
    }

    @Override
    public String name() {
        return "echo0";
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public long features() {
        return FEATURES;
    }

    @Override
    public List<Integer> queueSizes() {
        return List.of(SIZE, SIZE);
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    @Override
    public void writeConfig(long offset, int size, long value) {
        events.add("config 0x%x+%d 0x%x".formatted(offset, size, value));
    }

    @Override
    public void attach(VirtioLink newLink) {
        link = newLink;
    }

    @Override
    public void activate(long features) {
        events.add("activate 0x%x".formatted(features));
        for (int i = 0; i < 2; i++) {
            threads.add(QueueThreads.start("echo0-q" + i, link(), i, THREADS, () -> this::echo));
        }
    }

    private long echo(DescriptorChain request) {
        begun.incrementAndGet();
        permits.acquireUninterruptibly();
        long count = Math.min(request.readable().size(), request.writable().size());
        for (long i = 0; i < count; i++) {
            request.writable().writeByte(i, request.readable().readByte(i));
        }
        return count;
    }

    @Override
    public void reset() {
        threads.forEach(QueueThreads::close);
        threads.clear();
        events.add("reset");
    }

    @Override
    public void close() {
        events.add("close");
    }
}
