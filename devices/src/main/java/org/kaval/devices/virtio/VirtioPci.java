package org.kaval.devices.virtio;

import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.LevelLine;
import org.kaval.devices.MessageInterrupts;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.devices.pci.MsiX;
import org.kaval.devices.pci.PciBar;
import org.kaval.devices.pci.PciFunction;
import org.kaval.devices.pci.PciIdentity;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestRange;

/// A virtio device as a PCI function, without the legacy interface (§4.1). All of its registers are
/// in BAR 0:
///
/// | offset | what                                                                          |
/// |-------:|-------------------------------------------------------------------------------|
/// | 0x0000 | common configuration (§4.1.4.3): {@link CommonConfig}                         |
/// | 0x1000 | ISR status (§4.1.4.5): bit 0 a queue, bit 1 the configuration; a read clears it |
/// | 0x2000 | the device's configuration (§4.1.4.6)                                         |
/// | 0x3000 | notifications (§4.1.4.4): 4 bytes per queue, which KVM takes                  |
/// | 0x4000 | MSI-X: a vector per queue, and the last for the configuration                 |
///
/// The same registers can be had through configuration space (§4.1.4.9). Whether the guest lets the
/// function be a bus master is not looked at: drivers are known to forget it.
///
/// Any thread.
public final class VirtioPci implements Persistent, AutoCloseable {
    /// No vector (§4.1.4.3).
    static final int NO_VECTOR = 0xffff;

    private static final int VENDOR = 0x1af4;
    private static final int FIRST_DEVICE = 0x1040;
    private static final int REVISION = 1; // §4.1.2.1: no transitional device

    private static final int BAR = 0;
    private static final int ISR = 0x1000;
    private static final int DEVICE = 0x2000;
    private static final int NOTIFY = 0x3000;
    private static final int MSI_X = 0x4000;
    private static final int BAR_SIZE = 0x1_0000;
    private static final int AREA = 0x1000;
    private static final int NOTIFY_MULTIPLIER = 4;
    private static final int MAX_QUEUES = AREA / NOTIFY_MULTIPLIER;

    // §4.1.4: a vendor-specific capability each
    private static final int CAPABILITY = 0x09;
    private static final int COMMON_CFG = 1;
    private static final int NOTIFY_CFG = 2;
    private static final int ISR_CFG = 3;
    private static final int DEVICE_CFG = 4;
    private static final int PCI_CFG = 5;

    private static final int ISR_QUEUE = 1;
    private static final int ISR_CONFIG = 1 << 1;

    private final PciFunction function;
    private final VirtioControl control;
    private final CommonConfig common;
    private final MsiX msix;
    private final LevelLine pin;
    private final VirtioHost host;
    private final int[] queueVectors; // as a driver writes them: any thread may see the old one
    private volatile int configVector = NO_VECTOR;
    private final AtomicInteger isr = new AtomicInteger();
    private final @Nullable InterruptTaker[] takers; // by queue; guarded by itself

    private VirtioPci(VirtioDevice device, VirtioHost host, MsiX msix) throws ErrnoException {
        this.msix = msix;
        this.host = host;
        queueVectors = new int[device.queueSizes().size()];
        Arrays.fill(queueVectors, NO_VECTOR);
        takers = new @Nullable InterruptTaker[queueVectors.length];
        msix.onMask(this::tellOfVector);
        function =
                new PciFunction(
                        new PciIdentity(
                                VENDOR,
                                FIRST_DEVICE + device.type(),
                                REVISION,
                                device.pciClass(),
                                VENDOR,
                                FIRST_DEVICE + device.type()));
        pin = function.interruptPin(1);
        control = new VirtioControl(device, host, new Interrupts());
        common = new CommonConfig(control, new Vectors());
        var registers = new Registers();
        function.addBar(
                BAR,
                new PciBar(PciBar.Kind.MEMORY_64, BAR_SIZE, registers, new DoorbellPlacement()));
        addCapability(COMMON_CFG, 0, CommonConfig.SIZE);
        addCapability(NOTIFY_CFG, NOTIFY, NOTIFY_MULTIPLIER * control.queueCount());
        addCapability(ISR_CFG, ISR, 1);
        if (device.config().size() > 0) {
            addCapability(DEVICE_CFG, DEVICE, device.config().size());
        }
        addConfigurationAccess(registers);
        msix.addTo(function, BAR, MSI_X);
    }

