package org.kaval.ci.bench;

import org.openjdk.jmh.Main;

/// All benchmarks, one after the other, or one of them (`exits`, `start`, `life`, `restore`,
/// `clones`, `live`, `net`, and `disk`, `iperf` and `boot` with how often); other arguments go to
/// JMH.
public final class Benchmarks {
    private Benchmarks() {}

    public static void main(String[] args) throws Exception {
        switch (args.length == 0 ? "all" : args[0]) {
            case "all" -> {
                ExitRoundTrip.run();
                StartTime.run();
                VmLifeCycle.run();
                RestoreTime.run();
                CloneCosts.run();
                LivePause.run();
                DiskReads.run(DiskReads.ROUNDS);
                NetPackets.run();
                Iperf.run(Iperf.ROUNDS);
                BootTime.run(BootTime.ROUNDS);
                Main.main(new String[] {"IoctlBenchmark"});
            }
            case "exits" -> ExitRoundTrip.run();
            case "start" -> StartTime.run();
            case "life" -> VmLifeCycle.run();
            case "restore" -> RestoreTime.run();
            case "clones" -> CloneCosts.run();
            case "live" -> LivePause.run();
            case "disk" -> DiskReads.run(rounds(args, DiskReads.ROUNDS));
            case "net" -> NetPackets.run();
            case "iperf" -> Iperf.run(rounds(args, Iperf.ROUNDS));
            case "boot" -> BootTime.run(rounds(args, BootTime.ROUNDS));
            case "complaints" -> QemuComplaints.run();
            default -> Main.main(args);
        }
    }

    private static int rounds(String[] args, int usual) {
        return args.length > 1 ? Integer.parseInt(args[1]) : usual;
    }
}
