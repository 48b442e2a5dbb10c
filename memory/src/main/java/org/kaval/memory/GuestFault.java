package org.kaval.memory;

/// The guest misbehaved: an address that is not RAM, a request that no device can have.
///
/// It is caught in one place, by the bus or by a device's worker; the virtual machine goes on. It
/// has no stack trace, since a guest can make as many as it likes.
public final class GuestFault extends RuntimeException {
    private static final long serialVersionUID = 1;

    public GuestFault(String message) {
        super(message, null, false, false);
    }
}
