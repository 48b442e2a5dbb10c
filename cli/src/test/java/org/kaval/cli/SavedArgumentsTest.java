package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class SavedArgumentsTest {
    @Test
    void optionThatIsGivenTwiceIsSavedTwice() {
        var run =
                new CommandLine(new RunCommand().spec()).setCaseInsensitiveEnumValuesAllowed(true);

        var parsed =
                run.parseArgs(
                        "--disk=/a", "--net=user", "--name=x", "--disk", "/b", "--net", "tap=t");

        assertEquals(
                List.of("--disk=/a", "--disk=/b", "--net=user", "--net=tap=t"),
                SavedArguments.of(parsed, Set.of("--name")));
    }
}
