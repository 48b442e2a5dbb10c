package org.kaval.testing;

/// How often a stress test does its thing.
public final class Effort {
    private static final int NESTED = 20;

    private Effort() {}

    /// As often as asked for; in the nested host, where all is emulated, a twentieth of it.
    public static int times(int count) {
        return WorkerSetup.isWorker() ? Math.max(1, count / NESTED) : count;
    }
}
