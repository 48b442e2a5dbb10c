package org.kaval.devices.virtio;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.ConsolePort;
import org.kaval.devices.StateFields;

/// A console (§5.3) with one port: Linux' `/dev/hvc0`.
///
/// The guest uses it from its first output on: a driver's being there says nothing, since Linux'
/// opens the port by itself, and a login begins with a prompt.
///
/// {@link #resize} may be called by any thread. A driver is told of the size when the guest uses
/// the console for the first time: Linux' does not read it before, and is not ready to hear of a
/// change as soon as it says `DRIVER_OK`.
public final class VirtioConsole extends LinkedDevice {
    static final long F_SIZE = 1;
    static final long F_EMERG_WRITE = 1L << 2;

    /// How many descriptors a queue has.
    static final int QUEUE_SIZE = 64;

    static final int TYPE = 3;
    static final int PCI_OTHER_COMMUNICATION = 0x07_8000;

    // struct virtio_console_config (§5.3.4)
    private static final int CONFIG_SIZE = 12;
    private static final int COLUMNS = 0;
    private static final int ROWS = 2;
    private static final int MAX_PORTS = 4;
    private static final int EMERG_WRITE = 8;

    private final ConsolePort port;
    private final ConfigSpace config = new ConfigSpace(CONFIG_SIZE).set(MAX_PORTS, 4, 1);
    private @Nullable DeviceThread thread; // who activates and resets
    private @Nullable PortQueues queues; // who activates and resets
    private volatile boolean holding; // the device's thread is to put back what it has
    private boolean used; // guarded by this
    private int columns; // guarded by this
    private int rows; // guarded by this

    /// @param name for threads and messages
    public VirtioConsole(String name, ConsolePort port) {
        super(name);
        this.port = port;
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public int pciClass() {
        return PCI_OTHER_COMMUNICATION;
    }

    @Override
    public long features() {
        return F_SIZE | F_EMERG_WRITE;
    }

    @Override
    public List<Integer> queueSizes() {
        return List.of(QUEUE_SIZE, QUEUE_SIZE);
    }

    @Override
    public int doorbellOf(int index) {
        return 0;
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    /// §5.3.4: one character at a time, for a driver that is not set up yet. What there is no room
    /// for is lost.
    @Override
    public void writeConfig(long offset, int size, long value) {
        if (offset == EMERG_WRITE && size == Integer.BYTES) {
            port.send(new byte[] {(byte) value}, 0, 1);
        }
    }

    @Override
    public void attach(VirtioLink newLink) {
        super.attach(newLink);
        port.connect(newLink.doorbell(0)::signal);
    }

    /// Says how large the window is that shows the console; 0 where that is not known.
    ///
    /// @param newColumns in characters: 0 to 65535
    /// @param newRows in lines: 0 to 65535
    public synchronized void resize(int newColumns, int newRows) {
        if (newColumns < 0 || newColumns > 0xffff || newRows < 0 || newRows > 0xffff) {
            throw new IllegalArgumentException(
                    "no size of a window: %d columns, %d rows".formatted(newColumns, newRows));
        }
        columns = newColumns;
        rows = newRows;
        if (used) {
            tellSize();
        }
    }

    private void tellSize() {
        changeConfig(() -> config.set(COLUMNS, Short.BYTES, columns).set(ROWS, Short.BYTES, rows));
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        var ofPort = new PortQueues(port, attached, 0, this::begin);
        queues = ofPort;
        thread = DeviceThread.start(name(), attached, () -> step(ofPort));
    }

    private boolean step(PortQueues ofPort) {
        if (holding) {
            holding = false;
            ofPort.putBack();
        }
        boolean sends = ofPort.send();
        boolean receives = ofPort.receive(); // each has its turn
        return sends || receives;
    }

    private synchronized void begin() {
        if (!used) {
            used = true;
            port.opened();
            tellSize();
        }
    }

    @Override
    public void reset() {
        if (thread != null) {
            thread.close();
            thread = null;
            queues = null;
        }
        holding = false;
        synchronized (this) {
            used = false;
        }
        port.closed();
    }

    @Override
    public void hold() {
        holding = true;
        link().doorbell(0).signal();
    }

    @Override
    public void persist(StateFields state) {
        if (queues != null) {
            queues.persist(state);
        }
    }

    /// The window may be another one now.
    @Override
    public void restored() {
        if (queues != null && queues.used()) {
            begin();
        }
    }

    @Override
    public void close() {}
}
