package org.kaval.linux;

import java.io.IOException;

/// The host refused: a system call failed. The message names the operation, the object and the
/// errno, as in `KVM_CREATE_VM on /dev/kvm: EBUSY`.
public final class ErrnoException extends IOException {
    private static final long serialVersionUID = 1;

    private final String operation;
    private final int errno;

    public ErrnoException(String operation, String object, int errno) {
        super("%s on %s: %s".formatted(operation, object, Errno.name(errno)));
        this.operation = operation;
        this.errno = errno;
    }

    /// The kernel's name of what was tried, for instance `KVM_CREATE_VM` or `openat`.
    public String operation() {
        return operation;
    }

    /// The error number (errno(3)), positive.
    public int errno() {
        return errno;
    }
}
