package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KavalTest {
    @ParameterizedTest
    @ValueSource(strings = {"run", "demo", "doctor", "disk"})
    void commandComesWithoutTheOthers(String name) {
        var names = new HashSet<String>();
        Kaval.commandLine(name)
                .getSubcommands()
                .values()
                .forEach(command -> names.add(command.getCommandSpec().qualifiedName()));
        assertEquals(Set.of("kaval " + name), names);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "--help", "generate-completion", "no-such-command"})
    void whatIsNoCommandOfItsOwnNeedsAll(String word) {
        assertEquals(
                Set.of(
                        "run",
                        "restore",
                        "demo",
                        "doctor",
                        "disk",
                        "ps",
                        "inspect",
                        "logs",
                        "console",
                        "stop",
                        "kill",
                        "pause",
                        "resume",
                        "balloon",
                        "snapshot",
                        "stats",
                        "wait",
                        "rm",
                        "generate-completion"),
                Kaval.commandLine(word).getSubcommands().keySet());
    }
}
