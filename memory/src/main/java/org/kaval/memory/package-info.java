/// Guest-physical memory.
///
/// {@link org.kaval.memory.GuestMemory} is the only place where a guest address becomes host
/// memory. Every access is checked against the region that it must lie in, and one that does not is
/// a {@link org.kaval.memory.GuestFault}.
///
/// ```java
/// try (var memory = GuestMemory.allocate(List.of(new GuestRange(0, 64 << 20)), Backing.anonymous())) {
///     memory.writeLe32(0x1000, 42);
///     MemorySegment buffer = memory.slice(0x2000, 512); // no copy
/// }
/// ```
///
/// Any thread may read and write; as on real hardware, what two write at once is the guest's to
/// order. Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.memory;

import org.jspecify.annotations.NullMarked;