    /// Makes a function of `device`, which it takes over.
    public static VirtioPci create(
            VirtioDevice device, VirtioHost host, MessageInterrupts interrupts)
            throws ErrnoException {
        int queues = device.queueSizes().size();
        if (queues > MAX_QUEUES) {
            throw new IllegalArgumentException("%s has %d queues".formatted(device.name(), queues));
        }
        MsiX msix = MsiX.open(interrupts, device.name(), queues + 1);
        boolean done = false;
        try {
            var created = new VirtioPci(device, host, msix);
            done = true;
            return created;
        } finally {
            if (!done) {
                msix.close();
            }
        }
    }

    /// The function, to put it on a bus.
    public PciFunction function() {
        return function;
    }

    /// The device's queues, in order.
    public List<VirtQueue> queues() {
        return control.queues();
    }

    VirtioControl control() {
        return control;
    }

    /// §4.1.4: cfg_type, BAR, offset and length; the multiplier follows where there is one.
    private int addCapability(int type, int offset, int length) {
        int extra = type == NOTIFY_CFG || type == PCI_CFG ? Integer.BYTES : 0;
        var body = new ConfigSpace(14 + extra);
        body.set(0, 1, 2 + body.size()).set(1, 1, type).set(2, 1, BAR);
        body.set(6, 4, offset).set(10, 4, length);
        var writable = new ConfigSpace(body.size());
        if (type == NOTIFY_CFG) {
            body.set(14, 4, NOTIFY_MULTIPLIER);
        } else if (type == PCI_CFG) {
            writable.set(2, 1, 0xff).set(6, 4, -1).set(10, 4, -1);
        }
        return function.addCapability(CAPABILITY, body.toBytes(), writable.toBytes());
    }

    private void addConfigurationAccess(Device registers) {
        int capability = addCapability(PCI_CFG, 0, 0);
        function.answer(
                capability + 16, Integer.BYTES, new ConfigurationAccess(capability, registers));
    }

    @Override
    public void hold() {
        control.hold();
    }

    @Override
    public boolean awaitIdle(long nanos) throws InterruptedException {
        return control.awaitIdle(nanos);
    }

    @Override
    public void release() {
        control.release();
    }

    /// Without the function's configuration space, which is the bus's to keep.
    @Override
    public void persist(StateFields state) {
        common.persist(state.part("common"));
        msix.persist(state.part("msix"));
        configVector = vector(state, "configVector", configVector);
        for (int i = 0; i < queueVectors.length; i++) {
            queueVectors[i] = vector(state, "queueVector%d".formatted(i), queueVectors[i]);
        }
        isr.set(state.number("isr", isr.get(), 0, ISR_QUEUE | ISR_CONFIG));
        control.persist(state.part("control"));
    }

    private int vector(StateFields state, String name, int value) {
        int vector = state.number(name, value, 0, NO_VECTOR);
        return vector < msix.count() ? vector : NO_VECTOR;
    }

    @Override
    public void restored() {
        control.restored();
    }

    /// Ends the device. The guest may no longer run.
    @Override
    public void close() {
        control.close();
        msix.close();
    }

    /// What BAR 0 leads to.
    private final class Registers implements Device {
        @Override
        public long read(long offset, int size) {
            if (offset < ISR) {
                return common.read(offset, size);
            }
            if (offset < DEVICE) {
                return offset == ISR && size == 1 ? takeIsr() : Bus.NOBODY;
            }
            if (offset < NOTIFY) {
                return control.readConfig(offset - DEVICE, size);
            }
            return offset < MSI_X ? Bus.NOBODY : msix.read(offset - MSI_X, size);
        }

        @Override
        public void write(long offset, int size, long value) {
            if (offset < ISR) {
                common.write(offset, size, value);
            } else if (offset >= MSI_X) {
                msix.write(offset - MSI_X, size, value);
            } else if (offset >= NOTIFY) {
                control.ring((offset - NOTIFY) / NOTIFY_MULTIPLIER);
            } else if (offset >= DEVICE) {
                control.writeConfig(offset - DEVICE, size, value);
            }
        }

        @Override
        public String toString() {
            return control.device().name();
        }
    }

    private int takeIsr() {
        synchronized (isr) {
            int value = isr.getAndSet(0);
            pin.set(false);
            return value;
        }
    }

