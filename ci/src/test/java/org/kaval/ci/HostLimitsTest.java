package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.machine.Vm;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// A host that runs out of something half-way: one clear line, and nothing stays behind.
@NeedsKvm
@NeedsFiles({"/usr/bin/prlimit", "/lib/x86_64-linux-gnu/libsmartcols.so.1"})
class HostLimitsTest {
    /// More than a machine with four vCPUs needs.
    private static final int ENOUGH = 32;

    /// What the test itself and the programs that it starts need.
    private static final int MARGIN = 64;

    @Test
    void everyDescriptorThatIsMissingIsReportedAndNothingLeaks() throws Exception {
        tryMachine(); // so that no class is loaded while there are no descriptors
        assertEquals("EMFILE", Errno.name(Errno.EMFILE));
        long limit = softLimit();
        Leaks before = Leaks.now();
        var after = new ArrayList<Leaks>();
        var failures = new ArrayList<String>();
        setSoftLimit(highestDescriptor() + MARGIN);
        try {
            for (int spare = ENOUGH; spare >= 0; spare--) {
                failures.add(tryMachineWith(spare));
                after.add(Leaks.now());
            }
        } finally {
            setSoftLimit(limit);
        }

        assertEquals(List.of(), after.stream().filter(now -> !now.equals(before)).toList());
        // with plenty it runs, with none KVM cannot be opened, and in between each part fails
        assertEquals("", failures.getFirst());
        assertTrue(failures.getLast().contains("/proc/meminfo"), failures.toString());
        assertTrue(failures.contains("KVM_CREATE_VM on /dev/kvm: EMFILE"), failures.toString());
        assertTrue(failures.contains("KVM_CREATE_VCPU on KVM VM: EMFILE"), failures.toString());
        assertEquals("", tryMachine());
    }

    /// Tries while `spare` descriptors are left.
    private static String tryMachineWith(int spare) throws Exception {
        var hoard = new ArrayDeque<EventFd>();
        try {
            fill(hoard);
            for (int i = 0; i < spare; i++) {
                hoard.pop().close();
            }
            return tryMachine();
        } finally {
            hoard.forEach(EventFd::close);
        }
    }

    private static void fill(Deque<EventFd> hoard) {
        try {
            while (true) {
                hoard.push(EventFd.create("hoarded"));
            }
        } catch (ErrnoException e) {
            assertEquals(Errno.EMFILE, e.errno());
        }
    }

    /// @return why there was none; empty if it ran
    private static String tryMachine() throws Exception {
        try (Vm vm =
                Vm.builder()
                        .cpus(4)
                        .memory(16 << 20)
                        .boot(FlatPayload.of(Payloads.exit(3), Mode.LONG64))
                        .build()) {
            vm.start();
            assertEquals(new VmOutcome.DebugExit(3), vm.awaitExit(Duration.ofSeconds(30)));
            return "";
        } catch (ErrnoException e) {
            assertEquals(Errno.EMFILE, e.errno());
            return String.valueOf(e.getMessage());
        } catch (IOException e) {
            return String.valueOf(e.getMessage()); // /proc/meminfo, read through java.nio
        }
    }

    private static long highestDescriptor() throws IOException {
        try (Stream<Path> links = Files.list(Path.of("/proc/self/fd"))) {
            return links.mapToLong(link -> Long.parseLong(link.getFileName().toString()))
                    .max()
                    .orElseThrow();
        }
    }

    private static long softLimit() throws Exception {
        String pid = Long.toString(ProcessHandle.current().pid());
        String value =
                Processes.run("prlimit", "--pid", pid, "--nofile", "--noheadings", "--output=SOFT")
                        .out();
        return Long.parseLong(value.strip());
    }

    private static void setSoftLimit(long limit) throws Exception {
        String pid = Long.toString(ProcessHandle.current().pid());
        assertEquals(0, Processes.run("prlimit", "--pid", pid, "--nofile=" + limit + ":").status());
    }
}
