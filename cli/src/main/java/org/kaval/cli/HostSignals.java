package org.kaval.cli;

import java.lang.reflect.Proxy;

/// Signals that the process gets from outside. Java has no supported way to tell SIGTERM from
/// SIGINT, nor to go on after one; `sun.misc.Signal` of `jdk.unsupported` is what all JVMs have for
/// it (JEP 260). It is used by reflection, since javac warns of each use and no annotation says
/// that it is meant.
final class HostSignals {
    static final int HUP = 1;
    static final int INT = 2;
    static final int KILL = 9;
    static final int TERM = 15;

    private HostSignals() {}

    /// Calls `action` instead of what the JVM does, on a thread of its own, each time that signal
    /// `name` comes (`TERM`, without `SIG`).
    static void on(String name, Runnable action) {
        try {
            Class<?> signal = Class.forName("sun.misc.Signal");
            Class<?> handler = Class.forName("sun.misc.SignalHandler");
            Object calls =
                    Proxy.newProxyInstance(
                            handler.getClassLoader(),
                            new Class<?>[] {handler},
                            (_, _, _) -> {
                                action.run();
                                return null;
                            });
            signal.getMethod("handle", signal, handler)
                    .invoke(null, signal.getConstructor(String.class).newInstance(name), calls);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("no signals", e); // the module is in every JDK
        }
    }
}
