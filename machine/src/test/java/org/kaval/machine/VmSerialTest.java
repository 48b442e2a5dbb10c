package org.kaval.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.Fd;
import org.kaval.machine.boot.BootSource;
import org.kaval.testing.NeedsKvm;

/// The first serial port, from end to end.
@NeedsKvm
class VmSerialTest {
    private static final long MEMORY = 16 << 20;

    private final ByteArrayOutputStream output = new ByteArrayOutputStream();

    private VmBuilder builder(BootSource source) {
        return Vm.builder().memory(MEMORY).boot(source).serialOutput(output);
    }

    private VmOutcome run(BootSource source) throws Exception {
        try (Vm vm = builder(source).build()) {
            vm.start();
            return vm.awaitExit(Host.LIMIT);
        }
    }

    private static byte[] randomBytes(int count) {
        byte[] bytes = new byte[count];
        RandomGeneratorFactory.of("L64X128MixRandom").create(count).nextBytes(bytes);
        return bytes;
    }

    @Test
    void outputOfAGuestThatPollsArrives() throws Exception {
        VmOutcome outcome = run(Guests.polls("polling works\n"));

        assertEquals(new VmOutcome.DebugExit(9), outcome);
        assertEquals("polling works\n", output.toString(US_ASCII));
    }

    @Test
    void outputOfAGuestThatIsInterruptedArrives() throws Exception {
        VmOutcome outcome = run(Guests.sendsByInterrupt("interrupts work\n"));

        assertEquals(new VmOutcome.DebugExit(7), outcome);
        assertEquals("interrupts work\n", output.toString(US_ASCII));
    }

    @Test
    void outputOfAStringInstructionArrives() throws Exception {
        BootSource guest =
                Guests.real16(
                        0xbe, 0x11, 0x7c, // mov si, text
                        0xb9, 0x04, 0x00, // mov cx, 4
                        0xba, 0xf8, 0x03, // mov dx, 0x3f8
                        0xfc, // cld
                        0xf3, 0x6e, // rep outsb
                        0xb0, 0x01, // mov al, 1
                        0xe6, 0xf4, // out 0xf4, al
                        0xf4, // hlt
                        'r', 'e', 'p', '!'); // text:

        assertEquals(new VmOutcome.DebugExit(1), run(guest));
        assertEquals("rep!", output.toString(US_ASCII));
    }

    @Test
    void outputIsThereWhenTheEndIsKnown() throws Exception {
        for (int i = 0; i < 20; i++) {
            output.reset();
            run(Guests.exits('A'));

            assertEquals("A", output.toString(US_ASCII));
        }
    }

    @Test
    void outputOfAStoppedGuestIsThereWhenStopReturns() throws Exception {
        BootSource guest =
                Guests.real16(
                        0xba, 0xf8, 0x03, // mov dx, 0x3f8
                        0xb0, 0x42, // mov al, 'B'
                        0xee, // out dx, al
                        0xba, 0x00, 0x05, // mov dx, 0x500
                        0xee, // out dx, al
                        0xeb, 0xfe); // self: jmp self
        try (Vm vm = builder(guest).build()) {
            vm.start();
            Host.until("the guest spins", () -> vm.exitCounts().getOrDefault("IO", 0L) == 2);
            vm.stop();

            assertEquals("B", output.toString(US_ASCII));
        }
    }

    @Test
    void guestGoesOnWhenNobodyReadsItsOutputAnyMore() throws Exception {
        var gone =
                new OutputStream() {
                    @Override
                    public void write(int value) throws IOException {
                        throw new IOException("nobody reads");
                    }
                };

        try (Vm vm =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(Guests.polls("x".repeat(200)))
                        .serialOutput(gone)
                        .build()) {
            vm.start();

            assertEquals(new VmOutcome.DebugExit(9), vm.awaitExit(Host.LIMIT));
        }
    }

    @Test
    void typedInputArrivesWholeAndComesBack() throws Exception {
        byte[] typed = randomBytes(Guests.ECHOED);
        try (Vm vm = builder(Guests.echoes()).build()) {
            vm.start();

            type(vm, typed);

            assertEquals(new VmOutcome.DebugExit(3), vm.awaitExit(Host.LIMIT));
        }
        assertArrayEquals(typed, output.toByteArray());
    }

    private static void type(Vm vm, byte[] bytes) throws InterruptedException {
        int typed = 0;
        long end = System.nanoTime() + Host.LIMIT.toNanos();
        while (typed < bytes.length) {
            assertTrue(System.nanoTime() < end, typed + " bytes were taken, and then none");
            int taken = vm.typeSerial(Arrays.copyOfRange(bytes, typed, bytes.length));
            typed += taken;
            if (taken == 0) {
                Thread.sleep(1);
            }
        }
    }

    @Test
    void inputTypedBeforeTheStartWaits() throws Exception {
        byte[] typed = randomBytes(Guests.ECHOED);
        try (Vm vm = builder(Guests.echoes()).build()) {
            int early = vm.typeSerial(typed);
            assertEquals(4096, early);
            vm.start();
            type(vm, Arrays.copyOfRange(typed, early, typed.length));

            assertEquals(new VmOutcome.DebugExit(3), vm.awaitExit(Host.LIMIT));
        }
        assertArrayEquals(typed, output.toByteArray());
    }

    @Test
    void inputFromAFileArrivesWholeAndComesBack(@TempDir Path directory) throws Exception {
        byte[] bytes = randomBytes(Guests.ECHOED);
        Path file = Files.write(directory.resolve("input"), bytes);
        Host.Resources before = Host.Resources.now();
        try (Fd source = Fd.open(file, Fd.Access.READ);
                Vm vm = builder(Guests.echoes()).serialInput(source).build()) {
            vm.start();

            assertEquals(new VmOutcome.DebugExit(3), vm.awaitExit(Host.LIMIT));
        }
        assertArrayEquals(bytes, output.toByteArray());
        before.awaitAgain();
    }

    @Test
    void inputAfterTheEndIsHarmless() throws Exception {
        Vm vm = builder(Guests.exits(1)).build();
        vm.start();
        vm.awaitExit(Host.LIMIT);
        assertEquals(0, vm.typeSerial(new byte[1]));
        vm.close();

        assertEquals("\u0001", output.toString(US_ASCII));
    }
}
