package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.FakeSerialPort;
import org.kaval.devices.Host;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.SerialPort;

/// Numbers are those of the data sheet (TI PC16550D §8), written out again.
class Uart16550Test {
    private static final int RBR = 0;
    private static final int THR = 0;
    private static final int IER = 1;
    private static final int IIR = 2;
    private static final int FCR = 2;
    private static final int LCR = 3;
    private static final int MCR = 4;
    private static final int LSR = 5;
    private static final int MSR = 6;
    private static final int SCR = 7;

    private static final int DLAB = 0x80;
    private static final int LOOP = 0x10;
    private static final int FIFO_ON = 0x01;

    // interrupt enable
    private static final int RECEIVED = 1;
    private static final int TRANSMIT_EMPTY = 2;
    private static final int LINE_STATUS = 4;
    private static final int MODEM_STATUS = 8;

    // interrupt identification
    private static final int NONE = 0x01;
    private static final int MODEM_ID = 0x00;
    private static final int EMPTY_ID = 0x02;
    private static final int RECEIVED_ID = 0x04;
    private static final int LINE_STATUS_ID = 0x06;

    // line status
    private static final int DATA_READY = 0x01;
    private static final int OVERRUN = 0x02;
    private static final int SENDER_EMPTY = 0x60;

    private final FakeSerialPort port = new FakeSerialPort();
    private int pulses;
    private final Uart16550 uart = new Uart16550(port, () -> pulses++);

    private int in(int register) {
        return (int) uart.read(register, 1);
    }

    private void out(int register, int value) {
        uart.write(register, 1, value);
    }

    private void out(int register, int... values) {
        for (int value : values) {
            out(register, value);
        }
    }

    /// Puts bytes there, and tells the UART, as a console does.
    private void receive(int... values) {
        for (int value : values) {
            port.input.add(value);
        }
        uart.portChanged();
    }

    /// Reads for as long as the line status says that there is something.
    private byte[] readAll() {
        var bytes = new ByteArrayOutputStream();
        while ((in(LSR) & DATA_READY) != 0) {
            bytes.write(in(RBR));
        }
        return bytes.toByteArray();
    }

