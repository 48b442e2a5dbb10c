package org.kaval.machine.boot;

/// Where a kernel is entered.
///
/// @param address as the file says, physical or virtual
/// @param offset where in the file it says so
record EntryPoint(long address, long offset) {}
