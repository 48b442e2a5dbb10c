/// Machines with names: where they are on the host, and how other processes get at them.
///
/// ```
///   kaval run --name web ──► VmFolder: lock, record, log, sockets
///        │                                │
///        └── ControlServer ◄── HTTP, JSON ┴── ControlClient ◄── kaval pause, stop, stats, curl
/// ```
///
/// A machine is alive as long as its process holds the lock of its folder, so one that was killed
/// is told from one that runs. Its API is described by `openapi.yaml` in the module's resources.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.cli.control;

import org.jspecify.annotations.NullMarked;
