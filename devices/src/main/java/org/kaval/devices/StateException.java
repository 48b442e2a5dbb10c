package org.kaval.devices;

/// A saved state that cannot be one of the part that is to have it: a number out of its range, a
/// disk of another size. Whoever restores a machine says so in one line.
public final class StateException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public StateException(String message) {
        super(message);
    }
}
