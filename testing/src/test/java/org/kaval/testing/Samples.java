package org.kaval.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Disabled;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Test classes that {@link NestedHostEngineTest} has run: Maven does not run them by themselves.
final class Samples {
    private Samples() {}

    /// One test for each thing that can become of a test.
    @NeedsHardwareVirtualization
    static class Everything {
        @Test
        void passesOnAmdV() throws Exception {
            System.out.println("printed inside");
            System.err.println("complained inside");
            assertTrue(Files.exists(Path.of("/sys/module/kvm_amd")));
            assertTrue(Files.isWritable(Path.of("/dev/kvm")));
            String name = Files.readString(Path.of("/proc/sys/kernel/hostname"));
            assertEquals("nested-host", name.strip());
        }

        @Test
        void failsWithValues() {
            assertEquals("expected one", "actual one", "they differ");
        }

        @Test
        void throwsWithCause() {
            throw new IllegalStateException("outer", new ArithmeticException("inner"));
        }

        @Test
        void isAborted() {
            assumeTrue(false, "not today");
        }

        @Test
        @Disabled("not ever")
        void isDisabled() {}

        @ParameterizedTest
        @ValueSource(ints = {7, 8, 9})
        void takesParameters(int number) {
            assertTrue(number != 8, "eight");
        }

        @Nested
        class Inside {
            @Test
            void passesInside() {}
        }
    }

    /// Its tests never run.
    @NeedsHardwareVirtualization
    static class Unprepared {
        @BeforeAll
        static void fails() {
            throw new IllegalStateException("cannot prepare");
        }

        @Test
        void neverRuns() {}
    }

    /// Nothing here is for the nested host.
    static class Undemanding {
        @Test
        void needsNothing() {}
    }

    /// Some of it needs KVM, of any kind.
    static class Mixed {
        @Test
        void needsNothing() {}

        @Test
        @NeedsKvm
        void needsKvm() {
            assertTrue(Files.exists(Path.of("/dev/kvm")));
        }
    }

    /// The second test ends the JVM, in one way or another; the others go on.
    @NeedsHardwareVirtualization
    @TestMethodOrder(MethodOrderer.OrderAnnotation.class)
    abstract static class Doomed {
        @Test
        @Order(1)
        void runsBefore() {}

        @Test
        @Order(2)
        void ends() throws Exception {
            end();
        }

        @Test
        @Order(3)
        void runsAfter() {}

        abstract void end() throws Exception;
    }

    static class Crashing extends Doomed {
        @Override
        void end() throws Exception {
            crash();
        }
    }

    private static void crash() throws Exception {
        String self = Long.toString(ProcessHandle.current().pid());
        new ProcessBuilder("kill", "-SEGV", self).start().waitFor();
        waitForEver();
    }

    /// Two of the invocations end the JVM, the last among them.
    @NeedsHardwareVirtualization
    @TestMethodOrder(MethodOrderer.OrderAnnotation.class)
    static class CrashingTemplate {
        @ParameterizedTest
        @ValueSource(ints = {1, 2, 3, 4})
        @Order(1)
        void endsWhenEven(int number) throws Exception {
            if (number % 2 == 0) {
                crash();
            }
        }

        @Test
        @Order(2)
        void runsAfter() {}
    }

    static class Hungry extends Doomed {
        @Override
        void end() {
            var hoard = new ArrayList<byte[]>();
            while (hoard.size() < 1 << 20) {
                hoard.add(new byte[1 << 20]);
            }
        }
    }

    static class Panicking extends Doomed {
        @Override
        void end() throws Exception {
            Files.writeString(Path.of("/proc/sysrq-trigger"), "c");
            waitForEver();
        }
    }

    /// JUnit's own time limit ends it.
    @Timeout(value = 2, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    static class Hanging extends Doomed {
        @Override
        void end() throws Exception {
            waitForEver();
        }
    }

    /// The second test ends the JVM on emulated VT-x.
    @AlsoOnVtX
    static class CrashingOnVtX extends Crashing {}

    /// The tests that stay on emulated VT-x.
    @NeedsKvm
    static class PartlyOnVtX {
        @Test
        @AlsoOnVtX
        void passesOnVtX() throws Exception {
            System.out.println("printed on VT-x");
            String ept = Files.readString(Path.of("/sys/module/kvm_intel/parameters/ept"));
            assertEquals("Y", ept.strip());
        }

        @Test
        @AlsoOnVtX
        void failsOnVtX() {
            assertEquals("expected one", "actual one", "they differ");
        }

        @Test
        void staysAway() {}
    }

    static void waitForEver() throws InterruptedException {
        new CountDownLatch(1).await();
    }

    /// There is no time limit of JUnit's.
    static class Silent extends Doomed {
        @Override
        void end() throws Exception {
            waitForEver();
        }
    }
}
