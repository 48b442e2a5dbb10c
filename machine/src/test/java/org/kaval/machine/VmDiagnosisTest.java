package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootSource;
import org.kaval.machine.boot.ElfBuilder;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.machine.diagnosis.Diagnosis;
import org.kaval.testing.NeedsKvm;

/// What is said of guests that are silent, and of guests that die.
@NeedsKvm
class VmDiagnosisTest {
    private static final int MEBIBYTE = 1 << 20;
    private static final Duration SHORT = Duration.ofMillis(20);

    @TempDir private Path directory;

    private final LinkedBlockingQueue<Diagnosis> diagnoses = new LinkedBlockingQueue<>();

    // @formatter:off

    /// Writes to port 0x64 for ever, after two POST codes and an access to the serial port.
    private static BootSource hammers() {
        return Guests.long64(
                0xb0, 0x19,             // mov al, 0x19
                0xe6, 0x80,             // out 0x80, al
                0xb0, 0x20,             // mov al, 0x20
                0xe6, 0x80,             // out 0x80, al
                0x66, 0xba, 0xfd, 0x03, // mov dx, 0x3fd
                0xec,                   // in al, dx
                0xe4, 0x64,             // again: in al, 0x64
                0xeb, 0xfc);            // jmp again
    }

    /// Code of a kernel without an IDT: divides by zero.
    private static final byte[] DIVIDES = Guests.bytes(
            0x90,       // nop
            0x90,       // nop
            0x31, 0xc9, // xor ecx, ecx
            0xf7, 0xf1, // div ecx
            0xf4);      // hlt

    // @formatter:on

    private static VmBuilder builder(BootSource source) {
        return Vm.builder().memory(16 * MEBIBYTE).boot(source);
    }

    private static void assertHasLine(List<String> lines, String words) {
        assertTrue(
                lines.stream().anyMatch(line -> line.contains(words)),
                () -> words + " is missing in\n" + String.join("\n", lines));
    }

    private static void assertHasNoLine(List<String> lines, String words) {
        assertTrue(
                lines.stream().noneMatch(line -> line.contains(words)),
                () -> words + " is in\n" + String.join("\n", lines));
    }

    private static long exits(Vm vm) {
        return vm.exitCounts().getOrDefault("IO", 0L);
    }

    @Test
    void silentGuestIsDiagnosed() throws Exception {
        try (Vm vm = builder(Guests.spins()).onSilence(SHORT, diagnoses::add).build()) {
            vm.start();

            Diagnosis diagnosis = diagnoses.poll(Host.LIMIT.toSeconds(), TimeUnit.SECONDS);

            assertNotNull(diagnosis);
            assertHasLine(
                    diagnosis.facts(),
                    "vcpu 0: running, long mode, ring 0, interrupts off, RIP 0x100001");
            assertHasLine(diagnosis.facts(), "serial port: never touched");
        }
    }

    @Test
    void guestThatSpeaksIsNot() throws Exception {
        try (Vm vm = builder(Guests.exits(5)).onSilence(Host.LIMIT, diagnoses::add).build()) {
            vm.start();
            vm.awaitExit(Host.LIMIT);
        }
        assertNull(diagnoses.poll());
    }

    @Test
    void silenceNeedsATime() {
        VmBuilder builder = builder(Guests.spins());

        var refused =
                assertThrows(
                        ConfigException.class,
                        () -> builder.onSilence(Duration.ZERO, diagnoses::add));

        assertEquals("silence", refused.path());
    }

    @Test
    void guestThatHaltsWithInterruptsOffIsHaltedForEver() throws Exception {
        try (Vm vm = builder(Guests.halts()).build()) {
            vm.start();
            assertEquals(new VmOutcome.Halted(), vm.awaitExit(Host.LIMIT));

            Diagnosis diagnosis = vm.diagnose();

            assertHasLine(
                    diagnosis.facts(),
                    "vcpu 0: halted, long mode, ring 0, interrupts off, RIP 0x100002: eb fd");
            assertHasLine(diagnosis.hints(), "halted with interrupts off: it waits for ever");
        }
    }

