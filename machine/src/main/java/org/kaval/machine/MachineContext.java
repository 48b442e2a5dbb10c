package org.kaval.machine;

import java.util.List;
import org.kaval.devices.Bus;
import org.kaval.devices.DeviceTimer;
import org.kaval.devices.Doorbells;
import org.kaval.devices.EventLoop;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.LevelLine;
import org.kaval.devices.MessageInterrupts;
import org.kaval.devices.Persistent;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.virtio.VirtQueue;
import org.kaval.linux.ErrnoException;
import org.kaval.machine.acpi.Aml;
import org.kaval.machine.trace.Trace;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// What a machine offers to its devices. Used on the building thread; what it hands out may be used
/// by any thread that the types themselves allow.
public interface MachineContext {
    /// The ports, 0 to 0xffff.
    Bus ports();

    /// Guest-physical addresses that are not RAM.
    Bus mmio();

    /// The PCI bus: its functions are found by the guest, and their BARs go where it wants them.
    PciBus pci();

    /// The guest's RAM.
    GuestMemory memory();

    /// Opens interrupt line `gsi`, which closes with the machine: 0 to 15 are the ISA interrupts.
    InterruptLine interruptLine(int gsi) throws ErrnoException;

    /// Interrupt line `gsi`, 8 to 15, for those guests only that have set up an interrupt
    /// controller to pass it on.
    InterruptLine wantedLine(int gsi);

    /// One more end of interrupt line `gsi`, which is a level and may be shared: 9 for ACPI, 16 to
    /// 23 for PCI.
    ///
    /// @throws IllegalArgumentException if the machine has no such line
    LevelLine levelLine(int gsi);

    /// Interrupts that are messages (MSI-X).
    MessageInterrupts messageInterrupts();

    /// Lets the guest's writes wake a device's thread without an exit.
    Doorbells doorbells();

    /// A place below 4 GiB for registers that are not PCI's, which nobody else has.
    ///
    /// @param size in bytes, a power of two
    /// @throws IllegalArgumentException if there is no room for it
    GuestRange freeMmio(long size);

    /// The number of an interrupt line with edges that no other device has, as long as there is
    /// one; then they are shared.
    int freeInterrupt();

    /// Adds a word to the command line of a kernel that has one.
    void kernelArgument(String word);

    /// A timer for one device, which closes with the machine. It calls on the event loop's thread.
    ///
    /// @param name for messages
    DeviceTimer timer(String name) throws ErrnoException;

    /// Says by ACPI what the guest cannot find out itself: `device` goes to the scope `\_SB` of the
    /// DSDT. Names are the callers' to keep apart.
    void describe(Aml.Term device);

    /// The machine's one event loop; the first call starts it.
    EventLoop eventLoop() throws ErrnoException;

    /// Where devices take down what a user has asked to trace; nothing unless {@link Trace#isOn}
    /// for a kind.
    Trace trace();

    /// Lets the flight recorder count the requests in a device's queues.
    void count(String device, List<VirtQueue> queues);

    /// Puts the state of a part into snapshots, after those that have been named before. What is
    /// not named is not saved.
    ///
    /// @param name tells it from the others, as `serial0`; a restored machine has the same
    void persist(String name, Persistent part);

    /// Ends the machine; the first outcome counts. Any thread.
    void end(VmOutcome outcome);

    /// Ends the machine because of a bug, which {@link Vm#awaitExit()} throws. Any thread.
    void broken(Throwable bug);

    /// Says what to close when the machine is closed, after the vCPUs and the event loop and before
    /// what has been opened or named earlier.
    void onClose(Closing resource);

    /// Something that closes without fail.
    interface Closing extends AutoCloseable {
        @Override
        void close();
    }
}
