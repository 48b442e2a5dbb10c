package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.FakeSerialPort;
import org.kaval.devices.FakeTime;
import org.kaval.devices.LevelLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.pci.PciConfigPorts;

/// A device that is restored answers as the one that was saved, whatever has been done to it.
class PersistentDevicesTest {
    private static final int ACCESSES = 200;

    /// A device with the lines that it pulls.
    static final class Rig<T extends Device & Persistent> {
        private final FakeTime time = new FakeTime("2024-02-29T23:59:58.25Z");
        private final FakeSerialPort port = new FakeSerialPort();
        private final List<String> signals = new ArrayList<>();
        private final T device;

        Rig(Function<Rig<T>, T> maker) {
            device = maker.apply(this);
        }

        void pulse() {
            signals.add("pulse");
        }

        void level(boolean high) {
            if (high) {
                signals.add("high");
            }
        }
    }

    record Kind<T extends Device & Persistent>(
            String name, int registers, Function<Rig<T>, T> maker) {
        @Override
        public String toString() {
            return name;
        }
    }

    static Stream<Kind<?>> kinds() {
        return Stream.of(
                new Kind<Uart16550>("uart", 8, rig -> new Uart16550(rig.port, rig::pulse)),
                new Kind<CmosRtc>(
                        "rtc", 2, rig -> new CmosRtc(rig.time, rig.time, rig::pulse, 1 << 27, 0)),
                new Kind<I8042>("i8042", 5, rig -> new I8042(rig::pulse, () -> {})),
                new Kind<AcpiPm>(
                        "acpi", 12, rig -> new AcpiPm(rig.time, rig.time, rig::level, () -> {})),
                new Kind<PostCodePort>("post", 1, _ -> new PostCodePort()),
                new Kind<SystemControlPort>("port92", 1, _ -> new SystemControlPort(() -> {})),
                new Kind<PciConfigPorts>("pci", 8, _ -> new PciConfigPorts(emptyBus(), () -> {})));
    }

    private static PciBus emptyBus() {
        return new PciBus(
                new Bus("port"), List.of(), new Bus("mmio"), List.of(), _ -> LevelLine.NONE);
    }

    private static LongStream seeds() {
        return LongStream.range(0, 100);
    }

    private static long access(Rig<?> rig, int registers, RandomGenerator random) {
        int offset = random.nextInt(registers);
        if (random.nextBoolean()) {
            rig.device.write(offset, 1, random.nextInt(256));
            return 0;
        }
        if (random.nextInt(8) == 0) {
            rig.port.type(0, 3);
            rig.time.advance(Duration.ofMillis(300));
        }
        return rig.device.read(offset, 1) & 0xff;
    }

    private static void restore(Rig<?> from, Rig<?> to) {
        var saving = StateFields.saving();
        from.device.persist(saving);
        to.time.setClock(from.time.instant().toString());
        to.port.input.addAll(from.port.input);
        var restoring = StateFields.restoring(saving.saved(), 0);
        to.device.persist(restoring);
        restoring.checkAllTaken();
        to.device.restored();
    }

    private static RandomGenerator random(long seed) {
        return RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
    }

    private static <T extends Device & Persistent> void answersAreThoseOfTheSaved(
            Kind<T> kind, long seed) {
        RandomGenerator first = random(seed);
        var saved = new Rig<T>(kind.maker);
        for (int i = 0; i < ACCESSES; i++) {
            access(saved, kind.registers, first);
        }
        var restored = new Rig<T>(kind.maker);

        restore(saved, restored);

        RandomGenerator forSaved = random(-seed);
        RandomGenerator forRestored = random(-seed);
        for (int i = 0; i < ACCESSES; i++) {
            String where = "%s, seed %d, access %d".formatted(kind, seed, i);
            assertEquals(
                    access(saved, kind.registers, forSaved),
                    access(restored, kind.registers, forRestored),
                    where);
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    <T extends Device & Persistent> void restoredDeviceAnswersAsTheSaved(Kind<T> kind) {
        seeds().forEach(seed -> answersAreThoseOfTheSaved(kind, seed));
    }

    @Test
    void interruptOfTheUartIsRepeated() {
        var kind = (Function<Rig<Uart16550>, Uart16550>) rig -> new Uart16550(rig.port, rig::pulse);
        var saved = new Rig<Uart16550>(kind);
        saved.device.write(1, 1, 1); // received data
        saved.port.type(0x41, 0x42);
        saved.device.portChanged();
        var restored = new Rig<Uart16550>(kind);

        restore(saved, restored);

        assertEquals(List.of("pulse"), restored.signals);
        assertEquals(0x41, restored.device.read(0, 1));
    }

    @Test
    void clockGoesOnWithTheHostsAndTheAlarmThatWasMissedGoes() {
        var kind =
                (Function<Rig<CmosRtc>, CmosRtc>)
                        rig -> new CmosRtc(rig.time, rig.time, rig::pulse, 1 << 27, 0);
        var saved = new Rig<CmosRtc>(kind);
        set(saved.device, 5, 0xc0); // any hour
        set(saved.device, 3, 0x10); // ten minutes past
        set(saved.device, 1, 0);
        set(saved.device, 0x0b, 0x22); // alarm, 24 hours
        var saving = StateFields.saving();
        saved.device.persist(saving);
        var restored = new Rig<CmosRtc>(kind);
        restored.time.setClock("2024-03-01T01:00:00Z");

        restored.device.persist(StateFields.restoring(saving.saved(), 0));
        restored.device.restored();

        restored.device.write(0, 1, 4);
        assertEquals(1, restored.device.read(1, 1), "hours");
        assertEquals(List.of("pulse"), restored.signals);
    }

    private static void set(CmosRtc rtc, int register, int value) {
        rtc.write(0, 1, register);
        rtc.write(1, 1, value);
    }

    @Test
    void timerOfAcpiIsAheadByTheTimeThatHasPassed() {
        var kind =
                (Function<Rig<AcpiPm>, AcpiPm>)
                        rig -> new AcpiPm(rig.time, rig.time, rig::level, () -> {});
        var saved = new Rig<AcpiPm>(kind);
        saved.time.advance(Duration.ofSeconds(2));
        var saving = StateFields.saving();
        saved.device.persist(saving);
        var restored = new Rig<AcpiPm>(kind);
        restored.time.advance(Duration.ofSeconds(100));

        restored.device.persist(
                StateFields.restoring(saving.saved(), Duration.ofSeconds(3).toNanos()));

        long ticks = restored.device.read(8, 4);
        assertTrue(Math.abs(ticks - 5L * 3_579_545) < 10, "ticks: " + ticks);
    }

    @Test
    void powerButtonThatWasPressedIsStillHigh() {
        var kind =
                (Function<Rig<AcpiPm>, AcpiPm>)
                        rig -> new AcpiPm(rig.time, rig.time, rig::level, () -> {});
        var saved = new Rig<AcpiPm>(kind);
        saved.device.write(2, 2, 1 << 8);
        saved.device.powerButton();
        var restored = new Rig<AcpiPm>(kind);

        restore(saved, restored);

        assertEquals(List.of("high"), restored.signals);
    }
}
