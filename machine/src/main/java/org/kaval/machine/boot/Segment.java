package org.kaval.machine.boot;

/// A piece of a kernel's file that goes somewhere into memory.
///
/// @param index its number among the file's
/// @param header where in the file it is described
/// @param offset of its bytes in the file
/// @param address physical
/// @param memorySize in bytes, at least `fileSize`; the rest is 0
record Segment(
        int index,
        long header,
        long offset,
        long fileSize,
        long virtualAddress,
        long address,
        long memorySize) {}
