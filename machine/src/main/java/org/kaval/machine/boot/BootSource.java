package org.kaval.machine.boot;

import java.io.IOException;
import org.kaval.memory.GuestMemory;
import org.kaval.vcpu.EntryState;

/// Something that can be booted.
public interface BootSource {
    /// Puts it into memory that is all zero.
    ///
    /// @return with which registers the first vCPU begins
    /// @throws IOException if it cannot be read, or is not what it should be; one line that names
    ///   the file
    /// @throws org.kaval.memory.GuestFault if it does not fit into RAM
    EntryState load(GuestMemory memory) throws IOException;
}
