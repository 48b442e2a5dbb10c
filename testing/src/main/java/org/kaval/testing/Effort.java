package org.kaval.testing;

/// How often a stress test does its thing, and how much of it.
///
/// `-Dkaval.test.effort=full` has it done as often in the nested host as elsewhere.
public final class Effort {
    private static final int NESTED = 20;
    private static final boolean FULL = "full".equals(System.getProperty("kaval.test.effort"));

    private Effort() {}

    /// As often as asked for; in the nested host, where all is emulated, a twentieth of it.
    public static int times(int count) {
        return isEmulated() && !FULL ? Math.max(1, count / NESTED) : count;
    }

    /// `all` of something where it is as much as elsewhere; in the nested host `some` of it.
    public static int amount(int all, int some) {
        return isEmulated() && !FULL ? some : all;
    }

    /// Whether the nested host does as much as others, for which it takes its time.
    public static boolean isFull() {
        return FULL;
    }

    /// Whether the processor is emulated: in the nested host, where to compile code that runs for a
    /// second costs more than it saves.
    public static boolean isEmulated() {
        return WorkerSetup.isWorker();
    }
}