    @Test
    void crashIsStillKnownAfterwards() throws Exception {
        try (Vm vm = builder(Guests.triplesFault()).build()) {
            vm.start();
            assertInstanceOf(VmOutcome.Crashed.class, vm.awaitExit(Host.LIMIT));

            Diagnosis diagnosis = vm.diagnose();

            assertHasLine(diagnosis.facts(), "vcpu 0: running");
            assertHasLine(diagnosis.hints(), "it died at its beginning");
        }
    }

    @Test
    void vcpuThatTheGuestDoesNotStartIsNamed() throws Exception {
        try (Vm vm = builder(Guests.spins()).cpus(2).build()) {
            vm.start();

            assertHasLine(vm.diagnose().facts(), "vcpu 1: not started by the guest");
        }
    }

    @Test
    void portThatIsHammeredIsNamedWithItsDevice() throws Exception {
        try (Vm vm = builder(hammers()).build()) {
            vm.start();
            Host.until("the guest hammers", () -> exits(vm) > 1_000);
            vm.pause();

            List<String> facts = vm.diagnose().facts();

            // all exits but the POST codes' and the serial port's; "most frequent: " is in front
            assertHasLine(
                    facts,
                    "most frequent: port read 0x64 (8042 keyboard controller): %,d, "
                            .formatted(exits(vm) - 3));
            assertHasLine(facts, "last codes at port 0x80: 0x19 0x20");
            assertHasLine(facts, "serial port: 0 bytes sent, its interrupts off");
            assertHasLine(facts, "interrupts from devices: none");
        }
    }

    @Test
    void tripleFaultHasASymbolAndAHint() throws Exception {
        Path kernel =
                ElfBuilder.elf64()
                        .entry(MEBIBYTE)
                        .load(MEBIBYTE, DIVIDES)
                        .symbol("start", MEBIBYTE)
                        .symbol("divide", MEBIBYTE + 2)
                        .write(directory);

        try (Vm vm = builder(KernelBoot.of(kernel)).build()) {
            vm.start();
            var crashed = assertInstanceOf(VmOutcome.Crashed.class, vm.awaitExit(Host.LIMIT));

            assertHasLine(crashed.details(), "symbols are from " + kernel);
            assertHasLine(crashed.details(), "hint: it died at its beginning");
            assertHasLine(crashed.details(), "no console=ttyS0");
            // KVM on AMD-V resets the registers
            assertHasLine(
                    crashed.details(),
                    KvmKind.detect() == KvmKind.AMD_V
                            ? CrashReport.AFTER_RESET
                            : "RIP 0x100004 (divide+0x2): f7 f1 f4");
        }
    }

    @Test
    void symbolsThatTheUserHasNamedAreUsed() throws Exception {
        Path map =
                Files.writeString(
                        directory.resolve("names"), "0000000000100000 T spins_for_ever\n");

        try (Vm vm = builder(Guests.spins()).symbols(map).build()) {
            vm.start();
            Host.until(
                    "the guest spins",
                    () -> vm.diagnose().facts().getFirst().contains("(spins_for_ever+0x1)"));
        }
    }

    @Test
    void pausedGuestStaysPausedAndRunningOneRuns() throws Exception {
        try (Vm vm = builder(Guests.counts()).build()) {
            vm.start();
            vm.diagnose();
            long counter = vm.memory().readLe64(Guests.COUNTER);
            Host.until("the guest counts on", () -> vm.memory().readLe64(Guests.COUNTER) > counter);
            vm.pause();
            long paused = vm.memory().readLe64(Guests.COUNTER);

            vm.diagnose();

            assertEquals(paused, vm.memory().readLe64(Guests.COUNTER));
        }
    }

    @Test
    void ofAGuestThatHasEndedItsExitsAreKnown() throws Exception {
        Vm vm = builder(Guests.exits(5)).build();
        vm.start();
        vm.awaitExit(Host.LIMIT);
        vm.close();

        List<String> lines = vm.diagnose().lines();

        assertHasLine(lines, "exits: IO: 2");
        assertHasLine(lines, "serial port: 1 bytes sent");
        assertHasNoLine(lines, "vcpu 0");
    }
}
