package org.kaval.cli;

import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.kaval.devices.InputFilter;

/// Keys for Kaval in what is typed to the guest: Ctrl-] and then one of {@link Key}. Ctrl-] twice
/// is one for the guest.
///
/// One thread at a time. What waits for its second key is kept when the guest restarts.
final class EscapeKeys implements InputFilter {
    /// Ctrl-], which telnet and `virsh console` use as well.
    static final byte ESCAPE = 0x1d;

    /// What can follow.
    enum Key {
        HELP('?', "show this list"),
        QUIT('q', "end the guest at once, as if its power were cut"),
        POWER_BUTTON('b', "press the power button: the guest shuts down"),
        CTRL_ALT_DELETE('d', "type Ctrl-Alt-Del: the guest restarts"),
        CONSOLE('c', "type to the guest's other console: hvc0, the serial port"),
        PAUSE('p', "pause the guest, or let it go on"),
        INSPECT('i', "say what the guest is at"),
        STATISTICS('s', "show statistics"),
        SNAPSHOT('w', "write a snapshot to --snapshot-dir"),
        SUSPEND('z', "write a snapshot to --snapshot-dir, and end the guest");

        private final char letter;
        private final String meaning;

        Key(char letter, String meaning) {
            this.letter = letter;
            this.meaning = meaning;
        }

        private static Optional<Key> of(byte typed) {
            return Stream.of(values())
                    .filter(key -> key.letter == Character.toLowerCase((char) typed))
                    .findFirst();
        }
    }

    private final Consumer<Key> pressed;
    private boolean escaped;

    /// @param pressed is told of each key, and {@link Key#HELP} for what is none; does not block
    EscapeKeys(Consumer<Key> pressed) {
        this.pressed = pressed;
    }

    /// The list, a line each.
    static Stream<String> help() {
        return Stream.concat(
                Stream.of(Key.values())
                        .map(key -> "Ctrl-] %c  %s".formatted(key.letter, key.meaning)),
                Stream.of("Ctrl-] Ctrl-]  send Ctrl-] to the guest"));
    }

    @Override
    public int filter(byte[] bytes, int count) {
        int kept = 0;
        for (int i = 0; i < count; i++) {
            byte typed = bytes[i];
            if (escaped && typed != ESCAPE) {
                pressed.accept(Key.of(typed).orElse(Key.HELP));
                escaped = false;
            } else if (escaped || typed != ESCAPE) {
                bytes[kept++] = typed;
                escaped = false;
            } else {
                escaped = true;
            }
        }
        return kept;
    }
}