    private static byte[] counting(int count) {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            bytes[i] = (byte) i;
        }
        return bytes;
    }

    @Nested
    class Registers {
        @ParameterizedTest
        @CsvSource({
            "0, 0x00", // nothing received
            "1, 0x00", "2, 0x01", // no interrupt, no FIFO
            "3, 0x00", "4, 0x00", "5, 0x60", // THRE and TEMT
            "6, 0xb0", // CTS, DSR, DCD
            "7, 0x00",
        })
        void afterResetAreAsTheDataSheetSays(int register, int expected) {
            assertEquals(expected, in(register));
        }

        @ParameterizedTest
        @CsvSource({
            "1, 0x0f, 0x0f",
            "1, 0xff, 0x0f", // the upper half is always 0
            "1, 0x05, 0x05",
            "3, 0x03, 0x03",
            "3, 0x7f, 0x7f",
            "4, 0x0b, 0x0b",
            "4, 0xff, 0x1f", // the upper three bits are always 0
            "7, 0x5a, 0x5a",
            "7, 0xa5, 0xa5",
        })
        void readBackWhatWasWritten(int register, int written, int expected) {
            out(register, written);

            assertEquals(expected, in(register));
        }

        @ParameterizedTest
        @CsvSource({"5, 0x60", "6, 0xb0"})
        void statusIgnoresWrites(int register, int expected) {
            out(register, 0xff);
            out(register, 0x00);

            assertEquals(expected, in(register));
        }

        @Test
        void divisorIsBehindItsLatch() {
            out(IER, 0x05);
            out(LCR, DLAB | 3);
            out(0, 0x34);
            out(1, 0x12);

            assertEquals(0x34, in(0));
            assertEquals(0x12, in(1));
            assertEquals(DLAB | 3, in(LCR));
        }

        @Test
        void divisorLatchKeepsItFromTheOtherRegisters() {
            out(IER, 0x05);
            out(LCR, DLAB);
            out(0, 0x41);
            out(1, 0x0f);
            out(LCR, 0x03);

            assertEquals(0x05, in(IER));
            assertEquals(0, port.output.size());
        }

        @Test
        void divisorLatchLeavesReceivedBytesAlone() {
            receive('a');
            out(LCR, DLAB);
            in(0);
            out(LCR, 0);

            assertEquals('a', in(RBR));
        }

        @Test
        void wideWriteIsOneWritePerByte() {
            out(LCR, DLAB);
            uart.write(0, 2, 0x1234);

            assertEquals(0x34, in(0));
            assertEquals(0x12, in(1));
        }

        @Test
        void wideReadIsOneReadPerByte() {
            out(MCR, 0x03);
            out(SCR, 0x77);

            assertEquals(0x77b0_6003L, uart.read(MCR, 4));
        }

        @Test
        void readOfEightBytesHasAll() {
            out(SCR, 0xee);

            assertEquals(0xeeb0_6000_0001_0000L, uart.read(0, 8));
        }

        @Test
        void upperBytesOfAByteWriteAreIgnored() {
            uart.write(SCR, 1, 0xffff_ff12L);

            assertEquals(0x12, in(SCR));
        }
    }

    @Nested
    class Output {
        @Test
        void isSentAtOnceAndInOrder() {
            out(THR, 'o', 'k', 0xff);

            assertArrayEquals(new byte[] {'o', 'k', -1}, port.output.toByteArray());
        }

        @Test
        void isHeldUpWhileTheOtherSideHasNoRoom() {
            port.room = 1;
            out(THR, 'a');

            assertEquals(0, in(LSR) & SENDER_EMPTY);
        }

        @Test
        void goesOnWhenTheOtherSideHasRoomAgain() {
            port.room = 0;
            assertEquals(0, in(LSR) & SENDER_EMPTY);
            port.room = 5;
            uart.portChanged();

            assertEquals(SENDER_EMPTY, in(LSR) & SENDER_EMPTY);
        }

        @Test
        void roomAgainIsATransmitInterrupt() {
            out(IER, TRANSMIT_EMPTY);
            in(IIR);
            port.room = 1;
            out(THR, 'a');
            assertEquals(NONE, in(IIR));
            int before = pulses;

            port.room = 1;
            uart.portChanged();

            assertEquals(before + 1, pulses);
            assertEquals(EMPTY_ID, in(IIR));
        }

        @Test
        void roomAgainIsToldToAGuestThatHasOnlyLooked() {
            port.room = 0;
            in(LSR);
            out(IER, TRANSMIT_EMPTY);
            assertEquals(NONE, in(IIR));

            port.room = 1;
            uart.portChanged();

            assertEquals(EMPTY_ID, in(IIR));
        }

        @Test
        void roomThatWasNeverMissedIsNoInterrupt() {
            out(IER, TRANSMIT_EMPTY);
            in(IIR);
            int before = pulses;

            uart.portChanged();

            assertEquals(before, pulses);
        }

        @Test
        void changeWithoutRoomIsNoInterrupt() {
            port.room = 0;
            out(IER, TRANSMIT_EMPTY);
            uart.portChanged();

            assertEquals(NONE, in(IIR));
            assertEquals(0, pulses);
        }

        @Test
        void isLostIfTheGuestDoesNotLook() {
            port.room = 1;
            out(THR, 'a', 'b');

            assertEquals("a", port.output.toString(java.nio.charset.StandardCharsets.US_ASCII));
        }
    }

    @Nested
    class TransmitInterrupt {
        @Test
        void isRaisedByEnabling() {
            out(IER, TRANSMIT_EMPTY);

            assertEquals(1, pulses);
            assertEquals(EMPTY_ID, in(IIR));
        }

        @Test
        void isClearedByReadingItsIdentification() {
            out(IER, TRANSMIT_EMPTY);
            in(IIR);

            assertEquals(NONE, in(IIR));
        }

        @Test
        void isRaisedAgainByTheNextByteSent() {
            out(IER, TRANSMIT_EMPTY);
            in(IIR);
            out(THR, 'a');

            assertEquals(EMPTY_ID, in(IIR));
            assertEquals(2, pulses);
        }

        /// A handler need not look at the IIR: writing the THR resets the interrupt as well (data
        /// sheet, table V), so that each byte gives a new edge.
        @Test
        void isANewEdgeForEachByteOfAHandlerThatReadsNoIdentification() {
            out(IER, TRANSMIT_EMPTY);
            out(THR, 'a');
            out(THR, 'b');
            out(THR, 'c');

            assertEquals(4, pulses);
        }

        @Test
        void isNotRaisedAgainByEnablingWhatIsEnabled() {
            out(IER, TRANSMIT_EMPTY);
            in(IIR);
            out(IER, TRANSMIT_EMPTY | RECEIVED);

            assertEquals(NONE, in(IIR));
        }

        /// Linux's 8250 driver looks at this when it opens a port, and works around its absence.
        @Test
        void isRaisedAgainByDisablingAndEnabling() {
            out(IER, TRANSMIT_EMPTY);
            in(IIR);
            out(IER, 0);
            out(IER, TRANSMIT_EMPTY);

            assertEquals(EMPTY_ID, in(IIR));
            assertEquals(2, pulses);
        }

        @Test
        void isNotClearedByReadingTheIdentificationOfAnother() {
            out(IER, TRANSMIT_EMPTY | RECEIVED);
            receive('x');

            assertEquals(RECEIVED_ID, in(IIR));
            assertEquals(RECEIVED_ID, in(IIR));
            in(RBR);
            assertEquals(EMPTY_ID, in(IIR));
        }

        @Test
        void isNotClearedByReadingTheLineStatus() {
            out(IER, TRANSMIT_EMPTY);
            in(LSR);

            assertEquals(EMPTY_ID, in(IIR));
        }

        @Test
        void isNotSeenWhileDisabled() {
            out(THR, 'a');

            assertEquals(NONE, in(IIR));
            assertEquals(0, pulses);
        }
    }

    @Nested
    class Identification {
        /// All four at once: an overrun, data, an empty transmitter and changed modem inputs.
        private void raiseAll() {
            out(MCR, LOOP);
            out(THR, 'a', 'b');
            out(IER, LINE_STATUS | RECEIVED | TRANSMIT_EMPTY | MODEM_STATUS);
        }

        @Test
        void isByPriorityUntilEachIsServed() {
            raiseAll();
            var ids = new ArrayList<Integer>();

            ids.add(in(IIR));
            in(LSR);
            ids.add(in(IIR));
            in(RBR);
            ids.add(in(IIR)); // clears itself
            ids.add(in(IIR));
            in(MSR);
            ids.add(in(IIR));

            assertEquals(List.of(LINE_STATUS_ID, RECEIVED_ID, EMPTY_ID, MODEM_ID, NONE), ids);
        }

        @ParameterizedTest
        @CsvSource({"0x4, 0x6", "0x1, 0x4", "0x2, 0x2", "0x8, 0x0", "0x0, 0x1", "0xa, 0x2"})
        void showsOnlyWhatIsEnabled(int enabled, int expected) {
            raiseAll();
            out(IER, enabled);

            assertEquals(expected, in(IIR));
        }

        @Test
        void manyPendingAreOneEdge() {
            raiseAll();

            assertEquals(1, pulses);
        }

        @Test
        void nextEdgeComesOnlyAfterAllAreServed() {
            raiseAll();
            in(LSR);
            in(RBR);
            in(IIR);
            assertEquals(1, pulses);
            in(MSR);
            out(THR, 'c');

            assertEquals(2, pulses);
        }

        @Test
        void disablingAndEnablingIsANewEdge() {
            receive('x');
            out(IER, RECEIVED);
            out(IER, 0);
            out(IER, RECEIVED);

            assertEquals(2, pulses);
        }
    }

    @Nested
    class Fifo {
        @ParameterizedTest
        @CsvSource({"0x01, 0xc1", "0xc7, 0xc1", "0x00, 0x01", "0xc6, 0x01"})
        void showsInTheIdentification(int control, int expected) {
            out(FCR, control);

            assertEquals(expected, in(IIR));
        }

        @Test
        void isGoneWhenDisabled() {
            out(FCR, FIFO_ON);
            out(FCR, 0);

            assertEquals(NONE, in(IIR));
        }

        @ParameterizedTest
        @ValueSource(ints = {0x07, 0x03, 0x00})
        void clearingOrDisablingDropsWhatIsInIt(int control) {
            out(FCR, FIFO_ON);
            receive('a', 'b', 'c');
            out(FCR, control);

            assertEquals(0, in(LSR) & DATA_READY);
        }

        @ParameterizedTest
        @ValueSource(ints = {0x01, 0x05, 0xc1})
        void isKeptByAControlWriteThatDoesNotClear(int control) {
            out(FCR, FIFO_ON);
            receive('a', 'b');
            out(FCR, control);

            assertArrayEquals(new byte[] {'a', 'b'}, readAll());
        }

        @ParameterizedTest
        @CsvSource({"0x01, 1", "0x41, 4", "0x81, 8", "0xc1, 14"})
        void triggerLevelTellsDataFromTimeout(int control, int level) {
            out(FCR, control);
            out(IER, RECEIVED);

            port.type(0, level - 1);
            uart.portChanged();
            int below = in(IIR);
            port.type(level - 1, level);
            uart.portChanged();
            int at = in(IIR);

            assertEquals(level == 1 ? 0xc1 : 0xcc, below);
            assertEquals(0xc4, at);
        }

        @Test
        void dataInterruptEndsWhenAllIsRead() {
            out(FCR, FIFO_ON);
            out(IER, RECEIVED);
            receive('a', 'b');
            readAll();

            assertEquals(0xc1, in(IIR));
            receive('c');
            assertEquals(2, pulses);
        }

        @ParameterizedTest
        @ValueSource(ints = {1, 15, 16, 17, 33, 5000})
        void inputLargerThanItArrivesWholeAndInOrder(int count) {
            out(FCR, FIFO_ON);
            port.type(0, count);
            uart.portChanged();

            assertArrayEquals(counting(count), readAll());
        }

        @ParameterizedTest
        @ValueSource(ints = {1, 2, 100})
        void inputArrivesWholeWithoutIt(int count) {
            port.type(0, count);
            uart.portChanged();

            assertArrayEquals(counting(count), readAll());
        }

        @Test
        void inputThatComesWhileTheGuestReadsIsSeen() {
            out(FCR, FIFO_ON);
            receive('a');
            in(RBR);
            port.input.add((int) 'b');

            assertEquals(DATA_READY, in(LSR) & DATA_READY);
            assertEquals('b', in(RBR));
        }

        @Test
        void readWithoutDataIsZero() {
            assertEquals(0, in(RBR));
        }

        /// Without a FIFO, reading the only byte ends the interrupt, and the next byte is a new
        /// edge: a handler that reads one byte and returns sees them all.
        @Test
        void handlerThatReadsOneByteForEachInterruptSeesThemAllWithoutIt() {
            out(IER, RECEIVED);
            port.type(0, 3);
            uart.portChanged();
            int first = pulses;
            in(RBR);
            int second = pulses;
            in(RBR);
            int third = pulses;

            assertEquals(List.of(1, 2, 3), List.of(first, second, third));
        }
    }

    @Nested
    class LoopBack {
        @Test
        void sendsToItself() {
            out(MCR, LOOP);
            out(THR, 'x');

            assertEquals('x', in(RBR));
            assertEquals(0, port.output.size());
        }

        @Test
        void keepsTheOtherSideOut() {
            out(MCR, LOOP);
            receive('x');

            assertEquals(0, in(LSR) & DATA_READY);
            out(MCR, 0);
            assertEquals('x', in(RBR));
        }

        @Test
        void neverHasToWait() {
            port.room = 0;
            out(MCR, LOOP);

            assertEquals(SENDER_EMPTY, in(LSR) & SENDER_EMPTY);
        }

        @ParameterizedTest
        @CsvSource({"0x00, 1", "0x01, 16"})
        void overrunsWhenTheReceiverIsFull(int fifo, int capacity) {
            out(FCR, fifo);
            out(MCR, LOOP);
            out(THR, new int[capacity]);
            int full = in(LSR);
            out(THR, 0xee);
            int overrun = in(LSR);
            int after = in(LSR);

            assertEquals(SENDER_EMPTY | DATA_READY, full);
            assertEquals(SENDER_EMPTY | DATA_READY | OVERRUN, overrun);
            assertEquals(SENDER_EMPTY | DATA_READY, after);
            assertArrayEquals(new byte[capacity], readAll());
        }

        /// Linux's autoconfig in drivers/tty/serial/8250/8250_port.c: MCR = LOOP | OUT2 | RTS must
        /// show as DCD | CTS.
        @Test
        void modemStatusIsAsLinuxAutoconfigWantsIt() {
            out(MCR, 0x1a);

            assertEquals(0x90, in(MSR) & 0xf0);
        }

        @ParameterizedTest
        @CsvSource({
            "0x10, 0x00",
            "0x11, 0x20", // DTR is DSR
            "0x12, 0x10", // RTS is CTS
            "0x14, 0x40", // OUT1 is RI
            "0x18, 0x80", // OUT2 is DCD
            "0x1f, 0xf0",
        })
        void modemInputsAreItsOwnOutputs(int control, int expected) {
            out(MCR, control);

            assertEquals(expected, in(MSR) & 0xf0);
        }

        @Test
        void deltaBitsShowWhatChangedUntilRead() {
            out(MCR, 0x1f);
            in(MSR);
            out(MCR, 0x1d);

            assertEquals(0x01, in(MSR) & 0x0f); // CTS went
            assertEquals(0x00, in(MSR) & 0x0f);
        }

        @ParameterizedTest
        @CsvSource({
            "0x10, 0x14, 0x0", // ring begins: no delta
            "0x14, 0x10, 0x4", // ring ends
            "0x10, 0x12, 0x1",
            "0x10, 0x11, 0x2",
            "0x10, 0x18, 0x8",
            "0x1f, 0x10, 0xf",
        })
        void deltaOfRingIsItsEndOnly(int before, int after, int expected) {
            out(MCR, before);
            in(MSR);
            out(MCR, after);

            assertEquals(expected, in(MSR) & 0x0f);
        }

        @Test
        void changedModemInputsAreAnInterrupt() {
            out(MCR, LOOP);
            in(MSR);
            out(IER, MODEM_STATUS);
            assertEquals(0, pulses);
            out(MCR, LOOP | 1);

            assertEquals(1, pulses);
            assertEquals(MODEM_ID, in(IIR));
            in(MSR);
            assertEquals(NONE, in(IIR));
        }

        @Test
        void modemStatusOutsideIsThatOfAPresentTerminal() {
            out(MCR, LOOP);
            out(MCR, 0x03);

            assertEquals(0xb0, in(MSR) & 0xf0);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void randomAccessesNeitherFailNorReadMoreThanTheirSize(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);

        assertEquals(List.of(), wrongReads(random, 100_000), () -> "seed " + seed);
    }

    private List<String> wrongReads(RandomGenerator random, int accesses) {
        var wrong = new ArrayList<String>();
        for (int i = 0; i < accesses; i++) {
            int size = 1 << random.nextInt(4);
            int offset = random.nextInt(9 - size);
            switch (random.nextInt(4)) {
                case 0 -> {
                    long mask = size == 8 ? -1 : (1L << (size * 8)) - 1;
                    long value = uart.read(offset, size);
                    if ((value & ~mask) != 0) {
                        wrong.add("access %d, %d+%d: 0x%x".formatted(i, offset, size, value));
                    }
                }
                case 1 -> uart.write(offset, size, random.nextLong());
                case 2 -> {
                    port.room = random.nextInt(3);
                    uart.portChanged();
                }
                default -> {
                    port.type(0, random.nextInt(40));
                    uart.portChanged();
                    port.input.clear();
                }
            }
        }
        return wrong;
    }

    @Test
    void accessesAllocateNothing() {
        var quiet = new Uart16550(new Echo(), InterruptLine.NONE);
        quiet.write(FCR, 1, FIFO_ON);
        quiet.write(IER, 1, 0xf);

        long bytes =
                Host.allocatedBytes(() -> {
                    quiet.write(THR, 1, 'x');
                    quiet.read(LSR, 1);
                    quiet.read(IIR, 1);
                    quiet.read(RBR, 1);
                    quiet.portChanged();
                });

        assertEquals(0, bytes);
    }

    /// Gives one byte for each that it gets.
    private static final class Echo implements SerialPort {
        private int waiting;

        @Override
        public boolean canSend() {
            return true;
        }

        @Override
        public boolean send(byte value) {
            waiting++;
            return true;
        }

        @Override
        public int receive() {
            if (waiting == 0) {
                return -1;
            }
            waiting--;
            return 'x';
        }
    }

    @Nested
    class Use {
        @Test
        void untouchedAtFirst() {
            assertEquals(new Uart16550.Use(false, 0, false), uart.use());
        }

        @Test
        void readTouches() {
            uart.read(LSR, 1);

            assertEquals(new Uart16550.Use(true, 0, false), uart.use());
        }

        @Test
        void bytesAndInterruptsAreSeen() {
            uart.write(IER, 1, RECEIVED);
            uart.write(THR, 1, 'a');
            uart.write(THR, 1, 'b');

            assertEquals(new Uart16550.Use(true, 2, true), uart.use());
        }

        @Test
        void loopedBackByteIsNotSent() {
            uart.write(MCR, 1, LOOP);
            uart.write(THR, 1, 'a');

            assertEquals(new Uart16550.Use(true, 0, false), uart.use());
        }
    }
}
