package org.kaval.memory;

import java.nio.file.Path;

/// What guest memory is made of. Whatever it is, the host commits a page only when it is touched,
/// save for {@link HugePages}.
public sealed interface Backing {
    /// Memory of this process alone.
    ///
    /// @param transparentHugePages whether the kernel is asked to use huge pages where it can
    record Anonymous(boolean transparentHugePages) implements Backing {}

    /// Memory behind a descriptor, so that another process can map it (a vhost-user back end).
    record Memfd() implements Backing {}

    /// Memory from the host's pool of huge pages of the default size, all of it reserved at once.
    record HugePages() implements Backing {}

    /// What a file holds; the guest's writes stay in memory. The file must not be cut shorter while
    /// it is mapped.
    ///
    /// @param file as long as the memory from `offset` on; the regions follow one another in it
    /// @param offset in bytes, a multiple of the page size
    record PrivateFile(Path file, long offset) implements Backing {}

    /// Memory of this process alone, in huge pages where the kernel can.
    static Backing anonymous() {
        return new Anonymous(true);
    }
}
