package org.kaval.devices.platform;

import java.nio.file.Path;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// The generation of a machine (Microsoft, "Virtual Machine Generation ID"): 16 random bytes in the
/// guest's memory, which change when the machine has become another one, as a copy of a snapshot
/// is. The guest is told by an interrupt, and makes new what has to be unique: the keys of its
/// random number generator, before all.
///
/// Any thread.
public final class VmGeneration implements Persistent {
    /// Where it is: in the page below 1 MiB, which no memory map gives to the guest.
    public static final GuestRange AREA = new GuestRange(0xf_f000, 0x1000);

    /// The interrupt, with an edge: the numeric coprocessor's in PCs that had one. Only for guests
    /// that have asked for it at an interrupt controller.
    public static final int IRQ = 13;

    private static final int SIZE = 16;
    private static final Path RANDOM = Path.of("/dev/urandom");

    private final GuestMemory memory;
    private final InterruptLine line;

    /// Writes the first generation.
    ///
    /// @param line the line {@link #IRQ}
    /// @throws ErrnoException if the host has no random numbers
    public VmGeneration(GuestMemory memory, InterruptLine line) throws ErrnoException {
        this.memory = memory;
        this.line = line;
        write();
    }

    /// Makes it another one, and tells the guest.
    ///
    /// @throws ErrnoException if the host has no random numbers
    public synchronized void renew() throws ErrnoException {
        write();
        line.pulse();
    }

    private void write() throws ErrnoException {
        byte[] id = new byte[SIZE];
        try (Fd random = Fd.open(RANDOM, Fd.Access.READ)) {
            if (random.read(id) != SIZE) { // so few come at once (random(4))
                throw new IllegalStateException("too few random numbers");
            }
        }
        memory.write(AREA.base(), id);
    }

    /// It is in the guest's memory.
    @Override
    public void persist(StateFields state) {}

    /// The machine is another one than that of which it is a copy.
    @Override
    public void restored() {
        try {
            renew();
        } catch (ErrnoException e) {
            throw new IllegalStateException("no random numbers, which there were", e);
        }
    }
}
