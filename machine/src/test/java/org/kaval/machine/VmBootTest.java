package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootSource;
import org.kaval.memory.Backing;
import org.kaval.testing.NeedsKvm;

/// Guests that run until they end.
@NeedsKvm
class VmBootTest {
    private static final long MEMORY = 16 << 20;

    private static VmOutcome run(BootSource source) throws IOException, InterruptedException {
        return run(Vm.builder().memory(MEMORY).boot(source));
    }

    private static VmOutcome run(VmBuilder builder) throws IOException, InterruptedException {
        try (Vm vm = builder.build()) {
            vm.start();
            return vm.awaitExit(Host.LIMIT);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 42, 255})
    void realModeGuestEndsWithItsExitCode(int code) throws Exception {
        assertEquals(new VmOutcome.DebugExit(code), run(Guests.exits(code)));
    }

    @Test
    void protectedModeGuestEndsWithItsExitCode() throws Exception {
        BootSource guest =
                Guests.protected32(
                        0xb8, 0x78, 0x56, 0x34, 0x12, // mov eax, 0x12345678
                        0xe7, 0xf4, // out 0xf4, eax
                        0xf4); // hlt

        assertEquals(new VmOutcome.DebugExit(0x1234_5678), run(guest));
    }

    @Test
    void longModeGuestEndsWithItsExitCode() throws Exception {
        BootSource guest =
                Guests.long64(
                        // mov rax, 0x4d00000000
                        0x48,
                        0xb8,
                        0x00,
                        0x00,
                        0x00,
                        0x00,
                        0x4d,
                        0x00,
                        0x00,
                        0x00, //
                        0x48,
                        0xc1,
                        0xe8,
                        0x20, // shr rax, 32
                        0xe6,
                        0xf4, // out 0xf4, al
                        0xf4); // hlt

        assertEquals(new VmOutcome.DebugExit(0x4d), run(guest));
    }

    @Test
    void guestHasAStack() throws Exception {
        BootSource guest =
                Guests.long64(
                        0x6a, 0x2b, // push 0x2b
                        0x58, // pop rax
                        0xe6, 0xf4, // out 0xf4, al
                        0xf4); // hlt

        assertEquals(new VmOutcome.DebugExit(0x2b), run(guest));
    }

    @Test
    void guestPowersOff() throws Exception {
        assertEquals(new VmOutcome.PoweredOff(), run(Guests.powersOff()));
    }

    @Test
    void guestInTheSmallestMachineRuns() throws Exception {
        assertEquals(
                new VmOutcome.DebugExit(5),
                run(Vm.builder().memory(1 << 20).boot(Guests.exits(5))));
    }

    @Test
    void guestInSharedMemoryRuns() throws Exception {
        assertEquals(
                new VmOutcome.DebugExit(6),
                run(
                        Vm.builder()
                                .memory(MEMORY)
                                .memoryBacking(new Backing.Memfd())
                                .boot(Guests.exits(6))));
    }

    /// RAM beyond the hole is at 4 GiB: the guest's page tables map that far only, so the host
    /// looks.
    @Test
    void ramBeyondThreeGibIsAtFourGib() throws Exception {
        try (Vm vm = Vm.builder().memory((3L << 30) + 4096).boot(Guests.exits(1)).build()) {
            assertEquals(true, vm.memory().holds(4L << 30, 4096));
            assertEquals(false, vm.memory().holds(3L << 30, 1));
            vm.start();
            assertEquals(new VmOutcome.DebugExit(1), vm.awaitExit(Host.LIMIT));
        }
    }

    @Test
    void unknownPortReadsAsOnesAndTheGuestGoesOn() throws Exception {
        BootSource guest =
                Guests.protected32(
                        0x66, 0xba, 0x00, 0x50, // mov dx, 0x5000
                        0xef, // out dx, eax
                        0xed, // in eax, dx: all ones
                        0x40, // inc eax: 0
                        0x89, 0xc3, // mov ebx, eax
                        0xec, // in al, dx
                        0x0f, 0xb6, 0xc0, // movzx eax, al
                        0x01, 0xd8, // add eax, ebx
                        0xe7, 0xf4, // out 0xf4, eax
                        0xf4); // hlt

        assertEquals(new VmOutcome.DebugExit(0xff), run(guest));
    }

    @Test
    void unmappedMemoryReadsAsOnesAndTheGuestGoesOn() throws Exception {
        BootSource guest =
                Guests.protected32(
                        // mov dword [0xd0000000], 0x11223344
                        0xc7,
                        0x05,
                        0x00,
                        0x00,
                        0x00,
                        0xd0,
                        0x44,
                        0x33,
                        0x22,
                        0x11, //
                        0xa1,
                        0x00,
                        0x00,
                        0x00,
                        0xd0, // mov eax, [0xd0000000]
                        0x40, // inc eax: 0
                        0x04,
                        0x05, // add al, 5
                        0xe7,
                        0xf4, // out 0xf4, eax
                        0xf4); // hlt

        assertEquals(new VmOutcome.DebugExit(5), run(guest));
    }

