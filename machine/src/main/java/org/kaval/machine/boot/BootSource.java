package org.kaval.machine.boot;

import java.io.IOException;
import org.kaval.vcpu.EntryState;

/// Something that can be booted.
public interface BootSource {
    /// Puts it into the memory of a machine that has not run.
    ///
    /// @return with which registers the first vCPU begins
    /// @throws BootFileException if a file is not what it should be, or does not fit into the
    ///   machine
    /// @throws IOException if a file cannot be read; one line that names it
    EntryState load(BootContext context) throws IOException;

    /// What it is, for a diagnosis.
    default BootDescription description() {
        return BootDescription.NONE;
    }
}
