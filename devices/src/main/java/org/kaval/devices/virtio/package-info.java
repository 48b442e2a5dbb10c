/// Virtio devices (Virtio 1.2, split rings): the queues through which a guest's driver and a device
/// share requests, the registers with which the driver sets a device up, and the devices.
///
/// ```
///   driver: descriptors, avail ring ──► VirtQueue.take ──► DescriptorChain ──► the device's work
///                                            used ring ◄── VirtQueue.complete ◄──────┘
/// ```
///
/// A {@link org.kaval.devices.virtio.VirtQueue} gives out a driver's requests one after the other,
/// each as a {@link org.kaval.devices.virtio.DescriptorChain} of guest memory that has been
/// checked, and takes them back in any order. What the driver does against the specification is a
/// {@link org.kaval.memory.GuestFault}: the device asks to be reset, and the machine goes on.
///
/// ```
///   VirtioPci (BAR, MSI-X) ──┐                                          ┌── the device: one class
///   VirtioMmio ──────────────┴── VirtioControl: status, features, ──────┘
///                                queues, configuration, reset
/// ```
///
/// A {@link org.kaval.devices.virtio.VirtioDevice} does not know its transport, and a transport not
/// its device. A doorbell is an eventfd that KVM signals, and {@link
/// org.kaval.devices.virtio.QueueThreads} wait for it; an interrupt is one that KVM listens to.
///
/// Section numbers are those of the OASIS standard, Virtio 1.2. Nothing is null unless a type says
/// {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.devices.virtio;

import org.jspecify.annotations.NullMarked;
