package org.kaval.machine;

import org.kaval.devices.Bus;
import org.kaval.devices.EventLoop;
import org.kaval.devices.InterruptLine;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestMemory;

/// What a machine offers to its devices. Used on the building thread; what it hands out may be used
/// by any thread that the types themselves allow.
public interface MachineContext {
    /// The ports, 0 to 0xffff.
    Bus ports();

    /// Guest-physical addresses that are not RAM.
    Bus mmio();

    /// The guest's RAM.
    GuestMemory memory();

    /// Opens interrupt line `gsi`, which closes with the machine: 0 to 15 are the ISA interrupts.
    InterruptLine interruptLine(int gsi) throws ErrnoException;

    /// The machine's one event loop; the first call starts it.
    EventLoop eventLoop() throws ErrnoException;

    /// Ends the machine; the first outcome counts. Any thread.
    void end(VmOutcome outcome);

    /// Says what to close when the machine is closed, after the vCPUs and the event loop and before
    /// what has been opened or named earlier.
    void onClose(Closing resource);

    /// Something that closes without fail.
    interface Closing extends AutoCloseable {
        @Override
        void close();
    }
}
