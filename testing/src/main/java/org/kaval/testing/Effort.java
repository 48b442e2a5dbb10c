package org.kaval.testing;

/// How often a stress test does its thing.
public final class Effort {
    private static final int NESTED = 20;

    private Effort() {}

    /// As often as asked for; in the nested host, where all is emulated, a twentieth of it.
    public static int times(int count) {
        return isEmulated() ? Math.max(1, count / NESTED) : count;
    }

    /// Whether the processor is emulated: in the nested host, where to compile code that runs for a
    /// second costs more than it saves.
    public static boolean isEmulated() {
        return WorkerSetup.isWorker();
    }
}
