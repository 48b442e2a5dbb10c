package org.kaval.machine.diagnosis;

import java.util.List;
import java.util.stream.Stream;

/// What is known of a guest, and what that usually means; lines for a person.
///
/// @param facts what it is seen to do
/// @param hints what is commonly missing where it looks so; perhaps none
public record Diagnosis(List<String> facts, List<String> hints) {
    public Diagnosis {
        facts = List.copyOf(facts);
        hints = List.copyOf(hints);
    }

    public static Diagnosis of(Observation seen) {
        return new Diagnosis(seen.lines(), Hints.of(seen));
    }

    /// The facts, and then the hints, which are marked as such.
    public List<String> lines() {
        return Stream.concat(facts.stream(), hints.stream().map(hint -> "hint: " + hint)).toList();
    }
}
