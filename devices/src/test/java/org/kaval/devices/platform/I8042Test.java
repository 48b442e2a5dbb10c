package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class I8042Test {
    private static final int DATA = 0;
    private static final int COMMAND = 4;

    private static final int OUTPUT_FULL = 1;
    private static final int SYSTEM = 1 << 2;
    private static final int LAST_WAS_COMMAND = 1 << 3;

    private static final int ACK = 0xfa;

    private int edges;
    private int restarts;
    private final I8042 controller = new I8042(() -> edges++, () -> restarts++);

    private void command(int value) {
        controller.write(COMMAND, 1, value);
    }

    private void data(int value) {
        controller.write(DATA, 1, value);
    }

    private int status() {
        return (int) controller.read(COMMAND, 1);
    }

    /// Everything that the controller has to say, as a driver without interrupts reads it.
    private List<Integer> drain() {
        var bytes = new ArrayList<Integer>();
        while ((status() & OUTPUT_FULL) != 0) {
            bytes.add((int) controller.read(DATA, 1));
        }
        return bytes;
    }

    private List<Integer> answerTo(int command) {
        command(command);
        return drain();
    }

    private List<Integer> keyboardsAnswerTo(int... bytes) {
        for (int value : bytes) {
            data(value);
        }
        return drain();
    }

    @Test
    void nothingWaitsAtFirst() {
        assertEquals(0, status() & OUTPUT_FULL);
        assertEquals(SYSTEM, status() & SYSTEM);
    }

    @ParameterizedTest
    @CsvSource({
        "0xaa, 0x55", // self-test
        "0xab, 0x00", // keyboard port
        "0x20, 0x65", // command byte: interrupt, system, no mouse, translation
        "0xa4, 0xf1", // no password
        "0xc0, 0x80", // not locked
        "0xd0, 0x03", // no reset, address line 20
        "0xe0, 0x00",
        "0x3f, 0x00", // RAM
    })
    void commandsAreAnswered(int command, int answer) {
        assertEquals(List.of(answer), answerTo(command));
    }

    @ParameterizedTest
    @ValueSource(ints = {0xa9, 0xa6, 0xa0, 0x00, 0x80})
    void commandsForAMouseAndUnknownOnesAreNotAnswered(int command) {
        assertEquals(List.of(), answerTo(command));
    }

    @ParameterizedTest
    @ValueSource(ints = {0xd3, 0xd4})
    void bytesForTheMouseAreSwallowed(int command) {
        command(command);
        data(0x5a);

        assertEquals(List.of(), drain());
        assertEquals(List.of(0xee), keyboardsAnswerTo(0xee));
    }

    @Test
    void statusSaysWhichPortWasWrittenLast() {
        command(0xae);
        assertEquals(LAST_WAS_COMMAND, status() & LAST_WAS_COMMAND);

        data(0xee);

        assertEquals(0, status() & LAST_WAS_COMMAND);
    }

    @Test
    void commandByteAndMemoryKeepWhatIsWritten() {
        command(0x60);
        data(0x44);
        command(0x7f);
        data(0xab);

        assertEquals(List.of(0x44), answerTo(0x20));
        assertEquals(List.of(0xab), answerTo(0x3f));
    }

    @Test
    void mouseAndKeyboardBitsOfTheCommandByteFollowTheirCommands() {
        command(0xa8);
        command(0xad);
        assertEquals(List.of(0x55), answerTo(0x20));

        command(0xa7);
        command(0xae);

        assertEquals(List.of(0x65), answerTo(0x20));
    }

    @Test
    void pulseOfTheResetLineRestarts() {
        command(0xfe);

        assertEquals(1, restarts);
    }

    @ParameterizedTest
    @CsvSource({"0xf0, 1", "0xfc, 1", "0xff, 0", "0xf1, 0", "0xfd, 0"})
    void onlyThePulseOfBitZeroRestarts(int command, int expected) {
        command(command);

        assertEquals(expected, restarts);
    }

    @ParameterizedTest
    @CsvSource({"0x02, 1", "0x00, 1", "0x03, 0", "0x01, 0"})
    void outputPortWithoutTheResetBitRestarts(int value, int expected) {
        command(0xd1);
        data(value);

        assertEquals(expected, restarts);
    }

    @Test
    void addressLine20OfTheOutputPortIsKept() {
        command(0xd1);
        data(0x01);
        assertEquals(List.of(0x01), answerTo(0xd0));

        command(0xdf);

        assertEquals(List.of(0x03), answerTo(0xd0));
    }

    @Test
    void outputPortShowsThatTheOutputBufferIsFull() {
        data(0xee);

        command(0xd0);

        assertEquals(List.of(0xee, 0x13), drain());
    }

    @Test
    void keyboardIdentifiesItselfTranslated() {
        assertEquals(List.of(ACK, 0xab, 0x41), keyboardsAnswerTo(0xf2));
    }

    @Test
    void keyboardIdentifiesItselfUntranslated() {
        command(0x60);
        data(0x05);

        assertEquals(List.of(ACK, 0xab, 0x83), keyboardsAnswerTo(0xf2));
    }

    @Test
    void keyboardResets() {
        assertEquals(List.of(ACK, 0xaa), keyboardsAnswerTo(0xff));
    }

    @Test
    void keyboardTakesLedsAndRate() {
        assertEquals(List.of(ACK, ACK), keyboardsAnswerTo(0xed, 0x07));
        assertEquals(List.of(ACK, ACK), keyboardsAnswerTo(0xf3, 0x7f));
        assertEquals(List.of(ACK), keyboardsAnswerTo(0xf4));
    }

    @Test
    void commandInPlaceOfAParameterCounts() {
        assertEquals(List.of(ACK, 0xee), keyboardsAnswerTo(0xed, 0xee));
    }

    @Test
    void keyboardSaysWhichScanCodeSetItHas() {
        assertEquals(List.of(ACK, ACK, 0x41), keyboardsAnswerTo(0xf0, 0));
        assertEquals(List.of(ACK, ACK), keyboardsAnswerTo(0xf0, 1));
        assertEquals(List.of(ACK, ACK, 0x43), keyboardsAnswerTo(0xf0, 0));
        assertEquals(List.of(ACK, 0xfe), keyboardsAnswerTo(0xf0, 3));
    }

    @Test
    void keyboardRepeatsItself() {
        keyboardsAnswerTo(0xf2);

        assertEquals(List.of(0x41), keyboardsAnswerTo(0xfe));
    }

    @ParameterizedTest
    @ValueSource(ints = {0x00, 0x77, 0xec, 0xef, 0xf1})
    void keyboardAsksAgainForWhatItDoesNotKnow(int value) {
        assertEquals(List.of(0xfe), keyboardsAnswerTo(value));
    }

    @Test
    void ctrlAltDeleteIsTypedInSetOneByTranslation() {
        assertTrue(controller.ctrlAltDelete());

        assertEquals(List.of(0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d), drain());
    }

    @Test
    void ctrlAltDeleteIsTypedInSetTwo() {
        command(0x60);
        data(0x05);

        assertTrue(controller.ctrlAltDelete());

        assertEquals(
                List.of(0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14), drain());
    }

    @Test
    void ctrlAltDeleteIsTypedInSetOneWithoutTranslation() {
        command(0x60);
        data(0x05);
        keyboardsAnswerTo(0xf0, 1);

        assertTrue(controller.ctrlAltDelete());

        assertEquals(List.of(0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d), drain());
    }

    @Test
    void keyboardThatDoesNotScanTypesNothing() {
        assertEquals(List.of(ACK), keyboardsAnswerTo(0xf5));

        assertFalse(controller.ctrlAltDelete());

        assertEquals(List.of(), drain());
    }

    @Test
    void keyboardThatNobodyReadsRefusesWholePresses() {
        int taken = 0;
        while (controller.ctrlAltDelete()) {
            taken++;
        }

        assertTrue(taken >= 2, () -> "no room");
        assertEquals(8 * taken, drain().size());
    }

    @Test
    void answersComeBeforeKeys() {
        controller.ctrlAltDelete();

        assertEquals(List.of(0x1d, 0xee, 0x38), keyboardsAnswerTo(0xee).subList(0, 3));
    }

    @Test
    void keyboardThatIsOffKeepsItsBytes() {
        command(0xad);
        controller.ctrlAltDelete();
        assertEquals(List.of(), drain());

        command(0xae);

        assertEquals(8, drain().size());
    }

    @Test
    void byteForTheKeyboardSwitchesItOn() {
        command(0xad);

        assertEquals(List.of(0xee), keyboardsAnswerTo(0xee));
    }

    @Test
    void controllersAnswerWaitsForTheByteBefore() {
        data(0xee);
        command(0xaa);

        assertEquals(List.of(0xee, 0x55), drain());
    }

    @Test
    void byteIsReadAgainWhereThereIsNoOther() {
        answerTo(0xaa);

        assertEquals(0x55, controller.read(DATA, 1));
    }

    @Test
    void eachByteIsAnEdge() {
        data(0xf2);
        assertEquals(1, edges);

        drain();

        assertEquals(3, edges);
    }

    @Test
    void interruptCanBeSwitchedOff() {
        command(0x60);
        data(0x44);

        keyboardsAnswerTo(0xf2);

        assertEquals(0, edges);
    }

    @Test
    void switchingTheInterruptOnIsAnEdgeForTheByteThatWaits() {
        command(0x60);
        data(0x44);
        data(0xee);

        command(0x60);
        data(0x45);

        assertEquals(1, edges);
    }

    @Test
    void byteCanBePutIntoTheOutputBuffer() {
        command(0xd2);
        data(0x77);

        assertEquals(List.of(0x77), drain());
        assertEquals(1, edges);
    }

    @Test
    void portsBetweenReadAsOnesAndAreNotWritten() {
        controller.write(1, 1, 0xfe);
        controller.write(3, 1, 0xfe);

        assertEquals(-1, controller.read(1, 1));
        assertEquals(0, restarts);
        assertEquals(List.of(), drain());
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void anyTrafficIsTakenAndEndsInAControllerThatAnswers(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        for (int i = 0; i < 20_000; i++) {
            int offset = random.nextInt(5);
            controller.write(offset, 1 << random.nextInt(3), random.nextLong());
            controller.read(random.nextInt(5), 1 << random.nextInt(3));
        }
        command(0xad);
        drain();

        assertEquals(List.of(0x55), answerTo(0xaa), () -> "seed " + seed);
    }
}
