package org.kaval.devices.platform;

import java.util.List;
import org.kaval.devices.Device;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// The keyboard controller 8042 of the AT and PS/2, with a keyboard and without a mouse (IBM PS/2
/// Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller").
///
/// | offset | read          | write                                          |
/// |-------:|---------------|------------------------------------------------|
/// |      0 | output buffer | to the keyboard, or the parameter of a command |
/// |    1-3 | ones          | ignored: port 0x61 is the timer's, in the kernel |
/// |      4 | status        | command                                        |
///
/// | command    | what                                                            |
/// |-----------:|-----------------------------------------------------------------|
/// | 0x20-0x3f  | reads a byte of the controller's RAM; byte 0 is the command byte |
/// | 0x60-0x7f  | writes one                                                      |
/// | 0xa4       | password test: there is none (0xf1)                             |
/// | 0xa7, 0xa8 | notes that the mouse is off, on                                 |
/// | 0xaa       | self-test: passed (0x55)                                        |
/// | 0xab       | test of the keyboard's port: passed (0)                         |
/// | 0xad, 0xae | keyboard off, on                                                |
/// | 0xc0       | reads the input port: the keyboard is not locked                |
/// | 0xd0, 0xd1 | reads, writes the output port: bit 0 low restarts the machine, bit 1 (address line 20) is kept |
/// | 0xd2       | writes a byte as if it came from the keyboard                   |
/// | 0xdd, 0xdf | bit 1 of the output port off, on                                |
/// | 0xe0       | reads the test inputs: 0                                        |
/// | 0xf0-0xff  | pulses bits of the output port low: 0xfe restarts the machine   |
///
/// What is meant for a mouse (0xa9, 0xd3, 0xd4) gets no answer, by which a driver sees that there
/// is none. Interrupt 1 makes an edge for each byte in the output buffer, if the command byte
/// allows.
///
/// Any thread (guarded by this).
public final class I8042 implements Device, Persistent {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x60, 5);

    /// The interrupt of the keyboard.
    public static final int KEYBOARD_IRQ = 1;

    private static final int DATA = 0;
    private static final int STATUS = 4;

    private static final int STATUS_OUTPUT_FULL = 1;
    private static final int STATUS_SYSTEM = 1 << 2;
    private static final int STATUS_COMMAND = 1 << 3;
    private static final int STATUS_NOT_LOCKED = 1 << 4;

    private static final int MODE_INTERRUPT = 1;
    private static final int MODE_SYSTEM = 1 << 2;
    private static final int MODE_KEYBOARD_OFF = 1 << 4;
    private static final int MODE_MOUSE_OFF = 1 << 5;
    private static final int MODE_TRANSLATE = 1 << 6;

    private static final int NO_PASSWORD = 0xf1;
    private static final int SELF_TEST_PASSED = 0x55;
    private static final int INPUT_NOT_LOCKED = 1 << 7;
    private static final int OUTPUT_NO_RESET = 1;
    private static final int OUTPUT_A20 = 1 << 1;
    private static final int OUTPUT_BUFFER_FULL = 1 << 4;

    private static final int RAM_SIZE = 32;
    private static final int NONE = -1;
    private static final int BREAK_PREFIX = 0xf0;
    private static final int BREAK_BIT = 0x80;

    private final InterruptLine line;
    private final Runnable restart;
    private final Ps2Keyboard keyboard = new Ps2Keyboard();
    private final byte[] ram = new byte[RAM_SIZE];
    private int outputPort = OUTPUT_NO_RESET | OUTPUT_A20;
    private int output; // stays when it has been read
    private boolean full;
    private int reply = NONE; // of the controller, until the output buffer is free
    private int awaitsParameter = NONE; // the command
    private boolean lastWasCommand;
    private boolean breakPending; // the translation has taken the prefix of a key's release
    private boolean lineHigh;

    /// @param line is pulsed on each rising edge of the interrupt
    /// @param restart is called on the vCPU's thread
    public I8042(InterruptLine line, Runnable restart) {
        this.line = line;
        this.restart = restart;
        // as the firmware of a PC leaves it
        ram[0] = MODE_INTERRUPT | MODE_SYSTEM | MODE_MOUSE_OFF | MODE_TRANSLATE;
    }

    /// Types Ctrl-Alt-Del. The guest decides what to do about it; Linux restarts.
    ///
    /// @return whether the keyboard took it: not if the guest has switched it off, or reads nothing
    public synchronized boolean ctrlAltDelete() {
        boolean taken =
                keyboard.press(
                        List.of(
                                Ps2Keyboard.Key.LEFT_CTRL,
                                Ps2Keyboard.Key.LEFT_ALT,
                                Ps2Keyboard.Key.DELETE));
        update();
        return taken;
    }

    @Override
    public synchronized long read(long offset, int size) {
        return switch ((int) offset) {
            case DATA -> readData();
            case STATUS -> status();
            default -> -1;
        };
    }

    @Override
    public void write(long offset, int size, long value) {
        if (writeByte((int) offset, (int) value & 0xff)) {
            restart.run();
        }
    }

    @Override
    public synchronized void persist(StateFields state) {
        state.fill("ram", ram);
        outputPort = state.number("outputPort", outputPort, 0, 0xff);
        output = state.number("output", output, 0, 0xff);
        full = state.flag("full", full);
        reply = state.number("reply", reply, NONE, 0xff);
        awaitsParameter = state.number("awaitsParameter", awaitsParameter, NONE, 0xff);
        lastWasCommand = state.flag("lastWasCommand", lastWasCommand);
        breakPending = state.flag("breakPending", breakPending);
        keyboard.persist(state.part("keyboard"));
    }

    @Override
    public synchronized void restored() {
        lineHigh = false;
        update();
    }

    @Override
    public String toString() {
        return "8042 keyboard controller";
    }

    private int readData() {
        int value = output;
        full = false;
        lineHigh = false;
        update();
        return value;
    }

    private int status() {
        return (full ? STATUS_OUTPUT_FULL : 0)
                | ((ram[0] & MODE_SYSTEM) != 0 ? STATUS_SYSTEM : 0)
                | (lastWasCommand ? STATUS_COMMAND : 0)
                | STATUS_NOT_LOCKED;
    }

    /// @return whether that restarts the machine
    private synchronized boolean writeByte(int offset, int value) {
        boolean restarts = false;
        if (offset == STATUS) {
            lastWasCommand = true;
            awaitsParameter = NONE;
            restarts = command(value);
        } else if (offset == DATA) {
            lastWasCommand = false;
            int command = awaitsParameter;
            awaitsParameter = NONE;
            restarts = command == NONE ? toKeyboard(value) : parameter(command, value);
        }
        update();
        return restarts;
    }

    private boolean command(int value) {
        switch (value) {
            case 0xa4 -> reply = NO_PASSWORD;
            case 0xa7 -> setMode(MODE_MOUSE_OFF, true);
            case 0xa8 -> setMode(MODE_MOUSE_OFF, false);
            case 0xaa -> {
                setMode(MODE_SYSTEM, true);
                reply = SELF_TEST_PASSED;
            }
            case 0xab, 0xe0 -> reply = 0;
            case 0xad -> setMode(MODE_KEYBOARD_OFF, true);
            case 0xae -> setMode(MODE_KEYBOARD_OFF, false);
            case 0xc0 -> reply = INPUT_NOT_LOCKED;
            case 0xd0 -> reply = outputPort | (full ? OUTPUT_BUFFER_FULL : 0);
            case 0xd1, 0xd2, 0xd3, 0xd4 -> awaitsParameter = value;
            case 0xdd -> outputPort &= ~OUTPUT_A20;
            case 0xdf -> outputPort |= OUTPUT_A20;
            default -> {
                return otherCommand(value);
            }
        }
        return false;
    }

    private boolean otherCommand(int value) {
        switch (value & ~(RAM_SIZE - 1)) {
            case 0x20 -> reply = Byte.toUnsignedInt(ram[value % RAM_SIZE]);
            case 0x60 -> awaitsParameter = value;
            default -> {
                return value >= 0xf0 && (value & OUTPUT_NO_RESET) == 0;
            }
        }
        return false;
    }

    private boolean parameter(int command, int value) {
        switch (command) {
            case 0xd1 -> {
                outputPort = (value & OUTPUT_A20) | OUTPUT_NO_RESET;
                return (value & OUTPUT_NO_RESET) == 0;
            }
            case 0xd2 -> reply = value;
            case 0xd3, 0xd4 -> {} // there is no mouse
            default -> ram[command % RAM_SIZE] = (byte) value;
        }
        return false;
    }

    private boolean toKeyboard(int value) {
        setMode(MODE_KEYBOARD_OFF, false); // the controller needs the line for it
        keyboard.write(value);
        return false;
    }

    private void setMode(int bit, boolean on) {
        ram[0] = (byte) (on ? ram[0] | bit : ram[0] & ~bit);
    }

    private void update() {
        if (!full && reply != NONE) {
            fill(reply);
            reply = NONE;
        } else if (!full && (ram[0] & MODE_KEYBOARD_OFF) == 0) {
            int value = nextFromKeyboard();
            if (value != NONE) {
                fill(value);
            }
        }
        boolean high = full && (ram[0] & MODE_INTERRUPT) != 0;
        if (high && !lineHigh) {
            line.pulse();
        }
        lineHigh = high;
    }

    private void fill(int value) {
        output = value;
        full = true;
    }

    private int nextFromKeyboard() {
        int value = keyboard.take();
        if ((ram[0] & MODE_TRANSLATE) == 0) {
            return value;
        }
        if (value == BREAK_PREFIX) {
            breakPending = true;
            value = keyboard.take();
        }
        if (value == NONE) {
            return NONE;
        }
        int translated = translated(value);
        if (breakPending) {
            breakPending = false;
            translated |= BREAK_BIT;
        }
        return translated;
    }

    /// From scan code set 2 to set 1, as far as this keyboard says such a thing.
    private static int translated(int value) {
        return switch (value) {
            case 0x01 -> 0x43; // scan code sets, as an answer
            case 0x02 -> 0x41;
            case 0x11 -> 0x38; // Alt
            case 0x14 -> 0x1d; // Ctrl
            case 0x71 -> 0x53; // Del
            case 0x83 -> 0x41; // identification
            default -> value;
        };
    }
}
