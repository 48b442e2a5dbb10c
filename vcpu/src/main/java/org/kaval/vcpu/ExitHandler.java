package org.kaval.vcpu;

/// What a vCPU needs from the machine around it. Called on the vCPU's thread; the guest waits.
///
/// The four accesses are the hot path: they allocate nothing and do not block. A string instruction
/// is one call per element.
public interface ExitHandler {
    /// The guest reads a port.
    ///
    /// @param size in bytes: 1, 2 or 4
    /// @return what it reads; bytes beyond `size` are ignored
    int portRead(int port, int size);

    /// The guest writes a port.
    ///
    /// @param size in bytes: 1, 2 or 4
    /// @param value zero-extended
    void portWrite(int port, int size, int value);

    /// The guest reads where there is no RAM.
    ///
    /// @param address guest-physical
    /// @param size in bytes: 1 to 8
    /// @return what it reads; bytes beyond `size` are ignored
    long mmioRead(long address, int size);

    /// The guest writes where there is no RAM.
    ///
    /// @param address guest-physical
    /// @param size in bytes: 1 to 8
    /// @param value zero-extended
    void mmioWrite(long address, int size, long value);

    /// The guest stopped for any other reason.
    ///
    /// @return whether it goes on; if not, the vCPU is paused, and its registers can be read
    boolean exited(Vcpu vcpu, VcpuExit exit);

    /// This program has a bug: an exception came out of the vCPU's thread, which now ends.
    void broken(Vcpu vcpu, Throwable bug);
}
