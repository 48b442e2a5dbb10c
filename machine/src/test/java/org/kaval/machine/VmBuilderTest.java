package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.machine.Host.Resources;
import org.kaval.memory.HostMemory;

/// What is refused before there is any machine; needs no KVM.
class VmBuilderTest {
    private static final long MIB = 1L << 20;

    private final VmBuilder builder = Vm.builder().boot(Guests.exits(0));

    private static void assertOneLine(Exception refused, String beginning) {
        String message = String.valueOf(refused.getMessage());
        assertTrue(message.startsWith(beginning), message);
        assertFalse(message.contains("\n"), message);
    }

    @ParameterizedTest
    @ValueSource(
            longs = {
                0,
                3072, // less than a page
                -4096,
                Long.MIN_VALUE,
                Long.MAX_VALUE,
                MIB - 4096, // less than the smallest machine
                MIB + 1, // not whole pages
                128 * MIB + 3072,
                (1L << 45) + 4096, // more than the map has
            })
    void memoryThatMakesNoSenseIsAConfigException(long bytes) {
        var refused = assertThrows(ConfigException.class, () -> builder.memory(bytes));

        assertEquals("memory", refused.path());
        assertOneLine(refused, "memory: " + bytes + " bytes");
    }

    @ParameterizedTest
    @ValueSource(longs = {MIB, MIB + 4096, 128 * MIB, 1L << 45})
    void memoryThatMakesSenseIsTaken(long bytes) {
        assertDoesNotThrow(() -> builder.memory(bytes));
    }

    @Test
    void refusedMemoryLeavesTheSettingAsItWas() {
        assertThrows(ConfigException.class, () -> builder.memory(0));

        // the 128 MiB that hold unless something else is said: nothing is wrong with the memory
        builder.kvmDevice(Path.of("/nowhere/kvm"));
        var refused = assertThrows(HostUnsupportedException.class, builder::build);
        assertOneLine(refused, "cannot open /nowhere/kvm");
    }

    @Test
    void memoryBeyondTheHostsIsUnsupportedAndNothingLeaks() throws Exception {
        HostMemory host = HostMemory.read();
        long more = host.total() + host.swap() + 4096;
        builder.memory(more / 4096 * 4096);
        Resources before = Resources.now();

        var refused = assertThrows(HostUnsupportedException.class, builder::build);

        assertOneLine(refused, "memory: %d MiB are asked for".formatted(more >> 20));
        before.awaitAgain();
    }

    @Test
    void absurdMemoryIsUnsupported() {
        builder.memory(1L << 45);

        assertOneLine(
                assertThrows(HostUnsupportedException.class, builder::build),
                "memory: 33554432 MiB are asked for");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, 256, 10_000, Integer.MAX_VALUE, Integer.MIN_VALUE})
    void cpusThatMakeNoSenseAreAConfigException(int count) {
        var refused = assertThrows(ConfigException.class, () -> builder.cpus(count));

        assertEquals("cpus", refused.path());
        assertOneLine(refused, "cpus: 1 sockets of %d cores".formatted(count));
    }

    @ParameterizedTest
    @CsvSource({
        "0, 1, 1",
        "1, 0, 1",
        "1, 1, 0",
        "-1, -1, 1",
        "16, 16, 1", // 256
        "65536, 65536, 1", // 2^32, which an int has as 0
        "65537, 65536, 65536",
        "1, 65536, 65536",
        "2147483647, 2147483647, 2147483647",
        "3, 3, 28", // 252, but APIC ids have gaps
    })
    void topologyThatMakesNoSenseIsAConfigException(int sockets, int cores, int threads) {
        var refused =
                assertThrows(ConfigException.class, () -> builder.cpus(sockets, cores, threads));

        assertEquals("cpus", refused.path());
        assertOneLine(refused, "cpus: ");
    }

    @Test
    void nothingToBootIsAConfigException() {
        var refused = assertThrows(ConfigException.class, () -> Vm.builder().build());

        assertEquals("boot", refused.path());
        assertEquals("boot: nothing to boot", refused.getMessage());
    }

    @Test
    void missingKvmIsUnsupportedAndSaysWhatToDo() throws Exception {
        Resources before = Resources.now();
        builder.kvmDevice(Path.of("/nowhere/kvm"));

        var refused = assertThrows(HostUnsupportedException.class, builder::build);

        assertOneLine(refused, "cannot open /nowhere/kvm: ENOENT; ");
        before.awaitAgain();
    }

    @Test
    void whatIsNotKvmIsUnsupported() throws Exception {
        Resources before = Resources.now();
        builder.kvmDevice(Path.of("/dev/null"));

        var refused = assertThrows(HostUnsupportedException.class, builder::build);

        assertOneLine(refused, "/dev/null is not KVM: ");
        before.awaitAgain();
    }

    @Test
    void fileInPlaceOfKvmIsUnsupported(@TempDir Path directory) throws IOException {
        builder.kvmDevice(Files.createFile(directory.resolve("kvm")));

        var refused = assertThrows(HostUnsupportedException.class, builder::build);

        assertOneLine(refused, directory.resolve("kvm") + " is not KVM: ");
    }

    @Test
    void directoryInPlaceOfKvmIsTheHostsRefusal(@TempDir Path directory) {
        builder.kvmDevice(directory);

        var refused = assertThrows(ErrnoException.class, builder::build);

        assertEquals(Errno.name(21), "EISDIR");
        assertOneLine(refused, "openat on %s: EISDIR".formatted(directory));
    }
}
