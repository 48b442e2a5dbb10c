package org.kaval.devices;

/// How a device calls the guest. Any thread; allocates nothing.
@FunctionalInterface
public interface InterruptLine {
    /// A line that leads nowhere.
    InterruptLine NONE = () -> {};

    /// Makes one edge: the interrupt controller sees the line go high and low.
    void pulse();
}