    /// §4.1.4.5.1: without MSI-X, what has happened is in the ISR status and the pin says so.
    private void raisePin(int bit) {
        synchronized (isr) {
            isr.set(isr.get() | bit);
            pin.set(true);
        }
    }

    private void tellOfVector(int vector) {
        synchronized (takers) {
            for (int i = 0; i < takers.length; i++) {
                if (queueVectors[i] == vector) {
                    tell(i);
                }
            }
        }
    }

    /// Says how queue `index` reaches the driver now. With the lock of the takers: the last of
    /// several changes at once is the last to be told of.
    private void tell(int index) {
        InterruptTaker taker = takers[index];
        if (taker != null) {
            int vector = queueVectors[index];
            taker.interruptBy(vector == NO_VECTOR ? null : msix.direct(vector));
        }
    }

    private final class Interrupts implements VirtioControl.Notifications {
        @Override
        public void queueUsed(int index) {
            if (msix.isEnabled()) {
                signal(queueVectors[index]);
            } else {
                raisePin(ISR_QUEUE);
            }
        }

        @Override
        public void configChanged() {
            if (msix.isEnabled()) {
                signal(configVector);
            } else {
                raisePin(ISR_CONFIG);
            }
        }

        @Override
        public void interruptBy(int index, @Nullable InterruptTaker taker) {
            synchronized (takers) {
                takers[index] = taker;
                tell(index);
            }
        }

        private void signal(int vector) {
            if (vector != NO_VECTOR) {
                msix.signal(vector);
            }
        }

        @Override
        public void forget() {
            Arrays.fill(queueVectors, NO_VECTOR);
            configVector = NO_VECTOR;
            msix.clearPending();
            takeIsr();
        }
    }

    /// §4.1.5.1.2: a driver reads a vector back to learn whether the device has taken it.
    private final class Vectors implements CommonConfig.Vectors {
        @Override
        public int ofConfiguration() {
            return configVector;
        }

        @Override
        public void setOfConfiguration(int vector) {
            configVector = existing(vector);
        }

        @Override
        public int ofQueue(int index) {
            return queueVectors[index];
        }

        @Override
        public void setOfQueue(int index, int vector) {
            synchronized (takers) {
                queueVectors[index] = existing(vector);
                tell(index);
            }
        }

        private int existing(int vector) {
            return vector < msix.count() ? vector : NO_VECTOR;
        }
    }

    /// Has the doorbells where the BAR is.
    private final class DoorbellPlacement implements PciBar.Placement {
        @Override
        public void placed(GuestRange range) {
            for (int i = 0; i < control.queueCount(); i++) {
                host.doorbells().assign(control.doorbell(i).event(), doorbell(range, i));
            }
        }

        @Override
        public void removed(GuestRange range) {
            for (int i = 0; i < control.queueCount(); i++) {
                host.doorbells().unassign(control.doorbell(i).event(), doorbell(range, i));
            }
        }

        /// Writes of any length and value: KVM is faster where it need not look at them.
        private static Doorbell doorbell(GuestRange bar, int index) {
            long address = bar.base() + NOTIFY + (long) NOTIFY_MULTIPLIER * index;
            return new Doorbell(Doorbell.AddressSpace.MMIO, address, 0, OptionalLong.empty());
        }
    }

    /// `pci_cfg_data` (§4.1.4.9): an access is one of BAR 0, where the driver has said.
    private final class ConfigurationAccess implements Device {
        private final int capability;
        private final Device registers;

        ConfigurationAccess(int capability, Device registers) {
            this.capability = capability;
            this.registers = registers;
        }

        @Override
        public long read(long offset, int size) {
            GuestRange range = window();
            return range == null || offset != 0
                    ? Bus.NOBODY
                    : registers.read(range.base(), (int) range.size());
        }

        @Override
        public void write(long offset, int size, long value) {
            GuestRange range = window();
            if (range != null && offset == 0) {
                registers.write(range.base(), (int) range.size(), value);
            }
        }

        /// @return null if the driver has named no access
        private @Nullable GuestRange window() {
            long bar = function.register(capability + 4, 1);
            long offset = function.register(capability + 8, 4);
            long length = function.register(capability + 12, 4);
            boolean one = length == 1 || length == 2 || length == 4;
            return bar == BAR && one && offset % length == 0 && offset <= BAR_SIZE - length
                    ? new GuestRange(offset, length)
                    : null;
        }
    }
}
