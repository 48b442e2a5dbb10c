package org.kaval.devices;

/// An interrupt line that several devices share (wired or): it is high while any of them holds it
/// up.
///
/// Any thread (guarded by this).
public final class SharedLine {
    private final LevelLine line;
    private int holders;
    private long rises;

    /// @param line what the devices share
    public SharedLine(LevelLine line) {
        this.line = line;
    }

    /// One more device's end of the line; it is low.
    public LevelLine input() {
        return new Input();
    }

    /// How often it has gone high.
    public synchronized long rises() {
        return rises;
    }

    private synchronized void hold(int change) {
        boolean before = holders > 0;
        holders += change;
        boolean after = holders > 0;
        if (before != after) {
            rises += after ? 1 : 0;
            line.set(after);
        }
    }

    private final class Input implements LevelLine {
        private boolean high;

        @Override
        public synchronized void set(boolean newHigh) {
            if (newHigh != high) {
                high = newHigh;
                hold(newHigh ? 1 : -1);
            }
        }
    }
}
