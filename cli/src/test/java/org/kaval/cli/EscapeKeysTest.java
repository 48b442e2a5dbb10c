package org.kaval.cli;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EscapeKeysTest {
    private final List<EscapeKeys.Key> pressed = new ArrayList<>();
    private final EscapeKeys keys = new EscapeKeys(pressed::add);

    /// What the guest gets of `typed`; `]` with the control key is `^`.
    private String type(String typed) {
        byte[] bytes = typed.replace('^', (char) EscapeKeys.ESCAPE).getBytes(ISO_8859_1);
        int kept = keys.filter(bytes, bytes.length);
        return new String(bytes, 0, kept, ISO_8859_1).replace((char) EscapeKeys.ESCAPE, '^');
    }

    @ParameterizedTest
    @CsvSource({
        "abc, abc",
        "a^qb, ab",
        "^^, ^",
        "^^q, ^q",
        "^^^q, ^",
        "a^p^pb, ab",
        "\u00ff\u0000, \u00ff\u0000"
    })
    void guestGetsAllButTheKeys(String typed, String received) {
        assertEquals(received, type(typed));
    }

    @ParameterizedTest
    @CsvSource({
        "q, QUIT",
        "Q, QUIT",
        "b, POWER_BUTTON",
        "d, CTRL_ALT_DELETE",
        "p, PAUSE",
        "i, INSPECT",
        "s, STATISTICS",
        "w, SNAPSHOT",
        "z, SUSPEND",
        "?, HELP"
    })
    void letterAfterTheEscapeIsAKey(String letter, EscapeKeys.Key key) {
        assertEquals("", type("^" + letter));
        assertEquals(List.of(key), pressed);
    }

    @Test
    void whatIsNoKeyShowsTheList() {
        assertEquals("", type("^x"));
        assertEquals(List.of(EscapeKeys.Key.HELP), pressed);
    }

    @Test
    void escapeAndLetterMayComeApart() {
        assertEquals("a", type("a^"));
        assertEquals("b", type("pb"));
        assertEquals(List.of(EscapeKeys.Key.PAUSE), pressed);
    }

    @Test
    void helpListsEveryKey() {
        String help = String.join("\n", EscapeKeys.help().toList());
        assertEquals(EscapeKeys.Key.values().length + 1, help.lines().count());
        assertTrue(help.contains("Ctrl-] q  end the guest at once"), help);
    }
}
