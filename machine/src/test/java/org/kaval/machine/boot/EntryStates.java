package org.kaval.machine.boot;

import org.kaval.vcpu.EntryState;

/// What tests ask of an entry.
final class EntryStates {
    private EntryStates() {}

    /// @param argument in RSI in long mode, in EBX in protected mode unless that is 0, else in ESI
    record Summary(String mode, long address, long argument) {}

    static Summary summary(EntryState state) {
        return switch (state) {
            case EntryState.Real16 real -> new Summary("real", real.ip(), 0);
            case EntryState.Protected32 entry ->
                    new Summary(
                            "protected",
                            Integer.toUnsignedLong(entry.eip()),
                            entry.arguments().rbx() == 0
                                    ? entry.arguments().rsi()
                                    : entry.arguments().rbx());
            case EntryState.Long64 entry ->
                    new Summary("long", entry.rip(), entry.arguments().rsi());
        };
    }
}
