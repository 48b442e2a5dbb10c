package org.kaval.devices.platform;

import java.util.List;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;

/// The keyboard behind an {@link I8042}, whose lock guards it: it takes commands byte by byte and
/// gives bytes when it is asked (IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101-
/// and 102-Key)").
///
/// | command | parameter  | answer | what                                        |
/// |--------:|------------|--------|---------------------------------------------|
/// | 0xed    | LEDs       | ACK    | there are none to see                       |
/// | 0xee    |            | 0xee   | echo                                        |
/// | 0xf0    | 1, 2       | ACK    | scan code set                               |
/// | 0xf0    | 0          | ACK, set | which set it is                           |
/// | 0xf2    |            | ACK, 0xab, 0x83 | identification                     |
/// | 0xf3    | rate       | ACK    | keys do not repeat                          |
/// | 0xf4, 0xf5 |         | ACK    | scanning on; off, with defaults             |
/// | 0xf6    |            | ACK    | defaults                                    |
/// | 0xf7-0xfa |          | ACK    | key types, which set 3 alone has            |
/// | 0xfb-0xfd | key      | ACK    | the same                                    |
/// | 0xfe    |            | the last byte | again                                |
/// | 0xff    |            | ACK, 0xaa | reset, self-test passed                  |
///
/// Everything else is answered with 0xfe.
final class Ps2Keyboard {
    static final int NONE = -1;

    private static final int ACK = 0xfa;
    private static final int RESEND = 0xfe;
    private static final int ECHO = 0xee;
    private static final int SELF_TEST_PASSED = 0xaa;
    private static final int[] ID = {0xab, 0x83};

    private static final int LOWEST_COMMAND = 0xed;
    private static final int DEFAULT_SET = 2;
    private static final int EXTENDED = 0xe0;
    private static final int BREAK_PREFIX = 0xf0; // set 2
    private static final int BREAK_BIT = 0x80; // set 1

    /// Room for a few presses: a person's keyboard has 16 bytes.
    private static final int CAPACITY = 64;

    /// A key's codes.
    enum Key {
        LEFT_CTRL(0x1d, 0x14, false),
        LEFT_ALT(0x38, 0x11, false),
        DELETE(0x53, 0x71, true);

        private final int set1;
        private final int set2;
        private final boolean extended;

        Key(int set1, int set2, boolean extended) {
            this.set1 = set1;
            this.set2 = set2;
            this.extended = extended;
        }
    }

    private final Ring answers = new Ring(); // before scan codes
    private final Ring scanCodes = new Ring();
    private int set = DEFAULT_SET;
    private boolean scanning = true;
    private int awaitsParameter = NONE; // the command
    private int lastSent;

    /// Presses keys in this order, and releases them in the other.
    ///
    /// @return whether there was room, and the guest lets it scan; else nothing is pressed
    boolean press(List<Key> keys) {
        int mostBytes = 5 * keys.size(); // extended, code, extended, break, code
        if (!scanning || scanCodes.free() < mostBytes) {
            return false;
        }
        for (Key key : keys) {
            send(key, false);
        }
        for (Key key : keys.reversed()) {
            send(key, true);
        }
        return true;
    }

    /// What it has to say next, or {@link #NONE}.
    int take() {
        int value = answers.isEmpty() ? scanCodes.take() : answers.take();
        lastSent = value == NONE ? lastSent : value;
        return value;
    }

    /// Takes a byte from the controller.
    void write(int value) {
        int command = awaitsParameter;
        awaitsParameter = NONE;
        if (command != NONE && value < LOWEST_COMMAND) {
            parameter(command, value);
        } else {
            command(value);
        }
    }

    void persist(StateFields state) {
        answers.persist(state, "answers");
        scanCodes.persist(state, "scanCodes");
        set = state.number("set", set, 1, 2);
        scanning = state.flag("scanning", scanning);
        awaitsParameter = state.number("awaitsParameter", awaitsParameter, NONE, 0xff);
        lastSent = state.number("lastSent", lastSent, 0, 0xff);
    }

    private void command(int value) {
        switch (value) {
            case ECHO -> answers.add(ECHO);
            case 0xed, 0xf0, 0xf3, 0xfb, 0xfc, 0xfd -> {
                awaitsParameter = value;
                answers.add(ACK);
            }
            case 0xf2 -> {
                answers.add(ACK);
                answers.add(ID[0]);
                answers.add(ID[1]);
            }
            case 0xf4 -> {
                scanning = true;
                answers.add(ACK);
            }
            case 0xf5 -> {
                scanning = false;
                setDefaults();
            }
            case 0xf6 -> setDefaults();
            case 0xf7, 0xf8, 0xf9, 0xfa -> answers.add(ACK);
            case 0xfe -> answers.add(lastSent);
            case 0xff -> {
                scanning = true;
                setDefaults();
                answers.add(SELF_TEST_PASSED);
            }
            default -> answers.add(RESEND);
        }
    }

    private void parameter(int command, int value) {
        if (command != 0xf0) {
            answers.add(ACK);
            return;
        }
        switch (value) {
            case 0 -> {
                answers.add(ACK);
                answers.add(set);
            }
            case 1, 2 -> {
                set = value;
                answers.add(ACK);
            }
            default -> answers.add(RESEND);
        }
    }

    private void setDefaults() {
        set = DEFAULT_SET;
        scanCodes.clear();
        answers.clear();
        answers.add(ACK);
    }

    private void send(Key key, boolean release) {
        if (key.extended) {
            scanCodes.add(EXTENDED);
        }
        if (set == 1) {
            scanCodes.add(release ? key.set1 | BREAK_BIT : key.set1);
            return;
        }
        if (release) {
            scanCodes.add(BREAK_PREFIX);
        }
        scanCodes.add(key.set2);
    }

    /// Drops what does not fit.
    private static final class Ring {
        private final byte[] bytes = new byte[CAPACITY];
        private int head;
        private int count;

        boolean isEmpty() {
            return count == 0;
        }

        int free() {
            return CAPACITY - count;
        }

        void clear() {
            count = 0;
        }

        void persist(StateFields state, String name) {
            byte[] present = new byte[count];
            for (int i = 0; i < count; i++) {
                present[i] = bytes[(head + i) % CAPACITY];
            }
            byte[] restored = state.bytes(name, present);
            if (restored.length > CAPACITY) {
                throw new StateException("the keyboard has %d bytes".formatted(restored.length));
            }
            clear();
            for (byte each : restored) {
                add(each);
            }
        }

        void add(int value) {
            if (count < CAPACITY) {
                bytes[(head + count) % CAPACITY] = (byte) value;
                count++;
            }
        }

        int take() {
            if (count == 0) {
                return NONE;
            }
            int value = Byte.toUnsignedInt(bytes[head]);
            head = (head + 1) % CAPACITY;
            count--;
            return value;
        }
    }
}
