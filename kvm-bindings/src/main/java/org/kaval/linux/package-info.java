/// The part of Linux that a virtual machine monitor needs: file descriptors, event notification,
/// memory mappings and the signal that ends a blocking `KVM_RUN`.
///
/// Each type owns what it opens and is closed once; a failed system call is an {@link
/// org.kaval.linux.ErrnoException}. Descriptor numbers and host addresses stay inside this module:
/// the methods that show them ({@link org.kaval.linux.Fd#number()}, {@link
/// org.kaval.linux.Fd#ioctl}) are called by `org.kaval.kvm` and by nothing outside, which an
/// architecture test holds.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.linux;

import org.jspecify.annotations.NullMarked;
