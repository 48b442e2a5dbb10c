package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// One kernel on its way into one machine: what every boot protocol needs. One thread.
final class Loading {
    /// Where boot protocols with 32-bit addresses end, and the page tables of {@link BootLayout}.
    static final long FOUR_GIB = 4L << 30;

    static final long PAGE = 0x1000;

    private final ImageFile kernel;
    private final @Nullable Path initrd;
    private final String commandLine;
    private final BootContext context;
    private final MemoryMap map;
    private final FreeMemory free;

    Loading(ImageFile kernel, @Nullable Path initrd, String commandLine, BootContext context) {
        this.kernel = kernel;
        this.initrd = initrd;
        this.commandLine =
                Stream.concat(context.kernelArguments().stream(), Stream.of(commandLine))
                        .filter(words -> !words.isEmpty())
                        .collect(Collectors.joining(" "));
        this.context = context;
        map = context.memoryMap();
        free = new FreeMemory(context.memory().ranges(), map);
    }

    ImageFile kernel() {
        return kernel;
    }

    BootContext context() {
        return context;
    }

    GuestMemory memory() {
        return context.memory();
    }

    MemoryMap map() {
        return map;
    }

    FreeMemory free() {
        return free;
    }

    /// Writes the command line.
    ///
    /// @param limit how many bytes of it the kernel takes, without the zero at its end
    /// @param offset where the kernel says so
    /// @return its address
    long writeCommandLine(long limit, long offset) throws BootFileException {
        int length = BootLayout.length(commandLine);
        if (length > limit || length > BootLayout.MAX_COMMAND_LINE) {
            throw kernel.error(
                    offset,
                    "the command line has %d bytes, expected at most %d"
                            .formatted(length, Math.min(limit, BootLayout.MAX_COMMAND_LINE)));
        }
        return BootLayout.writeCommandLine(memory(), commandLine);
    }

    /// Puts the initrd as high as it may be, straight from its file, after the kernel has taken its
    /// place.
    ///
    /// @param ends behind which it must not reach; the first one that leaves room counts
    /// @return where it is; null if there is none
    @Nullable GuestRange loadInitrd(long... ends) throws IOException {
        if (initrd == null) {
            return null;
        }
        try (ImageFile file = ImageFile.open(initrd)) {
            if (file.size() == 0) {
                throw file.error(0, "the file is empty, expected an initrd");
            }
            GuestRange range = place(file, ends);
            file.copyInto(memory(), range.base(), 0, range.size(), "the initrd");
            free.take(range);
            return range;
        }
    }

    private GuestRange place(ImageFile file, long... ends) throws BootFileException {
        long largest = 0;
        for (long end : ends) {
            var base = free.highest(file.size(), PAGE, MemoryMap.MEBIBYTE, end);
            if (base.isPresent()) {
                return new GuestRange(base.getAsLong(), file.size());
            }
            largest = Math.max(largest, free.largest(PAGE, MemoryMap.MEBIBYTE, end));
        }
        throw file.error(
                0,
                "the initrd has %d bytes, expected at most the %d that are free where it may be"
                        .formatted(file.size(), largest));
    }
}
