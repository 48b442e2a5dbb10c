package org.kaval.linux;

import java.io.IOException;

/// The host refused: a system call failed. The message names the operation, the object and the
/// errno, as in `KVM_CREATE_VM on /dev/kvm: EBUSY`.
public final class ErrnoException extends IOException {
    private static final long serialVersionUID = 1;

    private final String operation;
    private final String object;
    private final int errno;

    public ErrnoException(String operation, String object, int errno) {
        super("%s on %s: %s".formatted(operation, object, Errno.name(errno)));
        this.operation = operation;
        this.object = object;
        this.errno = errno;
    }

    /// The kernel's name of what was tried, for instance `KVM_CREATE_VM` or `openat`.
    public String operation() {
        return operation;
    }

    /// What it was tried on: a path, or the name of a descriptor.
    public String object() {
        return object;
    }

    /// The error number (errno(3)), positive.
    public int errno() {
        return errno;
    }
}
