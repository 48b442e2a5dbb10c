package org.kaval.machine.diagnosis;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.platform.Uart16550;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.KernelSymbols;
import org.kaval.machine.diagnosis.VcpuPicture.Activity;
import org.kaval.machine.diagnosis.VcpuPicture.Mode;
import org.kaval.vcpu.ExitStatistics.Access;
import org.kaval.vcpu.VcpuExit;

/// Which hints are given: the words that tell them apart.
class HintsTest {
    private static final Uart16550.Use UNTOUCHED = new Uart16550.Use(false, 0, false);
    private static final Uart16550.Use PRINTED = new Uart16550.Use(true, 10, true);

    private KvmKind kvm = KvmKind.AMD_V;
    private BootDescription boot = BootDescription.NONE;
    private List<VcpuPicture> vcpus = List.of(Pictures.RUNNING);
    private @Nullable VcpuExit stopped;
    private Map<String, Long> exits = Map.of("IO", 1_000L);
    private List<Observation.Accesses> accesses = List.of();
    private Uart16550.Use serial = PRINTED;

    private String hints() {
        return String.join(
                "\n",
                Hints.of(
                        new Observation(
                                kvm,
                                boot,
                                new KernelSymbols(null, ""),
                                vcpus,
                                stopped,
                                exits,
                                accesses,
                                serial,
                                Map.of(),
                                List.of())));
    }

    private static BootDescription kernel(String commandLine) {
        return new BootDescription(Path.of("/boot/vmlinuz"), commandLine, true);
    }

    private void assertHint(String words) {
        List<String> with = hints().lines().filter(hint -> hint.contains(words)).toList();
        assertEquals(1, with.size(), () -> words + " is missing in: " + hints());
    }

    @Test
    void ordinaryGuestGetsNone() {
        assertEquals("", hints());
        boot = kernel("quiet");
        assertEquals("", hints());
    }

    @ParameterizedTest
    @CsvSource({
        "root=/dev/vda, no console=ttyS0",
        "console=ttyS1 console=tty0, no console=ttyS0",
        "console=ttyS0 root=/dev/vda, earlyprintk=serial",
        "console=ttyS0 earlyprintk=serial quiet, has quiet"
    })
    void silentKernelLacksSomethingOnItsCommandLine(String commandLine, String hint) {
        boot = kernel(commandLine);
        serial = UNTOUCHED;
        assertHint(hint);
    }

    @Test
    void kernelThatSaysAllItCanGetsNoHintOnIt() {
        boot = kernel("console=ttyS0,115200n8 earlycon");
        serial = UNTOUCHED;
        assertEquals("", hints());
    }

    @Test
    void kernelOnPvmDoesNotRun() {
        kvm = KvmKind.PVM;
        assertEquals("", hints());
        boot = kernel("quiet");
        assertHint("unmodified kernel does not run");
    }

    @Test
    void haltWithInterruptsOffIsForEver() {
        vcpus =
                List.of(
                        Pictures.activity(Activity.HALTED, false),
                        Pictures.activity(Activity.WAITING, false));
        assertHint("halted with interrupts off");
    }

    @Test
    void haltWithInterruptsOnIsIdle() {
        vcpus =
                List.of(
                        Pictures.activity(Activity.HALTED, false),
                        Pictures.activity(Activity.HALTED, true));
        assertHint("idle");
    }

    @Test
    void oneThatRunsIsEnough() {
        vcpus = List.of(Pictures.activity(Activity.HALTED, false), Pictures.RUNNING);
        assertEquals("", hints());
    }

    @Test
    void tripleFaultAtTheBeginningIsAboutModeOrMemory() {
        stopped = new VcpuExit.Shutdown();
        exits = Map.of("SHUTDOWN", 1L);
        serial = UNTOUCHED;
        assertHint("the wrong mode");
        boot = kernel("console=ttyS0");
        assertHint("another processor");
    }

    @Test
    void tripleFaultLaterIsNot() {
        stopped = new VcpuExit.Shutdown();
        assertEquals("", hints());
    }

    @Test
    void tripleFaultWithoutAnInterruptTableIsAnyException() {
        stopped = new VcpuExit.Shutdown();
        vcpus =
                List.of(
                        new VcpuPicture(
                                0,
                                Activity.RUNNING,
                                Mode.LONG,
                                0x10_0000,
                                0,
                                false,
                                "f7 f1",
                                0,
                                0,
                                0));
        assertHint("no interrupt table");
    }

    @Test
    void emulationFailureDependsOnTheKindOfKvm() {
        stopped = new VcpuExit.KvmInternalError(KvmExit.INTERNAL_ERROR_EMULATION, List.of());
        assertHint("cannot emulate the instruction at RIP");
        kvm = KvmKind.PVM;
        assertHint("PVM kind emulates ring 0");
    }

    @Test
    void failedEntryIsAboutTheRegisters() {
        stopped = new VcpuExit.FailedEntry(0x8000_0021L);
        assertHint("a state that the processor does not allow");
    }

    @Test
    void zeroesAreNoCode() {
        vcpus =
                List.of(
                        new VcpuPicture(
                                0,
                                Activity.RUNNING,
                                Mode.REAL,
                                0x8000,
                                0,
                                false,
                                "00 00 00 00 00 00 00 00 00 00",
                                0x3ff,
                                0,
                                0));
        assertHint("executes zeroes");
    }

    @Test
    void decompressorTakesItsTime() {
        boot = kernel("console=ttyS0");
        vcpus = List.of(Pictures.at(0x100_0200));
        assertHint("with fast boot");
    }

    @Test
    void pollingOfNothingIsNamed() {
        accesses =
                List.of(
                        new Observation.Accesses(new Access(false, true, 0x80, 50_000), null),
                        new Observation.Accesses(
                                new Access(false, false, 0x3fd, 50_000), "16550A UART"),
                        new Observation.Accesses(new Access(false, false, 0x2fd, 20_000), null));
        assertHint("it polls port 0x2fd, where there is no device");
    }

    @Test
    void fewReadsAreNoPolling() {
        accesses = List.of(new Observation.Accesses(new Access(false, false, 0x2fd, 9_999), null));
        assertEquals("", hints());
    }
}
