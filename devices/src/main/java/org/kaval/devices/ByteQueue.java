package org.kaval.devices;

/// Bytes on their way between a guest and the host, at most so many. Any thread.
public final class ByteQueue {
    private final byte[] ring;
    private int head; // the next byte to take
    private int size;
    private boolean closed;

    /// @param capacity in bytes
    public ByteQueue(int capacity) {
        ring = new byte[capacity];
    }

    /// Adds one byte; allocates nothing.
    ///
    /// @return false if it is full, or closed
    public synchronized boolean offer(byte value) {
        if (closed || size == ring.length) {
            return false;
        }
        ring[(head + size) % ring.length] = value;
        size++;
        if (size == 1) {
            notifyAll();
        }
        return true;
    }

    /// Adds as many of `bytes[from, to)` as there is room for; allocates nothing.
    ///
    /// @return how many
    public int offer(byte[] bytes, int from, int to) {
        return offer(bytes, from, to, 0);
    }

    /// The same, and leaves room for `spare` more bytes, or what room there is.
    public synchronized int offer(byte[] bytes, int from, int to, int spare) {
        int count = closed ? 0 : Math.clamp(ring.length - size - spare, 0, to - from);
        int tail = (head + size) % ring.length;
        int first = Math.min(count, ring.length - tail);
        System.arraycopy(bytes, from, ring, tail, first);
        System.arraycopy(bytes, from + first, ring, 0, count - first);
        if (size == 0 && count > 0) {
            notifyAll();
        }
        size += count;
        return count;
    }

    /// Takes one byte, unsigned; -1 if there is none.
    public synchronized int poll() {
        if (size == 0) {
            return -1;
        }
        byte value = ring[head];
        head = (head + 1) % ring.length;
        if (size == ring.length) {
            notifyAll();
        }
        size--;
        return Byte.toUnsignedInt(value);
    }

    /// Waits for bytes and takes as many as fit into `into`.
    ///
    /// @return how many; 0 if it is closed and empty
    public synchronized int take(byte[] into) throws InterruptedException {
        while (size == 0 && !closed) {
            wait();
        }
        return poll(into, 0, into.length);
    }

    /// Takes as many bytes as there are, and as fit into `into[from, to)`; allocates nothing.
    ///
    /// @return how many
    public synchronized int poll(byte[] into, int from, int to) {
        int count = Math.min(size, to - from);
        if (size == ring.length && count > 0) {
            notifyAll();
        }
        int first = Math.min(count, ring.length - head);
        System.arraycopy(ring, head, into, from, first);
        System.arraycopy(ring, 0, into, from + first, count - first);
        head = (head + count) % ring.length;
        size -= count;
        return count;
    }

    /// Waits until there is room.
    ///
    /// @return false if it is closed
    public synchronized boolean awaitRoom() throws InterruptedException {
        while (size == ring.length && !closed) {
            wait();
        }
        return !closed;
    }

    /// Copies what is in it, without taking it.
    public synchronized byte[] peekAll() {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = ring[(head + i) % ring.length];
        }
        return bytes;
    }

    public synchronized boolean isFull() {
        return size == ring.length;
    }

    public synchronized boolean isEmpty() {
        return size == 0;
    }

    /// How many more bytes fit.
    public synchronized int room() {
        return ring.length - size;
    }

    /// Takes no more bytes; what is in it can still be taken.
    public synchronized void close() {
        closed = true;
        notifyAll();
    }
}
