package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.kaval.kvm.KvmKind;

/// The measurements of {@link BootTime}, on the machine whose KVM is used.
public final class BootRounds {
    /// Lines for {@link BootTimes}: the guest's first instruction comes next, and its init has
    /// spoken; behind that, whose guest it is and how many milliseconds that took.
    static final String BEGINS = "guest begins";

    static final String AT_INIT = "guest is at its init: ";

    private static final int MOST_FREQUENT = 14;

    /// Exits of AMD-V (AMD APM vol. 2, appendix C).
    private static final Map<String, String> AMD_EXITS =
            Map.of(
                    "14", "write of CR4",
                    "60", "interrupt of the host",
                    "64", "ready for an interrupt",
                    "72", "CPUID",
                    "78", "HLT",
                    "7b", "port",
                    "7c", "MSR",
                    "400", "nested page fault");

    private BootRounds() {}

    /// @param args the folder of {@link BootFiles}, and how many rounds there are
    public static void main(String[] args) throws Exception {
        var files = new BootFiles(Path.of(args[0]));
        var userExits = new LinkedHashMap<String, Map<String, Long>>();
        var contenders = new ArrayList<BootContender>();
        for (boolean fast : new boolean[] {false, true}) {
            var name = new KavalBoot(files, fast, _ -> {}).name();
            contenders.add(new KavalBoot(files, fast, counts -> userExits.put(name, counts)));
        }
        contenders.add(QemuBoot.of(files, "microvm"));
        contenders.add(QemuBoot.of(files, "q35"));
        int rounds = Integer.parseInt(args[1]);
        if (rounds > 0) {
            times(contenders, rounds);
        }
        if (KvmTrace.isPossible()) {
            for (BootContender contender : contenders) {
                exits(contender);
            }
        }
        userExits.forEach((name, counts) ->
                System.out.printf("%n%s: exits to user space %s%n", name, counts));
    }

    private static void times(List<BootContender> contenders, int rounds) throws Exception {
        for (int round = 0; round <= rounds; round++) {
            for (BootContender contender : contenders) {
                BootContender.Steps steps =
                        new BootContender.Steps() {
                            @Override
                            public void begins() {
                                System.out.println(BEGINS);
                            }
                        };
                double millis = contender.boot(steps);
                System.out.printf("%s%s: %.0f%n", AT_INIT, contender.name(), millis);
            }
        }
    }

    private static void exits(BootContender contender) throws Exception {
        String[][] events = {
            {"kvm_exit", "exit_reason.hex"},
            {"kvm_pio", "rw,port.hex"},
            {"kvm_mmio", "type,gpa.hex"},
            {"kvm_msr", "write,ecx.hex"},
        };
        var traces = new ArrayList<KvmTrace>();
        try {
            for (String[] event : events) {
                traces.add(KvmTrace.start(event[0], event[1]));
            }
            contender.boot(
                    new BootContender.Steps() {
                        @Override
                        public void isAtInit() throws IOException {
                            print(contender.name(), events, traces);
                        }
                    });
        } finally {
            for (KvmTrace trace : traces) {
                trace.close();
            }
        }
    }

    private static void print(String name, String[][] events, List<KvmTrace> traces)
            throws IOException {
        System.out.printf("%n%s%n", name);
        for (int i = 0; i < events.length; i++) {
            Map<String, Long> counts = traces.get(i).counts();
            long sum = counts.values().stream().mapToLong(Long::longValue).sum();
            System.out.printf("  %s: %d%n", events[i][0], sum);
            for (String keys : counts.keySet().stream().limit(MOST_FREQUENT).toList()) {
                System.out.printf("    %7d %s%s%n", counts.get(keys), keys, name(keys));
            }
        }
    }

    private static String name(String keys) throws IOException {
        String number = keys.substring(keys.lastIndexOf(' ') + 1);
        return keys.startsWith("exit_reason:")
                        && AMD_EXITS.containsKey(number)
                        && KvmKind.detect() == KvmKind.AMD_V
                ? " (" + AMD_EXITS.get(number) + ")"
                : "";
    }
}
