package org.kaval.machine.diagnosis;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.platform.Uart16550;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.KernelSymbols;
import org.kaval.vcpu.ExitStatistics.Access;
import org.kaval.vcpu.VcpuExit;

/// What is known of a guest, without an opinion.
///
/// @param kvm what it runs on
/// @param boot what was booted
/// @param symbols those of the kernel
/// @param vcpus what the vCPUs are at; those that have stopped are not in it
/// @param stopped why the guest cannot go on; null if it can
/// @param exits how often vCPUs left the guest, by reason
/// @param accesses where they left it for, the most frequent first
/// @param serial what the guest has done with its serial port
/// @param interrupts how often devices pulled a line, by its number
/// @param postCodes the last codes at port 0x80, oldest first
public record Observation(
        KvmKind kvm,
        BootDescription boot,
        KernelSymbols symbols,
        List<VcpuPicture> vcpus,
        @Nullable VcpuExit stopped,
        Map<String, Long> exits,
        List<Accesses> accesses,
        Uart16550.Use serial,
        Map<Integer, Long> interrupts,
        List<Integer> postCodes) {
    private static final int SHOWN_ACCESSES = 8;

    /// Accesses of one kind to one address.
    ///
    /// @param device its name; null if there is none
    public record Accesses(Access access, @Nullable String device) {
        @Override
        public String toString() {
            return "%s%s 0x%x (%s): %,d"
                    .formatted(
                            access.memory() ? "MMIO " : "port ",
                            access.write() ? "write" : "read",
                            access.address(),
                            device == null ? "no device" : device,
                            access.count());
        }
    }

    public Observation {
        vcpus = List.copyOf(vcpus);
        exits = Map.copyOf(exits);
        accesses = List.copyOf(accesses);
        interrupts = Map.copyOf(interrupts);
        postCodes = List.copyOf(postCodes);
    }

    CodeLocation locations() {
        return new CodeLocation(symbols.table(), boot, vcpus);
    }

    /// A line for each thing that is known.
    public List<String> lines() {
        var lines = new ArrayList<String>();
        CodeLocation locations = locations();
        vcpus.forEach(vcpu -> lines.add(line(vcpu, locations.of(vcpu))));
        if (boot.kernel() != null) {
            lines.add(symbols.note());
        }
        lines.add("exits: " + join("", exits));
        if (!accesses.isEmpty()) {
            lines.add(
                    accesses.stream()
                            .limit(SHOWN_ACCESSES)
                            .map(Accesses::toString)
                            .collect(Collectors.joining(", ", "most frequent: ", "")));
        }
        lines.add("serial port: " + serialLine());
        lines.add("interrupts from devices: " + join("line ", interrupts));
        if (!postCodes.isEmpty()) {
            lines.add(
                    postCodes.stream()
                            .map("0x%02x"::formatted)
                            .collect(Collectors.joining(" ", "last codes at port 0x80: ", "")));
        }
        return lines;
    }

    private static String line(VcpuPicture vcpu, String location) {
        if (vcpu.activity() == VcpuPicture.Activity.WAITING) {
            return "vcpu %d: not started by the guest".formatted(vcpu.index());
        }
        return "vcpu %d: %s, %s, ring %d, interrupts %s, RIP 0x%x%s: %s"
                .formatted(
                        vcpu.index(),
                        vcpu.activity(),
                        vcpu.mode(),
                        vcpu.ring(),
                        vcpu.interruptsOn() ? "on" : "off",
                        vcpu.rip(),
                        location.isEmpty() ? "" : " (" + location + ")",
                        vcpu.code());
    }

    private String serialLine() {
        if (!serial.touched()) {
            return "never touched";
        }
        return "%,d bytes sent, its interrupts %s"
                .formatted(serial.sent(), serial.interrupts() ? "on" : "off");
    }

    private static <K extends Comparable<K>> String join(String prefix, Map<K, Long> counts) {
        return counts.isEmpty()
                ? "none"
                : counts.entrySet().stream()
                        .sorted(Map.Entry.comparingByKey())
                        .map(entry ->
                                "%s%s: %,d".formatted(prefix, entry.getKey(), entry.getValue()))
                        .collect(Collectors.joining(", "));
    }
}
