package org.kaval.memory;

import java.nio.file.Path;
import java.util.List;

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

    /// What a file holds, with pages of other files in the place of some; the guest's writes stay
    /// in memory.
    ///
    /// @param layers each over those before it
    record LayeredFile(PrivateFile bottom, List<Layer> layers) implements Backing {
        public LayeredFile {
            layers = List.copyOf(layers);
        }
    }

    /// Pages of a file that lies over another one. They are at the same offsets in both.
    ///
    /// @param file not shorter than the runs say
    record Layer(Path file, List<Run> runs) {
        public Layer {
            runs = List.copyOf(runs);
        }
    }

    /// Pages that follow each other.
    ///
    /// @param offset in the file, and so from the beginning of the memory, the regions one behind
    ///   the other; in bytes, a multiple of the page size
    /// @param length in bytes, a multiple of it, too; it does not reach into another region
    record Run(long offset, long length) {}

    /// Memory of this process alone, in huge pages where the kernel can.
    static Backing anonymous() {
        return new Anonymous(true);
    }
}