    @Test
    void tripleFaultIsACrashWithWhatIsKnown() throws Exception {
        VmOutcome outcome = run(Guests.triplesFault());

        var crashed = assertInstanceOf(VmOutcome.Crashed.class, outcome);
        assertEquals(0, crashed.vcpu());
        assertEquals("crashed: vcpu 0: triple fault", crashed.toString());
        assertShows(crashed, "RIP=%016x".formatted(Guests.FAULT_RIP));
        assertHasLine(crashed, "CR0=");
        assertShows(crashed, "code at RIP: f7 f1 f4 00");
        assertHasLine(crashed, "exit: IO write 0x81, 1 bytes");
        assertHasLine(crashed, "exit: SHUTDOWN");
    }

    /// What the registers show, where the kernel has kept them.
    private static void assertShows(VmOutcome.Crashed crashed, String beginning)
            throws IOException {
        assertHasLine(
                crashed, KvmKind.detect() == KvmKind.AMD_V ? CrashReport.AFTER_RESET : beginning);
    }

    private static void assertHasLine(VmOutcome.Crashed crashed, String beginning) {
        List<String> details = crashed.details();
        assertTrue(
                details.stream().anyMatch(line -> line.startsWith(beginning)),
                () -> beginning + " is missing in\n" + String.join("\n", details));
    }

    @Test
    void crashWhereNothingIsMappedSaysSo() throws Exception {
        BootSource guest =
                Guests.long64(
                        // mov rax, 0x500000000
                        0x48,
                        0xb8,
                        0x00,
                        0x00,
                        0x00,
                        0x00,
                        0x05,
                        0x00,
                        0x00,
                        0x00, //
                        0xff,
                        0xe0); // jmp rax

        var crashed = assertInstanceOf(VmOutcome.Crashed.class, run(guest));

        assertShows(crashed, "RIP=0000000500000000");
        assertShows(crashed, "code at RIP: not mapped");
    }

    @Test
    void crashWhereThereIsNoRamSaysSo() throws Exception {
        BootSource guest =
                Guests.protected32(
                        0xb8, 0x00, 0x00, 0x00, 0xd0, // mov eax, 0xd0000000
                        0xff, 0xe0); // jmp eax

        var crashed = assertInstanceOf(VmOutcome.Crashed.class, run(guest));

        assertHasLine(crashed, "RIP=00000000d0000000");
        assertHasLine(crashed, "code at RIP: not in RAM");
    }

    @Test
    void crashAtTheEndOfRamShowsTheBytesThatThereAre() throws Exception {
        BootSource guest =
                Guests.protected32(
                        // mov dword [0xfffff8], 0xf1f7c931
                        0xc7,
                        0x05,
                        0xf8,
                        0xff,
                        0xff,
                        0x00,
                        0x31,
                        0xc9,
                        0xf7,
                        0xf1, //
                        0xb8,
                        0xf8,
                        0xff,
                        0xff,
                        0x00, // mov eax, 0xfffff8
                        0xff,
                        0xe0); // jmp eax: xor ecx, ecx; div ecx

        var crashed = assertInstanceOf(VmOutcome.Crashed.class, run(guest));

        assertShows(crashed, "RIP=0000000000fffffa");
        String bytes = "code at RIP: f7 f1 00 00 00 00";
        assertShows(crashed, bytes);
        assertFalse(crashed.details().stream().anyMatch(line -> line.startsWith(bytes + " ")));
    }

    @Test
    void exitsAreCounted() throws Exception {
        try (Vm vm = Vm.builder().memory(MEMORY).boot(Guests.exits(1)).build()) {
            vm.start();
            vm.awaitExit(Host.LIMIT);

            // the serial port and the debug exit
            assertEquals(2, vm.exitCounts().get("IO"));
        }
    }

    /// The others wait until the first one starts them.
    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void guestWithSeveralVcpusRunsOnTheFirst(int count) throws Exception {
        Host.Resources before = Host.Resources.now();
        try (Vm vm = Vm.builder().memory(MEMORY).cpus(count).boot(Guests.exits(8)).build()) {
            assertEquals(
                    List.of("vcpu-0", "vcpu-1", "vcpu-2", "vcpu-3").subList(0, count),
                    Host.threadNames().stream().filter(name -> name.startsWith("vcpu")).toList());
            vm.start();

            assertEquals(new VmOutcome.DebugExit(8), vm.awaitExit(Host.LIMIT));
            assertEquals(count, vm.vcpus().size());
            assertEquals(2, vm.exitCounts().get("IO"));
        }
        before.awaitAgain();
    }
}
